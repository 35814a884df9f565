"""What the program of a question computes: the truth about its answer."""

from __future__ import annotations

from dataclasses import dataclass

from azr_fast.sandbox import values
from azr_fast.sandbox.client import AsyncClient
from azr_fast.types import Status, Verdict

ENTRY = "answer"
LONGEST = 200  # characters of an answer
_EVIDENCE_CHARS = 500


@dataclass(frozen=True, slots=True)
class Truth:
    """Runs programs of questions, twice over in interpreters that hash differently. No executor's
    program runs with them, and none is told what they gave."""

    client: AsyncClient
    pool: str = ""

    async def of(self, program: str) -> str | Verdict:
        """The answer as text, or why the program gives none: a verdict with the sandbox's code."""
        text = program.encode("utf-8", "replace").decode()
        reply = await self.client.call(text, ENTRY, [""], replicas=2, pool=self.pool)
        result = reply.results[0] if reply.results else None
        if reply.verdict != "ok" or result is None or result.verdict != "ok":
            failed = result if result is not None and reply.verdict == "ok" else reply
            told = (failed.verdict, failed.type, failed.reason, failed.message)
            return _refused(f"program_{failed.verdict}", ": ".join(filter(None, told)))
        try:
            value = values.parse(result.value or "")
        except ValueError as error:
            return _refused("program_crash", str(error))
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return _refused("program_no_number", f"a value of type {type(value).__name__}")
        answer = value.strip() if isinstance(value, str) else result.value or ""
        if not 0 < len(answer) <= LONGEST:
            return _refused("program_too_long", f"{len(answer)} characters")
        return answer


def _refused(code: str, evidence: str) -> Verdict:
    return Verdict(Status.REJECTED, code, evidence[:_EVIDENCE_CHARS])
