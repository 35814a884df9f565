"""From a proposal to a task, or to the first check it fails (paper, section 3.3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from azr_fast.games.azr import parse, programs, tasks
from azr_fast.games.azr.composite import compose, given_functions
from azr_fast.games.azr.config import GameConfig
from azr_fast.games.azr.execute import Executor, check_length
from azr_fast.games.azr.refusal import Failed
from azr_fast.games.azr.tasks import ERRORS
from azr_fast.sandbox import values
from azr_fast.types import Source, Task


class Gate:
    """Checks proposals, cheap checks first."""

    def __init__(self, config: GameConfig, executor: Executor) -> None:
        self._config = config
        self._executor = executor

    async def task(self, source: Source, answer: str, truncated: bool) -> Task:
        """The task that an answer poses.

        Raises Malformed when the answer cannot be read, Failed at the first check it fails.
        """
        if self._config.require_tags:
            parse.check_tags(answer)
        if source.kind == "induction":
            return await self._induction(source, answer, truncated)
        text, input_text = parse.read_program_and_input(answer, truncated)
        _, keys, _ = source.key
        if given := given_functions(source):
            text = compose(text, given)
        return await self.triplet(source.kind, text, input_text, keys)

    async def triplet(
        self, kind: str, text: str, input_text: str, parents: tuple[str, ...]
    ) -> Task:
        """A task of any type but induction, from its program and input. Raises Failed."""
        config = self._config
        program = programs.inspect(text, config.forbidden_modules, config.max_program_chars)
        arguments = self._arguments(input_text)
        output = await self._output(kind, program.text, arguments)
        if config.input_must_matter and program.ignored:  # last: what fails to run says so
            raise Failed("ignored_argument", ", ".join(program.ignored))
        task = tasks.triplet(kind, program, arguments, output, parents, config.novelty)
        return replace(task, checks=self._checks(kind))

    async def induction(self, about: Task, inputs: Sequence[str], message: str) -> Task:
        """An induction task from the texts of its inputs. Raises Failed."""
        if len(message) > self._config.max_value_chars:
            raise Failed("message_too_long", f"{len(message)} characters")
        inputs = [self._arguments(text) for text in inputs]
        if len(set(inputs)) < len(inputs):
            raise Failed("duplicate_inputs", "; ".join(inputs))
        if len(inputs) < self._config.pairs:
            raise Failed("too_few_inputs", f"{len(inputs)} of {self._config.pairs}")
        outputs = await self._executor.outputs(str(about.payload["program"]), inputs)
        if self._config.input_must_matter and len(set(outputs)) == 1:
            raise Failed("constant_outputs", f"every input gives {outputs[0]}")
        pairs = list(zip(inputs, outputs, strict=True))
        task = tasks.induction(about, pairs, message, self._config.novelty)
        return replace(task, checks=self._checks("induction"))

    def _checks(self, kind: str) -> tuple[str, ...]:
        """What a task of this kind has passed, for its manifest."""
        induction = kind == "induction"
        first = ("inputs_differ",) if induction else ("program_parses", "imports_allowed")
        matters = ("outputs_differ",) if induction else ("arguments_used",)
        return (
            *("well_formed", "inputs_are_literals", *first),
            *("runs", f"{self._executor.replicas}_runs_agree", "value_is_plain"),
            *(matters if self._config.input_must_matter else ()),
        )

    async def _induction(self, source: Source, answer: str, truncated: bool) -> Task:
        (about,) = source.references
        texts, message = parse.read_inputs_and_message(answer, truncated)
        asked, count = argument_lists(texts), self._config.pairs
        kept = asked[-count:] if self._config.inputs_kept == "last" else asked[:count]
        return await self.induction(about, kept, message)

    async def _output(self, kind: str, program: str, arguments: str) -> str:
        if kind == ERRORS:
            return await self._executor.error(program, arguments)
        (output,) = await self._executor.outputs(program, [arguments])
        return output

    def _arguments(self, text: str) -> str:
        """Canonical text of a proposed argument list; it must be plain literals, at least one."""
        try:
            arguments = values.parse_arguments(text.strip())
            canonical = values.canonical_arguments(arguments)
        except ValueError as error:
            raise Failed("bad_input", f"{text.strip()!r}: {error}") from None
        if not arguments:
            raise Failed("no_arguments", "the input is empty")
        check_length(canonical, self._config.max_value_chars)
        return canonical


def argument_lists(blocks: Sequence[str]) -> list[str]:
    """The argument lists of input blocks: one to a block, or one to a line where every line of a
    block is an argument list by itself."""
    lists: list[str] = []
    for block in blocks:
        lines = [line.strip() for line in block.split("\n") if line.strip()]
        by_line = len(lines) > 1 and all(_stands_alone(line) for line in lines)
        lists.extend(lines if by_line else [block])
    return lists


def _stands_alone(line: str) -> bool:
    if line.endswith(","):
        return False
    try:
        values.parse_arguments(line)
    except ValueError:
        return False
    return True
