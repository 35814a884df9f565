"""Updates of models of known shapes with random weights, on batches shaped as those of a real step.

    python benchmarks/step_updates.py --models 135M 0.5B 3B --output updates.json
    python benchmarks/step_updates.py --reduced

For each model and each way to attend over a pack: seconds and tokens of an update (the median of
the repeats, after one that warms up and compiles), MFU against the measured and the data sheet's
operations a second, what the phases take, peak memory beside the predicted, and a profile of one
update more: the share of the GPU's time that attention takes, and the kernels that take most. A
model that does not fit is reported with its reason. Nothing new is begun after --minutes.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from step_counts import ceilings, update_flop, wait
from step_models import CONFIGS, TINY, make_model

from azr_fast.config.schema import Config, ModelConfig, UpdateConfig
from azr_fast.errors import UserError
from azr_fast.policy.footprint import footprint, read_shape
from azr_fast.policy.memory import memory_use
from azr_fast.policy.models import ModelFiles
from azr_fast.policy.packing import TrainSequence, make_packs
from azr_fast.policy.policy import Policy

ATTENTION_KERNELS = ("flex", "flash", "attention", "softmax")
Line = dict[str, Any]


def make_batch(tokens: int, vocabulary: int, seed: int = 0) -> list[TrainSequence]:
    """About so many packed tokens: prompts of 450 that begin alike for 300, four answers of 40 to
    300 tokens to each, as in the steps of the `cpu` and `gpu` presets."""
    rng = random.Random(seed)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(rng.randrange(vocabulary) for _ in range(count))

    beginning, batch, packed = ids(300), [], 300
    while packed < tokens:
        prompt = beginning + ids(150)
        packed += 150
        for _ in range(4):
            answer = ids(rng.randint(40, 300))
            packed += len(answer)
            batch.append(TrainSequence(prompt, answer, rng.choice((-1.0, 1.0)), 1e-4, None))
    return batch


def measure(files: ModelFiles, update: UpdateConfig, options: argparse.Namespace) -> Line:
    """Updates of one model with one attention."""
    dtype = "float32" if options.reduced else "bfloat16"
    model = ModelConfig(name=str(files.folder), dtype=dtype, device=options.device)
    policy = Policy(files, model, update, 1.0)
    shape = read_shape(str(files.folder))
    assert shape is not None
    batch = make_batch(options.tokens, shape.vocabulary)
    packs = make_packs(batch, update.pack_tokens)
    if policy.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    policy.update(batch)
    seconds, phases = [], []
    for _ in range(options.repeats):
        wait(policy.device)
        begin = time.perf_counter()
        stats = policy.update(batch)
        wait(policy.device)
        seconds.append(time.perf_counter() - begin)
        phases.append(stats.seconds)
    median = statistics.median(seconds)
    flop_per_s = update_flop(shape, packs) / median
    predicted = footprint(Config(model=model, update=update), shape, policy.device.type)
    return {
        "attention": policy.attention,
        "parameters": shape.parameters,
        "packs": len(packs),
        "tokens_computed": sum(pack.tokens_T.numel() for pack in packs),
        "tokens_trained": sum(pack.trained for pack in packs),
        "seconds": median,
        "phases": phases[seconds.index(median)] if median in seconds else phases[-1],
        "tokens_per_s": sum(pack.tokens_T.numel() for pack in packs) / median,
        "flop_per_s": flop_per_s,
        "memory": memory_use(),
        "predicted_gib": predicted.total(),
    } | profile_of(policy, batch)


def profile_of(policy: Policy, batch: list[TrainSequence]) -> Line:
    """Of the GPU's time in an update: attention's share, and the ten kernels that take most, in
    milliseconds; nothing on a CPU."""
    if policy.device.type != "cuda":
        return {}
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        policy.update(batch)
        wait(policy.device)
    kernels = {event.key: event.self_device_time_total / 1e3 for event in profile.key_averages()}
    whole = sum(kernels.values())
    mine = sum(
        v for k, v in kernels.items() if any(word in k.lower() for word in ATTENTION_KERNELS)
    )
    largest = sorted(kernels.items(), key=lambda item: -item[1])[:10]
    return {
        "attention_share": mine / max(whole, 1e-9),
        "gpu_ms": whole,
        "largest_kernels_ms": {name[:80]: ms for name, ms in largest},
    }


def cases(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Name, sizes and attention of each measurement; the choice of a start comes first."""
    models = {"tiny": TINY} if options.reduced else {name: CONFIGS[name] for name in options.models}
    for name, sizes in models.items():
        for attention in options.attention:
            yield name, sizes, attention


def run(options: argparse.Namespace) -> Line:
    """Every case in turn; results are written after each."""
    device = torch.device(options.device)
    end = time.monotonic() + 60 * options.minutes
    dtype = torch.float32 if options.reduced else torch.bfloat16
    results: Line = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "measured_limits": (limits := ceilings(device, dtype)),
    }
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        for name, sizes, attention in cases(options):
            if time.monotonic() > end:
                results[f"{name} {attention}"] = {"skipped": "no time was left"}
                continue
            path = Path(folder) / name
            files = (
                ModelFiles(path, name)
                if path.exists()
                else make_model(sizes, path, dtype, options.device)
            )
            update = UpdateConfig(
                pack_tokens=options.pack_tokens, recompute=options.recompute, attention=attention
            )
            results[f"{name} {attention}"] = line = attempt(files, update, options)
            for limit in ("flop_per_s", "sheet_flop_per_s"):
                if "flop_per_s" in line and limit in limits:
                    line[f"mfu_of_{limit}"] = line["flop_per_s"] / limits[limit]
            print(json.dumps({f"{name} {attention}": line}), flush=True)
            if options.output:
                options.output.write_text(json.dumps(results, indent=1) + "\n")
    return results


def attempt(files: ModelFiles, update: UpdateConfig, options: argparse.Namespace) -> Line:
    """A measurement, or why there is none; whatever it held is given back."""
    try:
        return measure(files, update, options)
    except (UserError, RuntimeError, MemoryError) as error:
        return {"failed": str(error).splitlines()[0]}
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", nargs="+", choices=CONFIGS, default=["135M", "0.5B", "3B"])
    parser.add_argument("--attention", nargs="+", default=["auto"])
    parser.add_argument("--tokens", type=int, default=16384, help="packed tokens of an update")
    parser.add_argument("--pack-tokens", type=int, default=16384)
    parser.add_argument("--recompute", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--scratch", default="/dev/shm", help="folder for the models")
    parser.add_argument("--reduced", action="store_true", help="a tiny model, few tokens")
    parser.add_argument("--output", type=Path, help="write the results as JSON")
    options = parser.parse_args()
    if options.reduced:
        options.tokens, options.repeats, options.pack_tokens = 900, 1, 700
    return options


if __name__ == "__main__":
    run(arguments())
