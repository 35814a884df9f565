"""A training step, ours and the reference's way and TRL's, in one run on the same machine.

    python benchmarks/step.py --preset cpu --steps 3 --output benchmarks/results/step_cpu.json
    python benchmarks/step.py --reduced           # a tiny random model: shows that the script works

Each side trains from the same weights with the same preset. Its first step warms up and is left
out. Reported are, summed over the other steps: seconds and tokens by phase, trained tokens a
second, MFU of the update, tokens a second and MBU of decoding, the share of the time in which the
engine decodes nothing, and peak memory. MFU and MBU are shares of what the machine is measured to
do at the start; on a card that is known, of its data sheet too. `step_sides.py` says what the
reference's way is. TRL's GRPOTrainer runs where trl is installed, on the prompts of our last step
and answers as long (`step_trl.py`).

An update without an advantage anywhere is skipped, as in training: on the tiny random model all
figures of the update are then 0.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import sys
import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from rich.console import Console
from step_counts import ceilings, decode_bytes, update_flop
from step_models import make_tiny
from step_sides import CountedEngine, ReferenceTrainer, WatchedPolicy
from step_trl import run_trl

from azr_fast.config.load import load_config
from azr_fast.config.schema import Config
from azr_fast.observe.files import read_lines
from azr_fast.observe.progress import open_observer
from azr_fast.observe.runfolder import RunFolder
from azr_fast.policy.device import resolve_device
from azr_fast.policy.footprint import ModelShape, read_shape
from azr_fast.policy.memory import memory_use
from azr_fast.policy.policy import Policy
from azr_fast.rollout.engine import Engine
from azr_fast.selfplay.loop import Trainer
from azr_fast.selfplay.player import Parts
from azr_fast.session import open_trainer
from azr_fast.types import Role

REDUCED = {
    "play.proposals": 2, "play.solves": 2, "play.price_samples": 2, "seeding.tasks": 0,
    "rollout.max_new_tokens": 8, "rollout.engine": "transformers", "rollout.concurrency": 8,
    "model.dtype": "float32", "parity.max_gap": 1.0,
}  # fmt: skip
SIDES = {"ours": partial(Trainer, should_stop=lambda: False), "reference": ReferenceTrainer}
Line = dict[str, Any]


def run_side(name: str, config: Config, shape: ModelShape, limits: Line) -> Line:
    """Warm up, train, count. Raises UserError where training does."""
    forget_peak()
    run = RunFolder.create(config)
    console = Console(stderr=True)
    with closing(run), closing(open_observer(console)) as observer:
        with open_trainer(config, run, observer, lambda: False) as opened:
            policy = WatchedPolicy(opened.policy, scores_first=name == "reference")
            engine = CountedEngine(opened.engine)
            opened.episodes.decoder._engine = engine
            of_role = dict.fromkeys(Role, cast(Policy, policy))
            parts = Parts(
                opened.game, opened.buffer, of_role, cast(Engine, engine), opened.episodes
            )
            trainer = SIDES[name](config, parts, run, observer)
            trainer.begin()
            trainer.attempt(1)
            counts = measure(trainer, policy, engine, config, shape)
        lines = list(read_lines(run.metrics))[1:]
    return summary(lines, counts, config, shape, limits)


def forget_peak() -> None:
    """Let peak memory count from now on: clear_refs of proc(5), and torch's own count on a GPU."""
    Path("/proc/self/clear_refs").write_text("5")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def measure(
    trainer: Trainer,
    policy: WatchedPolicy,
    engine: CountedEngine,
    config: Config,
    shape: ModelShape,
) -> Line:
    """Steps 2 and later, and what they computed."""
    engine.passes, engine.answers, policy.scoring_s = 0, [], 0.0
    flop, prompts = 0.0, []
    for step in range(2, config.run.steps + 2):
        trainer.attempt(step)
        flop += update_flop(shape, policy.packs())
        prompts = [(s.prompt_ids, len(s.response_ids)) for s in policy.batch]
    extra = {"old_logprobs": policy.scoring_s}
    if isinstance(trainer, ReferenceTrainer):
        extra["ast_distances"] = trainer.player.distances_s
    read = decode_bytes(shape, config.model.dtype, engine.passes, engine.answers)
    return {"flop": flop, "bytes": read, "extra": extra, "prompts": prompts} | memory_use()


