"""Everything that an evaluation needs, opened in order and closed on every way out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from azr_fast.config.schema import ModelConfig, RolloutConfig
from azr_fast.errors import UserError
from azr_fast.evaluate.benchmark import Tools
from azr_fast.evaluate.programs import open_programs
from azr_fast.evaluate.run import Voice
from azr_fast.mathematics import Equality
from azr_fast.policy.library import told
from azr_fast.policy.models import ModelFiles
from azr_fast.rollout import open_engine
from azr_fast.rollout.decoder import Decoder, RolloutStats
from azr_fast.rollout.load import load_renderer

_LEAST_PROMPT = 256  # tokens
_LONGEST_PROMPT = 6144


@contextmanager
def open_tools(runner: asyncio.Runner, zygotes: int = 0) -> Iterator[Tools]:
    """What judges use; the programs wait in the runner's event loop."""
    with ExitStack() as stack:
        programs = open_programs(stack, zygotes)
        stack.callback(lambda: runner.run(programs.close()))
        yield Tools(programs, stack.enter_context(Equality()))


@dataclass(frozen=True, slots=True)
class Speech:
    """How a subject speaks: its config, and the most tokens of an answer."""

    model: ModelConfig
    rollout: RolloutConfig


@contextmanager
def open_voice(
    files: ModelFiles,
    speech: Speech,
    runner: asyncio.Runner,
    should_stop: Callable[[], bool],
    on_progress: Callable[[RolloutStats], None] = lambda stats: None,
) -> Iterator[Voice]:
    """A model that can be asked. Its engine is started when it first is."""
    with ExitStack() as stack:
        renderer = load_renderer(files)
        opened: list[Decoder] = []

        def decoder() -> Decoder:
            if not opened:
                engine = open_engine(speech.rollout, files, renderer, speech.model, seed=0)
                stack.enter_context(closing(engine))
                opened.append(Decoder(engine, runner, should_stop, on_progress))
            return opened[0]

        yield Voice(renderer, decoder, speech.rollout.max_prompt_tokens)


def fitted(rollout: RolloutConfig, files: ModelFiles) -> RolloutConfig:
    """The config with prompts as long as the model's context leaves room for, beside an answer.

    Raises UserError where the answer alone fills it.
    """
    from transformers import AutoConfig

    with told(f"cannot read the config of {files.folder}", "get the model again"):
        model = AutoConfig.from_pretrained(files.folder).get_text_config()
    context = model.to_dict().get("max_position_embeddings") or 1 << 30
    room = context - rollout.max_new_tokens
    if room < _LEAST_PROMPT:
        raise UserError(
            f"answers of {rollout.max_new_tokens} tokens leave no room for prompts in the context "
            f"of {files.name}, {context} tokens: lower --max-new-tokens"
        )
    return rollout.model_copy(update={"max_prompt_tokens": min(room, _LONGEST_PROMPT)})
