"""Runs of a tiny random model with its real engine and update, for a game of lengths."""

import shutil
from asyncio import Runner
from contextlib import closing
from dataclasses import replace

import pytest
import torch

from azr_fast.config.load import load_config
from azr_fast.observe.runfolder import RunFolder
from azr_fast.policy.models import ModelFiles, resolve_model
from azr_fast.rollout.decoder import Decoder
from azr_fast.rollout.episodes import Episodes
from azr_fast.rollout.load import load_renderer
from azr_fast.selfplay.buffer import TaskBuffer
from azr_fast.selfplay.limit import TimeLimit
from azr_fast.selfplay.loop import Trainer
from azr_fast.selfplay.player import Parts
from azr_fast.selfplay.policies import open_policies
from azr_fast.session import sampling

from .length_game import FaultyEngine, LengthGame, Told

KEYS = {
    "run.name": "run",
    "run.steps": 6,
    "run.checkpoint_every": 100,
    "model.dtype": "float32",
    "play.proposals": 4,
    "play.solves": 2,
    "play.price_samples": 2,
    "seeding.tasks": 0,
    "rollout.max_prompt_tokens": 64,
    "rollout.max_new_tokens": 8,
    "update.lr": 1e-3,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A random Llama of one layer that speaks with SmolLM2's tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny")
    for path in resolve_model("smollm2-135m").folder.iterdir():
        if path.suffix != ".safetensors" and path.name != "config.json":
            shutil.copy(path, folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, tie_word_embeddings=True, initializer_range=0.2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return ModelFiles(folder, "tiny")


@pytest.fixture
def play(tmp_path, files):
    """Trains a run; `prepare` gets the trainer before it starts. Returns it and
    what was raised."""

    def train(game=LengthGame, prepare=lambda trainer: None, resume=False, **keys):
        own = {"run.dir": str(tmp_path), "model.name": str(files.folder)}
        config = load_config("cpu", own | KEYS | keys)
        run = RunFolder.resume(tmp_path / "run") if resume else RunFolder.create(config)
        renderer, told, raised = load_renderer(files), Told(), None
        with closing(run), closing(TaskBuffer(run.tasks, 100)) as buffer, Runner() as runner:
            renderer.template = replace(renderer.template, ends=game.end_tokens)
            stops = renderer.stops
            engine = FaultyEngine(config.rollout, files, stops, config.model)
            policies = open_policies(config, files, files if config.update.kl else None)
            rollout = config.rollout
            episodes = Episodes(
                Decoder(engine, runner), renderer, sampling(rollout), rollout.max_prompt_tokens
            )
            parts = Parts(game(), buffer, policies, engine, episodes)
            limit = TimeLimit(config.run.time_limit_minutes, lambda: False)
            trainer = Trainer(config, parts, run, told, limit)
            prepare(trainer)
            limit.begin()
            try:
                trainer.train()
            except (RuntimeError, ValueError) as error:
                raised = error
        return trainer, raised

    return train
