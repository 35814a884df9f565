"""Why an answer did not pass. Raised where it is found, made a Verdict in one place (game.py)."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818 - nothing went wrong: it is a verdict
    """An answer that does not pass: a stable `code` and, for people, what was seen."""

    def __init__(self, code: str, evidence: str = "") -> None:
        super().__init__(code, evidence)
        self.code = code
        self.evidence = evidence


class Malformed(Refusal):
    """The answer could not be read."""


class Failed(Refusal):
    """The answer was read, and what it says fails a check."""