def summary(
    lines: list[Line], counts: Line, config: Config, shape: ModelShape, limits: Line
) -> Line:
    """Figures of the steps whose metrics `lines` are."""
    seconds: dict[str, float] = {}
    for line in lines:
        for phase, value in line["seconds"].items():
            seconds[phase] = seconds.get(phase, 0.0) + value
    whole = sum(seconds[phase] for phase in ("sync", "play", "update"))
    updates = [line["update"] for line in lines]
    trained = sum(update["tokens_trained"] for update in updates)
    decoding = seconds["play"] - seconds["verify_blocked"]
    sampled = sum(line["tokens"]["sampled"] for line in lines)
    rates = {
        "mfu_update": counts["flop"] / max(seconds["update"], 1e-9) / limits["flop_per_s"],
        "mbu_decoding": counts["bytes"] / max(decoding, 1e-9) / limits["bytes_per_s"],
    }
    if "sheet_flop_per_s" in limits:
        rates["mfu_update_sheet"] = (
            rates["mfu_update"] * limits["flop_per_s"] / limits["sheet_flop_per_s"]
        )
        rates["mbu_decoding_sheet"] = (
            rates["mbu_decoding"] * limits["bytes_per_s"] / limits["sheet_bytes_per_s"]
        )
    return {
        "steps": len(lines),
        "seconds": seconds | counts["extra"],
        "seconds_per_step": whole / len(lines),
        "tokens": {
            "sampled": sampled,
            "trained": trained,
            "computed": sum(update["tokens_computed"] for update in updates),
        },
        "trained_tokens_per_s": trained / whole,
        "sampled_tokens_per_s_of_play": sampled / max(seconds["play"], 1e-9),
        "engine_idle": 1 - decoding / whole,
        "peak_gib": counts.get("gpu_peak_gib", counts["peak_gib"]),
        "prompts": counts["prompts"],
    } | rates


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--preset", default="cpu", help="preset or .toml file")
    parser.add_argument("--model", help="built-in name, folder or .gguf; default: the preset's")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--engine", default="auto", choices=["auto", "vllm", "transformers"])
    parser.add_argument("--steps", type=int, default=3, help="measured steps of each side")
    parser.add_argument("--sides", nargs="+", default=["ours", "reference", "trl"])
    parser.add_argument("--reduced", action="store_true", help="a tiny random model, one step")
    parser.add_argument("--output", type=Path, help="write the results as JSON")
    return parser.parse_args()


def configs(options: argparse.Namespace, folder: Path) -> dict[str, Config]:
    """The config of each of our sides."""
    keys: dict[str, Any] = {
        "run.dir": str(folder), "run.steps": options.steps, "run.time_limit_minutes": 0.0,
        "run.checkpoint_every": 10**6, "run.sample_every": 10**6,
        "model.device": options.device, "rollout.engine": options.engine,
    }  # fmt: skip
    if options.model:
        keys["model.name"] = options.model
    if options.reduced:
        keys |= REDUCED | {"run.steps": 1, "model.name": str(make_tiny(folder / "tiny").folder)}
    reference = {"play.train_on_priced_answers": False}
    return {
        "ours": load_config(options.preset, keys | {"run.name": "ours"}),
        "reference": load_config(options.preset, keys | {"run.name": "reference"} | reference),
    }


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="azr-step") as folder:
        sides = configs(options, Path(folder))
        config = sides["ours"]
        device = resolve_device(config.model.device)
        shape = read_shape(config.model.name)
        if shape is None:
            sys.exit(f"{config.model.name} is not on this machine: azr-fast models says how")
        limits = ceilings(device, getattr(torch, config.model.dtype))
        results: Line = {
            "machine": {
                "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
            "model": config.model.name,
            "dtype": config.model.dtype,
            "preset": options.preset,
            "reduced": options.reduced,
            "measured_limits": limits,
        }
        for name in options.sides:
            gc.collect()
            if name == "trl":
                lengths = results.get("ours", {}).get("prompts", [])
                results[name] = run_trl(config, lengths, options.steps)
            else:
                results[name] = run_side(name, sides[name], shape, limits)
            write(results, options.output)
    for name in options.sides:
        print(json.dumps({name: without_prompts(results[name])}, indent=1))


def write(results: Line, output: Path | None) -> None:
    """After each side, so that a run that is cut short leaves what it has."""
    if output:
        kept = {k: without_prompts(v) if isinstance(v, dict) else v for k, v in results.items()}
        output.write_text(json.dumps(kept, indent=1) + "\n")


def without_prompts(side: Line) -> Line:
    return {key: value for key, value in side.items() if key != "prompts"}


if __name__ == "__main__":
    main()
