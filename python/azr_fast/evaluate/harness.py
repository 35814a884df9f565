"""Calling functions that models wrote, so that what is compared is plain data outside of them.

A function is called by its arguments, and its values are compared by us or checked by the authors'
test in another process: no expected value and no test is in the process of a model's program, and
a value that claims to equal everything is none.
"""

from __future__ import annotations

from collections.abc import Sequence

from azr_fast.evaluate.programs import Budget, Programs
from azr_fast.games.azr.refusal import Failed
from azr_fast.sandbox import values

CALL, MAIN = "azr_call", "azr_main"

# A value that `==` treats as a plain one becomes it: a Counter a dict, a namedtuple a tuple, a
# number of numpy a number. An array stays apart from a list, which it does not equal.
_PLAIN = """
def azr_plain(value):
    kind = type(value)
    if kind in (bool, int, float, complex, str, bytes, type(None)):
        return value
    for base in (int, float, complex, str, bytes):
        if isinstance(value, base):
            return base(value)
    for base in (list, tuple, set, frozenset):
        if isinstance(value, base):
            return base([azr_plain(one) for one in value])
    if isinstance(value, dict):
        return {azr_plain(key): azr_plain(one) for key, one in value.items()}
    if kind.__module__ == "numpy":
        plain = value.tolist()
        return ("array", plain) if kind.__name__ == "ndarray" else plain
    return value
"""
_CALL = """
def azr_call(*arguments):
    return azr_plain({entry}(*arguments))
"""
_CALL_NOT_NONE = """
def azr_call(*arguments):
    value = {entry}(*arguments)
    return value if isinstance(value, bool) else value is not None
"""
# The test is a module of its own, over the names of the right answer, in which `entry` is ours.
_RECORD = """
def azr_main():
    import copy
    asked = []
    gold = {entry}
    def azr_candidate(*arguments):
        asked.append(copy.deepcopy(list(arguments)))
        return gold(*arguments)
    exec({test}, dict(globals(), {entry}=azr_candidate))
    return azr_plain(asked)
"""
_REPLAY = """
def azr_main(asked, said):
    pairs = iter(zip(asked, said))
    def azr_candidate(*arguments):
        expected, value = next(pairs, (None, None))
        if azr_plain(list(arguments)) != expected:
            raise LookupError("the test asks for something else after these values")
        return value
    exec({test}, dict(globals(), {entry}=azr_candidate))
    return "passed"
"""


async def call_function(
    programs: Programs,
    program: str,
    entry: str,
    arguments: Sequence[str],
    budget: Budget,
    not_none: bool = False,
) -> list[str]:
    """Canonical texts of a function's values. Raises Failed."""
    call = (_CALL_NOT_NONE if not_none else _CALL).format(entry=entry)
    return await programs.values(f"{program}\n{_PLAIN}{call}", CALL, arguments, budget)


class AuthorsTest:
    """The test that a benchmark's authors wrote: the text of a module that calls `entry` by its
    name. `program` is the right answer that they wrote, with what else the test needs."""

    def __init__(
        self, programs: Programs, program: str, entry: str, test: str, budget: Budget
    ) -> None:
        self._programs = programs
        self._budget = budget
        words = {"entry": entry, "test": repr(test)}
        self._recording = program + _PLAIN + _RECORD.format(**words)
        self._replaying = program + _PLAIN + _REPLAY.format(**words)

    async def questions(self) -> list[str]:
        """The argument lists that the test calls `entry` with. Raises Failed, as for arguments
        that are no plain values."""
        (asked,) = await self._programs.values(self._recording, MAIN, [""], self._budget)
        calls = values.parse(asked)
        assert isinstance(calls, list)
        return [values.canonical_arguments(call) for call in calls if isinstance(call, list)]

    async def check(self, questions: Sequence[str], said: Sequence[str]) -> None:
        """Let the test judge the values that were said for these questions. Raises Failed."""
        asked = ", ".join(f"[{question}]" for question in questions)
        arguments = f"[{asked}], [{', '.join(said)}]"
        try:
            await self._programs.values(self._replaying, MAIN, [arguments], self._budget)
        except Failed as failed:
            raise Failed("failed_test", failed.evidence) from None
