"""What is known of a model's chat template. `probe` finds it by rendering; nothing is guessed from
names.

A conversation of several turns is kept as tokens: what was sampled stays as it is, and only what is
new is rendered. That is right for a template which, after another message, shows an earlier answer
exactly as it was sampled. Many do not: they drop earlier thoughts, or write a second tool's output
otherwise than the first. `Template.refusals` says so, by the role of the message that would follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from azr_fast.errors import UserError

FOLLOWERS = ("user", "tool", "system")  # roles of messages that may come after an answer


@dataclass(frozen=True, slots=True)
class Template:
    """The facts of one model's chat template. Texts are as it writes them, ids the tokenizer's."""

    model: str  # the name that refusals give
    is_plain: bool  # the tokenizer has no template: the plain form of `chat_text` stands in
    takes_system: bool  # a system message may begin a conversation
    preamble: (
        str  # what it writes before the user's first message unasked: a default system message
    )
    turn_head: str  # what it writes between a user's message and an answer
    answer_head: str  # what a prompt ends with beyond that: "<think>\n" where it opens a thought
    opens_thought: bool  # so that a thought is open where sampling begins
    ends: frozenset[int]  # tokens that end an answer: the template's own, and every eos
    after_end: str  # white space that it writes after the token that ends an answer
    stop_strings: tuple[str, ...]  # texts that end an answer, where the template has no token
    drops_thoughts: bool  # some message makes it leave out the thoughts of earlier answers
    special_tags: frozenset[str]  # tags of thoughts that are special tokens of this tokenizer
    controls: frozenset[str]  # tokens that the text of a message must not become
    structure: frozenset[str]  # those of them that turns are made of: nor may that of a prefill
    dummy_answer: str  # one that it keeps, as a model might sample it after `answer_head`
    refusals: Mapping[str, str]  # by role: why such a message cannot follow an answer

    def require(self, roles: Iterable[str]) -> None:
        """Refuse by UserError what cannot follow an answer; games of several turns ask at once."""
        for role in roles:
            assert role in FOLLOWERS, f"a message of a {role} was never tried"
            if role in self.refusals:
                raise UserError(self.refusals[role])

    def require_system(self) -> None:
        """Refuse a system message by UserError, unless the template takes one."""
        if not self.takes_system:
            raise UserError(
                f"the chat template of {self.model} takes no system message: write it into the "
                "user's first message"
            )
