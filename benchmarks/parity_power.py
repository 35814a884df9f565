"""Which faults of the weight sync show in the checksums, and which in the sampled tokens?

    python benchmarks/parity_power.py --engine vllm --rounds 10 --output results.json

SmolLM2-135M in bf16 is trained for `rounds` updates on its own answers with random advantages.
After each, the engine gets the weights with one fault, and then without: what is asked is whether
each fault is caught (by checksums; by the gap between the engine's and the trainer's log-probs of
the tokens that the engine sampled), and whether the honest sync is left alone.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch

from azr_fast.config.load import load_config
from azr_fast.config.schema import Config
from azr_fast.policy.models import resolve_model
from azr_fast.policy.packing import TrainSequence
from azr_fast.policy.policy import Policy
from azr_fast.rollout import open_engine
from azr_fast.rollout.checksum import checksums
from azr_fast.rollout.engine import Engine
from azr_fast.rollout.load import load_renderer
from azr_fast.rollout.parity import DEFAULT_LIMITS, first_answers, mean_gap
from azr_fast.rollout.renderer import Renderer

Weights = dict[str, torch.Tensor]
UP, DOWN = "model.layers.{}.mlp.up_proj.weight", "model.layers.{}.mlp.down_proj.weight"


def faults(new: Weights, old: Weights) -> Iterator[tuple[str, Weights]]:
    """Every fault and the weights that reach the engine then; `old` are one update older."""
    head = {name: old[name] for name in ("lm_head.weight", "model.embed_tokens.weight")}
    swapped = {UP.format(a): new[UP.format(b)] for a, b in ((10, 20), (20, 10))}
    yield "one layer is one update old", new | {DOWN.format(15): old[DOWN.format(15)]}
    yield "the head is one update old", new | head
    yield "two layers are swapped", new | swapped
    yield "everything is one update old", old
    yield "none", new


def batch_of(answers: list[TrainSequence], rng: random.Random) -> list[TrainSequence]:
    tokens = sum(len(answer.response_ids) for answer in answers)
    return [replace(a, advantage=rng.choice((-1.0, 1.0)), weight=1 / tokens) for a in answers]


def measure(
    engine: Engine, policy: Policy, renderer: Renderer, config: Config, rounds: int
) -> dict:
    """By fault: how often it was caught by either proof, and the gap of each round."""
    found: dict[str, dict] = {}
    rng = random.Random(0)
    for step in range(rounds):
        old = {name: weight.clone() for name, weight in policy.named_weights()}
        policy.update(batch_of(first_answers(engine, renderer, config, seed=step), rng))
        new = dict(policy.named_weights())
        sent = checksums(new.items())
        for name, weights in faults(new, old):
            engine.update_weights(weights.items())
            row = found.setdefault(name, {"by_checksums": 0, "by_samples": 0, "gaps": []})
            row["by_checksums"] += bool(engine.differing(sent))
            gap, _ = mean_gap(policy, first_answers(engine, renderer, config, seed=1000 + step))
            row["by_samples"] += gap > DEFAULT_LIMITS[config.model.dtype]
            row["gaps"].append(round(gap, 4))
        print(f"round {step + 1} of {rounds}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--engine", choices=("vllm", "transformers"), default="vllm")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--output", type=Path, help="write the results as JSON")
    arguments = parser.parse_args()

    config = load_config("cpu", {"rollout.engine": arguments.engine})
    files = resolve_model(config.model.name)
    renderer = load_renderer(files)
    policy = Policy(files, config.model, config.update, config.rollout.temperature)
    with closing(open_engine(config.rollout, files, renderer, config.model, 0)) as engine:
        found = measure(engine, policy, renderer, config, arguments.rounds)
    result = {
        "engine": arguments.engine,
        "rounds": arguments.rounds,
        "lr": config.update.lr,
        "faults": found,
    }
    print(json.dumps(result, indent=1))
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
