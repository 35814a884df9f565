"""Is a solution right? Expected values stay on this side; the sandbox only computes."""

from __future__ import annotations

from azr_fast.config.schema import GameConfig
from azr_fast.games.azr import parse, programs
from azr_fast.games.azr.execute import Executor
from azr_fast.games.azr.refusal import Failed, Malformed
from azr_fast.games.azr.tasks import hidden_pairs
from azr_fast.sandbox import values
from azr_fast.sandbox.equality import equal
from azr_fast.selfplay.types import Answer, Task


class Grader:
    """Checks solutions. Safe to use from several threads."""

    def __init__(self, config: GameConfig, executor: Executor) -> None:
        self._config = config
        self._executor = executor

    def check(self, answer: Answer) -> None:
        """Return for a correct solution.

        Raises Malformed when the answer cannot be read, Failed when it is wrong.
        """
        task = answer.prompt.task
        assert task is not None, "a solver's prompt carries its task"
        match task.kind:
            case "deduction":
                self._deduction(task, answer)
            case "abduction":
                self._abduction(task, answer)
            case "induction":
                self._induction(task, answer)
            case kind:
                raise AssertionError(f"no such task type: {kind}")

    def _deduction(self, task: Task, answer: Answer) -> None:
        text = parse.read_block(answer.text, answer.truncated, "output").strip()
        try:
            value = values.parse(text)
        except ValueError as error:
            raise Malformed("bad_literal", f"{text!r}: {error}") from None
        if not equal(value, values.parse(str(task.payload["output"]))):
            raise Failed("wrong_output", text)

    def _abduction(self, task: Task, answer: Answer) -> None:
        text = parse.read_block(answer.text, answer.truncated, "input").strip()
        try:
            arguments = values.canonical_arguments(values.parse_arguments(text))
        except ValueError as error:
            raise Malformed("bad_literal", f"{text!r}: {error}") from None
        pair = (arguments, str(task.payload["output"]))
        self._run_and_compare(str(task.payload["program"]), [pair])

    def _induction(self, task: Task, answer: Answer) -> None:
        text = parse.read_block(answer.text, answer.truncated, "python")
        config = self._config
        program = programs.inspect(text, config.forbidden_modules, config.max_program_chars)
        self._run_and_compare(program.text, hidden_pairs(task))

    def _run_and_compare(self, program: str, pairs: list[tuple[str, str]]) -> None:
        """One job for all pairs of (arguments, expected output); only the arguments go in."""
        found = self._executor.outputs(program, [arguments for arguments, _ in pairs])
        for (arguments, expected), output in zip(pairs, found, strict=True):
            if not equal(values.parse(output), values.parse(expected)):
                raise Failed("wrong_output", f"f({arguments}) gave {output}")
