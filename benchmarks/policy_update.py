"""Time one policy update on a CPU against the same gradient through plain transformers.

    python benchmarks/policy_update.py --answers 24 --output results.json

`answers` random answers of 40 to 128 tokens to three prompts of 300 tokens, the shape of a step on
a small model. The rival runs padded batches through `model(...)`, takes log-softmax of the full
logits and lets autograd do the rest (transformers' default attention, bf16). Rounds alternate;
reported are medians. "Tokens" counts prompt + answer for every answer on both sides.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from azr_fast.config.schema import ModelConfig, UpdateConfig
from azr_fast.policy.models import resolve_model
from azr_fast.policy.packing import TrainSequence
from azr_fast.policy.policy import Policy

ENTROPY = 0.001


def make_batch(answers: int, vocabulary: int) -> list[TrainSequence]:
    rng = random.Random(0)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(rng.randrange(vocabulary) for _ in range(count))

    prompts = [ids(300) for _ in range(3)]
    return [
        TrainSequence(
            prompts[i % 3], ids(rng.randint(40, 128)), rng.choice((-1.0, 1.0)), 1e-3, None
        )
        for i in range(answers)
    ]


def plain_update(model: PreTrainedModel, batch: Sequence[TrainSequence], rows: int) -> None:
    """Padded batches of `rows` answers, autograd through full logits."""
    for begin in range(0, len(batch), rows):
        part = batch[begin : begin + rows]
        tokens = [torch.tensor(s.prompt_ids + s.response_ids) for s in part]
        ids = torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(t) for t in tokens], True)
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        loss = torch.zeros(())
        for s, row in zip(part, logits, strict=True):
            first = len(s.prompt_ids) - 1
            logp = row[first : first + len(s.response_ids)].float().log_softmax(-1)
            chosen = logp.gather(1, torch.tensor(s.response_ids)[:, None])
            entropy = -(logp.exp() * logp).sum()
            loss = loss - s.weight * (s.advantage * chosen.sum() + ENTROPY * entropy)
        loss.backward()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--answers", type=int, default=24)
    parser.add_argument("--pack-tokens", type=int, default=4096)
    parser.add_argument("--rows", type=int, default=8, help="answers in a padded batch")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, help="write the results as JSON")
    arguments = parser.parse_args()

    files = resolve_model("smollm2-135m")
    update = UpdateConfig(lr=1e-6, entropy=ENTROPY, pack_tokens=arguments.pack_tokens)
    policy = Policy(files, ModelConfig(device="cpu"), update, 1.0)
    plain = AutoModelForCausalLM.from_pretrained(files.folder, dtype=torch.bfloat16)
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-6, fused=True)
    batch = make_batch(arguments.answers, plain.config.vocab_size)
    tokens = sum(len(s.prompt_ids) + len(s.response_ids) for s in batch)

    def rival() -> None:
        plain_update(plain, batch, arguments.rows)
        optimizer.step()
        optimizer.zero_grad()

    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    stats = policy.update(batch)
    for _ in range(arguments.repeats):
        for name, run in (("ours", lambda: policy.update(batch)), ("plain", rival)):
            begin = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begin)
            print(f"{name:6s} {seconds[name][-1]:7.2f} s", flush=True)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    result = {
        "model": files.name,
        "threads": torch.get_num_threads(),
        "tokens": tokens,
        "tokens_computed": stats.tokens_computed,
        "seconds": medians,
        "tokens_per_s": {name: tokens / value for name, value in medians.items()},
        "speedup": medians["plain"] / medians["ours"],
    }
    print(json.dumps(result, indent=1))
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
