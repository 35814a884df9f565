"""TRL's GRPOTrainer on the prompts of a step, with answers as long as those of the step.

Its rewards are random: what they are costs nothing and changes no shape. Its settings are TRL's
own but for what the step decides: model, dtype, learning rate, answers to a prompt, lengths.
"""

from __future__ import annotations

import importlib.util
import random
import tempfile
import time
from statistics import fmean
from typing import Any

from azr_fast.config.schema import Config
from azr_fast.policy.device import resolve_device
from azr_fast.policy.models import resolve_model

MISSING = "trl is not installed here: pip install trl datasets, and run again"
ANSWERS = 4  # to a prompt, in place of ours, which vary


def run_trl(config: Config, prompts: list[tuple[tuple[int, ...], int]], steps: int) -> Any:
    """Seconds of a step and trained tokens a second, or why there are none."""
    if not all(importlib.util.find_spec(name) for name in ("trl", "datasets")):
        return {"skipped": MISSING}
    if not prompts:
        return {"skipped": "it takes the prompts of our side: run that too"}
    return train(config, prompts, steps)


def train(config: Config, prompts: list[tuple[tuple[int, ...], int]], steps: int) -> Any:
    """GRPO for one step that warms up and `steps` more."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    folder = resolve_model(config.model.name).folder
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = [tokenizer.decode(ids) for ids, _ in prompts][::ANSWERS] or [""]
    length = max(1, round(fmean(tokens for _, tokens in prompts)))
    on_cpu = resolve_device(config.model.device).type == "cpu"
    vllm = not on_cpu and importlib.util.find_spec("vllm") is not None
    clock = _Clock()
    with tempfile.TemporaryDirectory(prefix="azr-trl") as output:
        settings = GRPOConfig(
            output_dir=output,
            max_steps=steps + 1,
            num_generations=ANSWERS,
            per_device_train_batch_size=ANSWERS,
            gradient_accumulation_steps=len(texts),
            max_completion_length=length,
            learning_rate=config.update.lr,
            bf16=config.model.dtype == "bfloat16",
            use_cpu=on_cpu,
            report_to=[],
            save_strategy="no",
            generation_kwargs={} if vllm else {"min_new_tokens": length},
            use_vllm=vllm,
            vllm_mode="colocate",
        )
        trainer = GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(folder, dtype=config.model.dtype),
            reward_funcs=_random_rewards,
            args=settings,
            train_dataset=Dataset.from_dict({"prompt": texts}),
            processing_class=tokenizer,
            callbacks=[clock.callback()],
        )
        trainer.train()
    trained = steps * len(texts) * ANSWERS * length
    seconds = clock.seconds[1:]
    return {
        "steps": len(seconds),
        "seconds_per_step": fmean(seconds),
        "tokens": {"trained": trained},
        "trained_tokens_per_s": trained / sum(seconds),
    }


def _random_rewards(completions: list[Any], **_: Any) -> list[float]:
    return [random.random() for _ in completions]


class _Clock:
    """Seconds of each step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def callback(self) -> Any:
        """For transformers' trainers."""
        from transformers import TrainerCallback

        seconds = self.seconds

        class Callback(TrainerCallback):
            def on_step_begin(self, *_: Any, **__: Any) -> None:
                self.since = time.perf_counter()

            def on_step_end(self, *_: Any, **__: Any) -> None:
                seconds.append(time.perf_counter() - self.since)

        return Callback()
