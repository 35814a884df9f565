"""From what a curriculum agent writes to a question, or to the reason why it is none."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from azr_fast.games.agent0.config import Agent0Section
from azr_fast.mathematics import last_boxed
from azr_fast.types import Status, Task, Verdict

KIND = "question"
_QUESTION = re.compile(r"<question>(?P<text>(?:(?!<question>).)*?)</question>", re.DOTALL)
_PROGRAM = re.compile(r"^```(?:python3?|py)[ \t]*\n(?P<code>.*?)^```", re.DOTALL | re.MULTILINE)
# What nobody can see who is given text alone.
_PICTURE = re.compile(r"!\[[^\]]*\]\(|\\includegraphics|\[asy\]|<img\b|data:image/|https?://", re.I)
_PROOF = re.compile(r"\b(?:prove|show) that\b|\bproof\b", re.IGNORECASE)
_EVIDENCE_CHARS = 500


@dataclass(frozen=True, slots=True)
class Draft:
    """A question that passed the checks of its form, the setter's own answer, and its program."""

    question: str
    answer: str
    program: str | None


def read(said: str, rules: Agent0Section) -> Draft | Verdict:
    """The question that was written, or a verdict that says what is wrong.

    Malformed: no_question, no_answer (none in a box after the question), no_program where one was
    asked for. Rejected: empty, too_long, not_text, answer_shown, asks_for_proof.
    """
    asked = list(_QUESTION.finditer(said))
    if not asked:
        return _bad(Status.MALFORMED, "no_question", said)
    question, rest = asked[-1]["text"].strip(), said[asked[-1].end() :]
    if reason := _fault(question, rules):
        return _bad(Status.REJECTED, reason, question)
    answer, program = last_boxed(_PROGRAM.sub("", rest)), _PROGRAM.search(rest)
    if answer is None:
        return _bad(Status.MALFORMED, "no_answer", rest)
    if rules.programs and program is None:
        return _bad(Status.MALFORMED, "no_program", rest)
    return Draft(question, answer, program["code"] if program and rules.programs else None)


def task_of(draft: Draft, truth: str | None) -> Task:
    """A question as a task. Equal questions have one key, however they are spaced or capitalised.
    `truth` is what its program gave."""
    words = " ".join(draft.question.casefold().split())
    payload = {"question": draft.question, "setter": draft.answer, "truth": truth}
    key = hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()
    return Task(KIND, key, payload, label="vote")


def _fault(question: str, rules: Agent0Section) -> str | None:
    if not re.search(r"\w", question):
        return "empty"
    if len(question) > rules.max_question_chars:
        return "too_long"
    if _PICTURE.search(question):
        return "not_text"
    if r"\boxed" in question:
        return "answer_shown"
    return "asks_for_proof" if _PROOF.search(question) else None


def _bad(status: Status, code: str, evidence: str) -> Verdict:
    return Verdict(status, code, evidence[-_EVIDENCE_CHARS:])
