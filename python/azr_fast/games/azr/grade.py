"""Is a solution right? Expected values stay on this side; the sandbox only computes."""

from __future__ import annotations

from azr_fast.games.azr import parse, programs
from azr_fast.games.azr.config import GameConfig
from azr_fast.games.azr.execute import Executor
from azr_fast.games.azr.refusal import Failed, Malformed
from azr_fast.games.azr.tasks import hidden_pairs
from azr_fast.sandbox import values
from azr_fast.sandbox.equality import equal
from azr_fast.types import Task


class Grader:
    """Checks solutions."""

    def __init__(self, config: GameConfig, executor: Executor) -> None:
        self._config = config
        self._executor = executor

    async def check(self, task: Task, answer: str, truncated: bool) -> None:
        """Return for a correct solution.

        Raises Malformed when the answer cannot be read, Failed when it is wrong.
        """
        if self._config.require_tags:
            parse.check_tags(answer)
        match task.kind:
            case "deduction":
                _deduction(task, parse.read_block(answer, truncated, "output").strip())
            case "abduction":
                await self._abduction(task, parse.read_block(answer, truncated, "input").strip())
            case "induction":
                await self._induction(task, parse.read_block(answer, truncated, "python"))
            case "error_deduction":
                _error(task, parse.read_block(answer, truncated, "output").strip())
            case kind:
                raise AssertionError(f"no such task type: {kind}")

    async def _abduction(self, task: Task, text: str) -> None:
        try:
            arguments = values.canonical_arguments(values.parse_arguments(text))
        except ValueError as error:
            raise Malformed("bad_literal", f"{text!r}: {error}") from None
        pair = (arguments, str(task.payload["output"]))
        await self._run_and_compare(str(task.payload["program"]), [pair])

    async def _induction(self, task: Task, text: str) -> None:
        config = self._config
        program = programs.inspect(text, config.forbidden_modules, config.max_program_chars)
        await self._run_and_compare(program.text, hidden_pairs(task))

    async def _run_and_compare(self, program: str, pairs: list[tuple[str, str]]) -> None:
        """One job for all pairs of (arguments, expected output); only the arguments go in."""
        found = await self._executor.outputs(program, [arguments for arguments, _ in pairs])
        for (arguments, expected), output in zip(pairs, found, strict=True):
            if not equal(values.parse(output), values.parse(expected)):
                raise Failed("wrong_output", f"f({arguments}) gave {output}")


def _error(task: Task, text: str) -> None:
    """Quotes about the name of an exception say nothing."""
    name = text.strip("`'\"")
    if not name.isidentifier():
        raise Malformed("bad_name", text)
    if name != task.payload["output"]:
        raise Failed("wrong_output", name)


def _deduction(task: Task, text: str) -> None:
    try:
        value = values.parse(text)
    except ValueError as error:
        raise Malformed("bad_literal", f"{text!r}: {error}") from None
    if not equal(value, values.parse(str(task.payload["output"]))):
        raise Failed("wrong_output", text)
