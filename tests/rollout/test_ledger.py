"""The ledger of a conversation: tokens in, tokens out."""

from __future__ import annotations

from itertools import chain, pairwise
from typing import Any

import pytest
from chat_families import CHATML, KEPT, make, own_text, tokenizer_of
from chat_turns import (
    NAMES,
    WORDS,
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

from azr_fast.rollout.ledger import Ledger, Span
from azr_fast.rollout.probe import probe
from azr_fast.rollout.renderer import Renderer
from azr_fast.types import Message, Stop


@pytest.mark.parametrize("family", NAMES)
def test_the_end_of_a_turn_is_written_once(family: str) -> None:
    renderer = renderer_of(family)
    role = next(f.followers[0] for f in KEPT if f.name == family)
    ended, cut = Ledger(renderer), Ledger(renderer)
    for ledger in (ended, cut):
        ledger.ask(user("go"))
    answer = ids_of(family, "well")
    record(ended, [*answer, end_of_turn(family)], Stop.END)
    record(cut, answer, Stop.LENGTH)
    for ledger in (ended, cut):
        ledger.ask(Message(role, "on"))
    if renderer.template.is_plain:
        assert ended.ids == cut.ids[: cut.spans[1].end] + [end_of_turn(family)] + given_ids(cut)[1]
    else:
        assert ended.ids == cut.ids
        assert sum(ended.sampled) == sum(cut.sampled) + 1


def test_another_end_than_the_templates_stays_before_it() -> None:
    tokenizer = tokenizer_of("qwen2.5")
    text_end, turn_end = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"])
    ledger = Ledger(Renderer(tokenizer, probe(tokenizer, "qwen2.5", [text_end])))
    ledger.ask(user("go"))
    assert record(ledger, [*ids_of("qwen2.5", "well"), text_end], Stop.END) == "well"
    ledger.ask(user("on"))
    at = ledger.ids.index(text_end)
    assert ledger.ids[at + 1] == turn_end
    assert ledger.sampled[at] > ledger.sampled[at + 1]


def test_a_base_model_that_goes_on_as_the_user_has_ended_its_turn() -> None:
    tokenizer = tokenizer_of("base")
    ledger = Ledger(renderer_of("base"))
    ledger.ask(user("2 + 2?"))
    assert record(ledger, ids_of("base", "4\n\nUser:"), Stop.STRING) == "4"
    assert ledger.answer == "4"
    ledger.ask(user("And 3?"))
    history = [user("2 + 2?"), Message("assistant", "4"), user("And 3?")]
    assert tokenizer.decode(ledger.ids) == own_text(tokenizer, history)
    check(ledger)


@pytest.mark.parametrize("family", NAMES)
def test_outputs_of_tools_inside_a_turn(family: str) -> None:
    """As in Agent0: the turn stops at a text, gets the output of its program, and goes on."""
    tokenizer, renderer = tokenizer_of(family), renderer_of(family)
    ledger = Ledger(renderer)
    ledger.ask(user("7 ** 7?"))
    asked = tokenizer.decode(ledger.ids)
    call, output, rest = (
        "```python\nprint(7 ** 7)\n```\n",
        "```output\n823543\n```\n",
        "It is 823543.",
    )
    assert record(ledger, ids_of(family, call), Stop.STRING) == call
    ledger.insert(output)
    assert record(ledger, [*ids_of(family, rest), end_of_turn(family)], Stop.END) == rest
    assert ledger.answer == renderer.template.answer_head + call + output + rest
    end = tokenizer.decode(end_of_turn(family))
    assert tokenizer.decode(ledger.ids) == asked + call + output + rest + end
    stops = [span.stop for span in ledger.spans]
    assert stops == [None, Stop.STRING, None, Stop.END]
    check(ledger)
    with pytest.raises(AssertionError, match="has ended"):
        ledger.insert("more")


@given(family=st.sampled_from(NAMES), data=st.data())
def test_a_turn_is_what_was_given_and_sampled_in_order(family: str, data: Any) -> None:
    """Prefills, noise that stops anywhere, and outputs of tools that spell whatever they like."""
    renderer = renderer_of(family)
    controls = sorted(renderer.template.controls)
    numbers = set(tokenizer_of(family).convert_tokens_to_ids(controls))
    noise = st.lists(st.integers(40, 120).filter(lambda i: i not in numbers), max_size=5)
    outputs = st.lists(st.sampled_from([*controls, *WORDS]), max_size=4).map("".join)
    ledger = Ledger(renderer)
    ledger.ask(user("go"), prefill=data.draw(texts))
    parts = [list(ledger.ids)]
    for _ in range(data.draw(st.integers(1, 4))):
        parts.append(data.draw(noise))
        record(ledger, parts[-1], data.draw(st.sampled_from([Stop.LENGTH, Stop.STRING])))
        output = data.draw(outputs)
        parts.append(renderer.insert(output))
        ledger.insert(output)
        assert ledger.answer.endswith(output)
        assert not set(parts[-1]) & numbers
        check(ledger)
    assert ledger.ids == list(chain(*parts))
    assert sum(ledger.sampled) == sum(map(len, parts[1::2]))


def test_the_text_of_a_turn_that_broke_off_inside_a_character() -> None:
    ledger = Ledger(renderer_of("qwen2.5"))
    ledger.ask(user("go"))
    ids = ids_of("qwen2.5", "日")
    assert len(ids) > 1
    assert record(ledger, ids[:-1], Stop.LENGTH) == "\ufffd"
    ledger.ask(user("on"))
    check(ledger)
    assert ledger.ids[ledger.spans[1].start : ledger.spans[1].end] == ids[:-1]


def test_a_conversation_that_fills_the_context_may_sample_nothing() -> None:
    ledger = Ledger(renderer_of("qwen2.5"))
    ledger.ask(user("go"))
    assert record(ledger, [], Stop.LENGTH) == ""
    assert ledger.spans[-1] == Span(len(ledger.ids), len(ledger.ids), Stop.LENGTH)
    check(ledger)


def test_a_turn_costs_what_is_new_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Characters written by the template and encoded in the hundredth turn, as in the second."""
    tokenizer = make("qwen2.5", CHATML, "<|im_end|>")
    renderer = Renderer(tokenizer, probe(tokenizer, "counted"))
    costs: list[int] = []
    write, encode = tokenizer.apply_chat_template, renderer._encoder._ids

    def counted_write(*args: Any, **options: Any) -> Any:
        text = write(*args, **options)
        costs[-1] += len(text)
        return text

    def counted_encode(text: str) -> list[int]:
        costs[-1] += len(text)
        return encode(text)

    monkeypatch.setattr(tokenizer, "apply_chat_template", counted_write)
    monkeypatch.setattr(renderer._encoder, "_ids", counted_encode)
    ledger = Ledger(renderer)
    answer = [*tokenizer("ls").input_ids, tokenizer.eos_token_id]
    for turn in range(100):
        costs.append(0)
        ledger.ask(Message("tool" if turn else "user", "a.py b.py"))
        record(ledger, answer, Stop.END)
    assert len(ledger.spans) == 200
    assert len(set(costs[1:])) == 1
    assert costs[1] > 0


def test_turns_alternate() -> None:
    ledger = Ledger(renderer_of("qwen2.5"))
    with pytest.raises(AssertionError, match="nothing was asked"):
        record(ledger, [300], Stop.LENGTH)
    ledger.ask(user("go"))
    with pytest.raises(AssertionError, match="not answered"):
        ledger.ask(user("on"))
    for ids, stop in (
        ([300], Stop.END),
        ([], Stop.END),
        ([end_of_turn("qwen2.5")], Stop.LENGTH),
    ):
        with pytest.raises(AssertionError, match="is not how the answer ended"):
            record(ledger, ids, stop)
    record(ledger, [300], Stop.LENGTH)
    with pytest.raises(AssertionError, match="a message of a critic was never tried"):
        ledger.ask(Message("critic", "no"))


def test_one_turn_after_the_other_is_one_path() -> None:
    """Prompts of later turns begin with all that was before: what packing and caches rely on."""
    ledger = Ledger(renderer_of("smollm2"))
    prompts = []
    for _ in range(4):
        ledger.ask(user("go"))
        prompts.append(list(ledger.ids))
        record(ledger, [*ids_of("smollm2", "well"), end_of_turn("smollm2")], Stop.END)
    assert all(later[: len(earlier)] == earlier for earlier, later in pairwise(prompts))


def test_a_question_may_follow_the_output_of_a_tool() -> None:
    tokenizer = tokenizer_of("qwen2.5")
    ledger = Ledger(renderer_of("qwen2.5"))
    ledger.ask(user("7 ** 7?"))
    record(ledger, ids_of("qwen2.5", "print(7 ** 7)\n"), Stop.STRING)
    ledger.insert("823543\n")
    ledger.ask(user("You have no calls left."))
    history = [user("7 ** 7?"), Message("assistant", "print(7 ** 7)\n823543\n")]
    assert tokenizer.decode(ledger.ids) == own_text(
        tokenizer, [*history, user("You have no calls left.")]
    )
    check(ledger)


def test_a_space_between_sampled_words_is_kept_by_every_tokenizer() -> None:
    for family in NAMES:
        ledger = Ledger(renderer_of(family))
        ledger.ask(user("go"), prefill="the")
        for word in (" output", " tool", "."):
            assert record(ledger, ids_of(family, word), Stop.LENGTH) == word
        assert ledger.answer.endswith("the output tool.")
