"""The renderer of a model folder, checked against the model that it belongs to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from azr_fast.errors import UserError
from azr_fast.policy.library import quiet, told
from azr_fast.policy.models import ModelFiles
from azr_fast.rollout.probe import REMEDY, probe
from azr_fast.rollout.renderer import Renderer
from azr_fast.types import Message


def load_renderer(files: ModelFiles, plain: bool = False) -> Renderer:
    """Load the tokenizer, find the facts of its template, and try it. With `plain`, the template is
    left aside for paragraphs of User and Assistant.

    Raises UserError when its files cannot be read, or are not those of this model.
    """
    folder = files.folder
    with quiet(), told(f"cannot load the tokenizer of {folder}", REMEDY):
        tokenizer, size = _load(folder)
        eos = _eos_ids(folder / "config.json") | _eos_ids(folder / "generation_config.json")
    if not tokenizer.is_fast:
        raise UserError(
            f"the tokenizer of {folder} has no tokenizer.json: use a model that has one"
        )
    if plain:
        tokenizer.chat_template = None
    template = probe(tokenizer, files.name, eos)
    _check_ids(folder, tokenizer, template.ends, size)
    renderer = Renderer(tokenizer, template)
    if not renderer.begin([Message("user", "Hello")]).ids:
        raise UserError(f"{folder} turns a prompt into no tokens: {REMEDY}")
    return renderer


def _load(folder: Path) -> tuple[Any, int]:
    """The tokenizer, and how many ids the model has."""
    from transformers import AutoConfig, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    return tokenizer, int(config.get_text_config().vocab_size)


def _check_ids(folder: Path, tokenizer: Any, ends: frozenset[int], size: int) -> None:
    """Every id that the tokenizer gives, or that ends an answer, has a row of the embedding."""
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if not 0 <= largest < size:
        raise UserError(
            f"{folder} has a tokenizer with ids up to {largest} and a model of {size} ids: {REMEDY}"
        )
    for outside in sorted(ends - set(range(size))):
        raise UserError(
            f"{folder} ends answers by token {outside} (eos_token_id), and its model has {size} "
            "ids: mend config.json and generation_config.json"
        )


def _eos_ids(file: Path) -> set[int]:
    """eos_token_id of a config file: one id, a list of ids, or absent."""
    if not file.is_file():
        return set()
    eos = json.loads(file.read_bytes()).get("eos_token_id")
    return set(eos if isinstance(eos, list) else [eos]) - {None}
