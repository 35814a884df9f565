"""The facts of a chat template, found by rendering dummy conversations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from types import MappingProxyType
from typing import Any

from azr_fast.policy.library import told
from azr_fast.rollout.chat_text import ChatText
from azr_fast.rollout.templates import FOLLOWERS, Template
from azr_fast.types import Message

# Tags that models put around their thoughts; templates that know a pair are found by trying it.
THOUGHTS = (
    ("<think>", "</think>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
)
# Contents of the dummy messages: words that no template writes itself.
SYSTEM, ASK, SAY, NEXT, MULL = "rule6q", "ask7q", "say8q", "next9q", "mull5q"
REMEDY = "get the tokenizer's files again, those that belong to this model"
Turns = tuple[tuple[str, str], ...]  # roles and contents


def probe(tokenizer: Any, model: str, eos_ids: Iterable[int] = ()) -> Template:
    """Find the facts of a tokenizer's template. `eos_ids` are those of the model's files.

    Raises UserError when the template cannot even write a user's message.
    """
    found = _Probe(tokenizer, model)
    ends = found.end_tokens()
    eos = {tokenizer.eos_token_id, *eos_ids} - {None}
    return Template(
        model=model,
        is_plain=found.text.is_plain,
        takes_system=SYSTEM in (found.write(("system", SYSTEM), ("user", ASK)) or ""),
        preamble=found.preamble,
        turn_head=found.turn_head,
        answer_head=found.head,
        opens_thought=_open_tags(found.head) is not None,
        ends=frozenset(eos | {tokenizer.convert_tokens_to_ids(end) for end in ends}),
        after_end=found.after_end,
        stop_strings=found.stop_strings(),
        drops_thoughts=any(map(found.loses_thoughts, FOLLOWERS)),
        special_tags=frozenset(found.tags & found.special),
        controls=frozenset(found.special | found.structure | ends),
        structure=frozenset(found.structure | ends | _names(tokenizer, eos)),
        dummy_answer=found.answers[0],
        refusals=MappingProxyType(found.refusals()),
    )


class _Probe:
    """One tokenizer under trial. What its template cannot write is None."""

    def __init__(self, tokenizer: Any, model: str) -> None:
        self.model = model
        self.text = ChatText(tokenizer)
        added = tokenizer.added_tokens_decoder.values()
        self.added = {token.content for token in added}
        self.special = {token.content for token in added if token.special}
        self.bos = tokenizer.bos_token or ""
        with told(f"the chat template of {model} cannot be used", REMEDY):
            self.prompt = self.text.write([Message("user", ASK)])

    def write(self, *turns: tuple[str, str], ask: bool = True) -> str | None:
        """The text of these turns, or None: templates refuse by exceptions of many kinds."""
        try:
            return self.text.write([Message(*turn) for turn in turns], ask)
        except Exception:
            return None

    @cached_property
    def history(self) -> str:
        """An answer among other messages, or at the end where nothing may follow it."""
        turns = ("user", ASK), ("assistant", SAY)
        history = self.write(*turns, ("user", NEXT)) or self.write(*turns, ask=False) or ""
        return history if SAY in history else ""

    @property
    def turn_head(self) -> str:
        """The text between a user's message and the answer."""
        return self.history.partition(ASK)[2].partition(SAY)[0]

    @cached_property
    def head(self) -> str:
        """What a prompt ends with and an answer in the history does not begin with."""
        before = self.history.partition(SAY)[0]
        return self.prompt.removeprefix(before) if before and self.prompt.startswith(before) else ""

    @cached_property
    def between(self) -> str:
        """The text between an answer and the user's next message."""
        return self.history.partition(SAY)[2].partition(NEXT)[0]

    @cached_property
    def closing(self) -> str:
        """What ends an answer that nothing follows."""
        last = self.write(("user", ASK), ("assistant", SAY), ask=False) or ""
        return last.partition(SAY)[2]

    @cached_property
    def end_token(self) -> str:
        """The token that the template writes first after an answer, or ""."""
        return self.first_token(self.between or self.closing)

    @property
    def after_end(self) -> str:
        after = self.between.lstrip().removeprefix(self.end_token)
        return after[: len(after) - len(after.lstrip())] if self.end_token and self.closing else ""

    @property
    def preamble(self) -> str:
        """What stands before the head of the user's first message, bos apart."""
        if not self.between:
            return ""
        before_user = self.prompt.partition(ASK)[0]
        if self.bos not in self.between:  # SmolLM2 calls the start of every turn bos
            before_user = before_user.removeprefix(self.bos)
        later_head = self.between.lstrip()
        head = later_head.removeprefix(self.end_token).lstrip() or later_head
        return before_user.removesuffix(head) if before_user.endswith(head) else ""

    @cached_property
    def answers(self) -> list[str]:
        """Dummy answers, as they would be sampled after the head: with and without thoughts."""
        if tags := _open_tags(self.head):
            return [f"{MULL}\n{tags[1]}\n\n{SAY}"]
        thoughts = [f"{start}\n{MULL}\n{end}\n\n{SAY}" for start, end in THOUGHTS]
        return [SAY] if self.head else [SAY, *thoughts]

    @cached_property
    def tags(self) -> set[str]:
        """Tags of thoughts."""
        return {tag for pair in (*THOUGHTS, _open_tags(self.head) or ()) for tag in pair}

    @cached_property
    def structure(self) -> set[str]:
        """Tokens that conversations are made of, the tags of thoughts apart."""
        follow_ups = (self.follow_up(role, self.answers[0]) or "" for role in FOLLOWERS)
        written = self.prompt.removesuffix(self.head) + self.between + "".join(follow_ups)
        return {token for token in self.added if _is_tag(token) and token in written} - self.tags

    def first_token(self, text: str) -> str:
        """The added token that a text begins with, white space apart, or ""."""
        starts = [token for token in self.added if token and text.lstrip().startswith(token)]
        return max((token for token in starts if token.strip()), key=len, default="")

    def end_tokens(self) -> set[str]:
        """Tokens that come right after an answer. Where there is no end of turn, the next message's
        first token is what the model says when it has done (GLM-4)."""
        follow_ups = (self.follow_up(role, self.answers[0]) or "" for role in FOLLOWERS)
        return {self.end_token, *map(self.first_token, follow_ups)} - {""}

    def stop_strings(self) -> tuple[str, ...]:
        """What text ends an answer when no token does: its closing, or the next message's head."""
        text = self.closing.rstrip() or self.between.rstrip()
        return (text,) if text and not self.end_token else ()

    def follow_up(self, role: str, answer: str, before: Turns = (("user", ASK),)) -> str | None:
        """What the template writes after an answer when a message of `role` follows it; None when
        what it writes first is not the prompt and the answer, as that was sampled."""
        said = ("assistant", self.head + answer)
        prompt, text = self.write(*before), self.write(*before, said, (role, NEXT))
        if prompt is None or text is None or not text.startswith(prompt + answer):
            return None
        follow_up = text.removeprefix(prompt + answer)
        return follow_up if NEXT in follow_up else None

    def loses_thoughts(self, role: str) -> bool:
        """Whether a message of `role` makes the template leave out an earlier thought."""
        for answer in self.answers:
            turns = ("user", ASK), ("assistant", self.head + answer), (role, NEXT)
            text = self.write(*turns)
            if text and NEXT in text and MULL in answer and MULL not in text:
                return True
        return False

    def refusals(self) -> dict[str, str]:
        """Why a message of a role cannot follow an answer, by role, in one line."""
        first = {role: self.fault(role) for role in FOLLOWERS}
        fit = [role for role in FOLLOWERS if not first[role]]
        faults = {role: first[role] or self.later_fault(role, fit) for role in FOLLOWERS}
        return {
            role: f"the chat template of {self.model} {fault}: it cannot keep a conversation of "
            "several turns token for token; use another model, or a game of one turn"
            for role, fault in faults.items()
            if fault
        }

    def fault(self, role: str) -> str:
        """What is wrong with a first message of `role` after an answer, or ""."""
        turns = ("user", ASK), ("assistant", self.head + SAY), (role, NEXT)
        if NEXT not in (self.write(*turns) or ""):
            return f"takes no {role} message after an answer"
        if self.loses_thoughts(role):
            return f"drops the thoughts of earlier answers when a {role} message follows"
        follow_ups = {self.follow_up(role, answer) for answer in self.answers}
        if None in follow_ups or len(follow_ups) > 1:
            return f"rewrites what was there before a {role} message"
        (follow_up,) = follow_ups
        assert follow_up is not None
        if self.first_token(follow_up) and follow_up[0].isspace():
            return "writes white space between an answer and the end of its turn"
        return ""

    def later_fault(self, role: str, earlier: Iterable[str]) -> str:
        """What is wrong with a message of `role` in another conversation than the shortest."""
        expected = self.follow_up(role, self.answers[0])
        for before in self.others(earlier):
            if any(self.follow_up(role, answer, before) != expected for answer in self.answers):
                return f"writes a later {role} message otherwise than the first"
        return ""

    def others(self, roles: Iterable[str]) -> Iterator[Turns]:
        """Conversations to be answered: with a system message, and with an answer before."""
        if self.write(("system", SYSTEM), ("user", ASK)):
            yield ("system", SYSTEM), ("user", ASK)
        for role in roles:
            for answer in self.answers:
                yield ("user", ASK), ("assistant", self.head + answer), (role, NEXT)


def _open_tags(head: str) -> tuple[str, str] | None:
    """The tag that the head of an answer leaves open, and the one that closes it.

    A lone tag that is not known is closed by custom: ◁think▷ by ◁/think▷."""
    tag = head.strip()
    unknown = [(tag, f"{tag[0]}/{tag[1:]}")] if _is_tag(tag) else []
    for start, end in (*THOUGHTS, *unknown):
        if head.rfind(start) > head.rfind(end):
            return start, end
    return None


def _is_tag(text: str) -> bool:
    """Whether a text is one word in brackets of some kind: no word, no white space."""
    is_word = any(letter.isalnum() for letter in (text[:1], text[-1:]))
    return len(text) > 2 and not is_word and not any(map(str.isspace, text))


def _names(tokenizer: Any, ids: Iterable[int]) -> set[str]:
    """The added tokens among these ids, as text."""
    added = tokenizer.added_tokens_decoder
    names = {added[token].content for token in ids if token in added}
    return names | {name for name in (tokenizer.bos_token, tokenizer.pad_token) if name}
