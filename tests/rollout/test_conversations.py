"""Whole conversations, drawn at random, over the templates of many families."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chat_families import KEPT, Family, own_ids, own_text, tokenizer_of
from chat_turns import (
    answers,
    check,
    end_of_turn,
    given_ids,
    ids_of,
    record,
    renderer_of,
    texts,
    user,
)
from hypothesis import given
from hypothesis import strategies as st

from azr_fast.rollout.ledger import Ledger
from azr_fast.types import Message, Stop

REGULAR_THOUGHT = re.compile(r"<think>\n\S(.*\S)?\n</think>\n\n\S.*", re.DOTALL)


@dataclass(frozen=True)
class Turn:
    """An answer as text, how many of its tokens were sampled (None: all, and the end of the turn),
    and the messages after it."""

    answer: str
    cut: int | None
    messages: tuple[Message, ...]


def thoughts(family: str) -> st.SearchStrategy[str]:
    """What is sampled before an answer proper: a thought, begun unless the template has, or ""."""
    template = renderer_of(family).template
    begin = "" if template.opens_thought else "<think>\n"
    thought = answers.map(lambda text: f"{begin}{text}\n</think>\n\n")
    return thought if template.opens_thought else st.just("") | thought


@st.composite
def conversations(draw: st.DrawFn, contents: st.SearchStrategy[str] = texts) -> tuple[Any, ...]:
    """A family, the messages that begin a conversation, and turns that its template keeps."""
    family: Family = draw(st.sampled_from(KEPT))
    system = draw(st.booleans()) and renderer_of(family.name).template.takes_system
    begin = [Message("system", draw(contents))] * system + [user(draw(contents))]
    turns = []
    for _ in range(draw(st.integers(1, 4))):
        role = draw(st.sampled_from(family.followers))
        count = draw(st.integers(1, 3)) if role == "tool" else 1
        messages = tuple(Message(role, draw(contents)) for _ in range(count))
        cut = draw(st.none() | st.integers(0, 6))
        thought = draw(thoughts(family.name))
        turns.append(Turn(thought + draw(answers), cut, messages))
    return family, begin, turns


def sampled_ids(family: str, turn: Turn) -> tuple[list[int], Stop]:
    ids = ids_of(family, turn.answer)
    if turn.cut is None:
        return [*ids, end_of_turn(family, turn.messages[0].role)], Stop.END
    return ids[: turn.cut], Stop.LENGTH


def is_canonical(family: str, message: str, ids: Sequence[int]) -> bool:
    """Whether a template that trims texts and frames thoughts shows this answer as it was sampled:
    its text encodes to the same ids, white space stands where the template writes it, a thought is
    closed, and no character is broken."""
    text = message.removeprefix(renderer_of(family).template.answer_head)
    regular = "think>" not in message or REGULAR_THOUGHT.fullmatch(message)
    whole = ids_of(family, text) == list(ids) and "\ufffd" not in text
    return whole and bool(regular) and text == text.strip() != ""


@given(conversation=conversations())
def test_every_prompt_is_the_templates_own_rendering(conversation: Any) -> None:
    family, messages, turns = conversation
    tokenizer = tokenizer_of(family.name)
    ledger = Ledger(renderer_of(family.name))
    ledger.ask(*messages)
    assert ledger.ids == own_ids(tokenizer, messages)
    history = list(messages)
    for turn in turns:
        ids, stop = sampled_ids(family.name, turn)
        record(ledger, ids, stop)
        said = ids[:-1] if stop is Stop.END else ids
        if not is_canonical(family.name, ledger.answer, said):
            break
        history += [Message("assistant", ledger.answer), *turn.messages]
        ledger.ask(*turn.messages)
        check(ledger)
        if tokenizer.chat_template:  # the end of a paragraph may be one token with what is before
            assert ledger.ids == own_ids(tokenizer, history)
        if family.is_lossless:  # the plain form writes no end of the text, and keeps a sampled one
            shown = tokenizer.decode(ledger.ids).replace("<|endoftext|>", "")
            assert shown == own_text(tokenizer, history)


@given(conversation=conversations(), data=st.data())
def test_what_is_given_does_not_depend_on_what_was_sampled(conversation: Any, data: Any) -> None:
    family, messages, turns = conversation
    renderer = renderer_of(family.name)
    ordinary = st.sampled_from(range(200, 600)).filter(lambda i: i not in renderer.template.ends)
    one, other = Ledger(renderer), Ledger(renderer)
    for ledger in (one, other):
        ledger.ask(*messages)
    sampled = []
    for turn in turns:
        ids, stop = sampled_ids(family.name, turn)
        noise = data.draw(st.lists(ordinary, max_size=8))
        sampled.append(noise + ids[len(ids) - (stop is Stop.END) :])
        record(one, ids, stop)
        record(other, sampled[-1], stop)
        for ledger in (one, other):
            ledger.ask(*turn.messages)
            check(ledger)
    assert given_ids(one) == given_ids(other)
    spans = [span for span in other.spans if span.stop]
    assert [other.ids[span.start : span.end] for span in spans] == sampled
    assert [span.stop for span in spans] == [sampled_ids(family.name, turn)[1] for turn in turns]


@given(conversation=conversations(), data=st.data())
def test_texts_of_messages_are_data(conversation: Any, data: Any) -> None:
    """A conversation in which every message holds special tokens, against the same without them."""
    family, messages, turns = conversation
    tokenizer, renderer = tokenizer_of(family.name), renderer_of(family.name)
    controls = sorted(renderer.template.controls)
    spelled = st.lists(st.sampled_from([*controls, "x", "\n", "<"]), max_size=4).map("".join)

    def hostile(message: Message) -> Message:
        return Message(message.role, message.content + "." + data.draw(spelled) + "!")

    numbers = set(tokenizer.convert_tokens_to_ids(controls))
    tame, wild = Ledger(renderer), Ledger(renderer)
    tame.ask(*messages)
    wild.ask(*map(hostile, messages))
    for turn in turns:
        ids, stop = sampled_ids(family.name, turn)
        for ledger in (tame, wild):
            record(ledger, ids, stop)
        tame.ask(*turn.messages)
        wild.ask(*map(hostile, turn.messages))
    for mild, sharp in zip(given_ids(tame), given_ids(wild), strict=True):
        assert [i for i in mild if i in numbers] == [i for i in sharp if i in numbers]
