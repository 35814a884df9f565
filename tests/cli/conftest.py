"""Runs of a tiny random model: a whole `azr-fast train` in seconds."""

import os
import subprocess
import sys

import pytest

from azr_fast.cli.main import main

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SMALL = {
    "model.dtype": "float32",
    "rollout.engine": "transformers",
    "rollout.max_new_tokens": 8,
    "rollout.max_prompt_tokens": 3000,  # a token is a byte
    "game.kinds": "deduction",
    "play.proposals": 2,
    "play.solves": 2,
    "play.price_samples": 2,
    "seeding.tasks": 0,
    "sandbox.zygotes": 2,
    "run.time_limit_minutes": 0,
}


def save_tiny_model(folder):
    """A random two-layer Llama whose tokens are the 256 bytes and those of ChatML."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = SPECIAL + sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=SPECIAL,
        chat_template=TEMPLATE,
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        eos_token_id=words.index("<|im_end|>"),
        initializer_range=0.2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def words(tiny_model):
    """The words of `train` for a run of the tiny model; keywords are config keys."""

    def make(**keys):
        keys = {"model.name": tiny_model} | SMALL | keys
        options = (word for key, value in keys.items() for word in (f"--{key}", str(value)))
        return ["train", "--preset", "cpu", *options]

    return make


@pytest.fixture
def train(words, capfd):
    """Trains in this process, which must succeed; returns what was shown."""

    def run(*more, **keys):
        assert main(more or words(**keys)) == 0
        return capfd.readouterr().out

    return run


@pytest.fixture
def start(tmp_path):
    """Starts `azr-fast` as a process of its own; whatever still runs at the end is killed."""
    started = []

    def run(*command, **options):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
        process = subprocess.Popen(
            [sys.executable, "-m", "azr_fast.cli", *command],
            cwd=tmp_path,
            # More threads than this model needs would wait for each other.
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            **options,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        for file in filter(None, (process.stdout, process.stderr)):
            file.close()
