"""Memory of policy updates on a CPU, step by step, beside what the plan predicts.

    python benchmarks/update_memory.py --model smollm2-135m --steps 5 --output results.json

A step is `answers` random answers of about 100 tokens to prompts of 450 that four answers share, in
the packs of the `cpu` preset. There is no engine here; its parts are left out of the prediction.
The peak of a step is the highest resident size since the step began (VmHWM of proc(5), set back by
writing 5 to /proc/self/clear_refs).
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import torch

from azr_fast.config.load import load_config
from azr_fast.config.schema import Config
from azr_fast.policy.footprint import footprint, read_shape
from azr_fast.policy.memory import memory_use
from azr_fast.policy.models import resolve_model
from azr_fast.policy.packing import TrainSequence
from azr_fast.policy.policy import Policy

ENGINE = ("engine", "cache")


def make_batch(seed: int, answers: int, vocabulary: int) -> list[TrainSequence]:
    rng = random.Random(seed)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(rng.randrange(vocabulary) for _ in range(count))

    prompts = [ids(450) for _ in range(-(-answers // 4))]
    weight = 1 / (100 * answers)
    return [
        TrainSequence(
            prompts[i // 4], ids(rng.randint(72, 128)), rng.choice((-1.0, 1.0)), weight, None
        )
        for i in range(answers)
    ]


def measure(config: Config, steps: int, answers: int) -> list[dict[str, Any]]:
    """One line for each update."""
    files = resolve_model(config.model.name)
    policy = Policy(files, config.model, config.update, config.rollout.temperature)
    vocabulary = dict(policy.named_weights())["lm_head.weight"].shape[0]
    lines = []
    for step in range(1, steps + 1):
        batch = make_batch(step, answers, vocabulary)
        Path("/proc/self/clear_refs").write_text("5")
        begin = time.perf_counter()
        stats = policy.update(batch)
        seconds = time.perf_counter() - begin
        line = {"step": step, "seconds": seconds, "tokens": stats.tokens_computed}
        line |= {"loss": stats.loss, "grad_norm": stats.grad_norm} | memory_use()
        print(json.dumps(line), flush=True)
        lines.append(line)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="smollm2-135m", help="built-in name, folder or .gguf")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--answers", type=int, default=72)
    parser.add_argument("--output", type=Path, help="write the results as JSON")
    arguments = parser.parse_args()

    keys = {"model.name": arguments.model, "model.dtype": arguments.dtype, "model.device": "cpu"}
    config = load_config("cpu", keys | {"rollout.engine": "transformers"})
    lines = measure(config, arguments.steps, arguments.answers)
    shape = read_shape(arguments.model)
    assert shape is not None, "the model is here, and its config names its sizes otherwise"
    parts = footprint(config, shape, "cpu").parts()
    predicted = {name: gib for name, gib in parts.items() if name not in ENGINE}
    result = {
        "model": resolve_model(arguments.model).name,
        "dtype": arguments.dtype,
        "pack_tokens": config.update.pack_tokens,
        "threads": torch.get_num_threads(),
        "predicted_gib": predicted | {"all": sum(predicted.values())},
        "measured_peak_gib": max(line["peak_gib"] for line in lines),
        "steps": lines,
    }
    print(json.dumps({key: result[key] for key in ("predicted_gib", "measured_peak_gib")}))
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
