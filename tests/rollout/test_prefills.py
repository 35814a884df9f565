"""What an answer begins with: prefills, and thoughts that a template opens."""

from __future__ import annotations

import pytest
from chat_families import CHATML, KEPT, make, own_ids, own_text, tokenizer_of
from chat_turns import (
    LOSSLESS,
    NAMES,
    check,
    end_of_turn,
    ids_of,
    record,
    renderer_of,
    texts,
    user,
)
from hypothesis import given
from hypothesis import strategies as st

from azr_fast.errors import UserError
from azr_fast.rollout.ledger import Ledger
from azr_fast.rollout.probe import probe
from azr_fast.rollout.renderer import Renderer
from azr_fast.types import Message, Stop


@given(family=st.sampled_from(NAMES), prefill=texts, turns=st.integers(1, 3))
def test_a_prefill_begins_each_answer_and_is_not_trained(
    family: str, prefill: str, turns: int
) -> None:
    tokenizer, renderer = tokenizer_of(family), renderer_of(family)
    role = next(f.followers[0] for f in KEPT if f.name == family)
    ledger = Ledger(renderer)
    ledger.ask(user("go"), prefill=prefill)
    begun = own_text(tokenizer, [user("go")]) + prefill
    assert ledger.ids == [*renderer._first, *ids_of(family, begun)]
    for _ in range(turns):
        record(ledger, [*ids_of(family, "well"), end_of_turn(family)], Stop.END)
        assert ledger.answer == renderer.template.answer_head + prefill + "well"
        ledger.ask(Message(role, "on"), prefill=prefill)
        assert family not in LOSSLESS or tokenizer.decode(ledger.ids).endswith(prefill)
        check(ledger)
    assert sum(ledger.sampled) == turns * (len(ids_of(family, "well")) + 1)


@pytest.mark.parametrize("special", [True, False])
def test_a_tag_of_a_prefill_is_its_token(special: bool) -> None:
    tags = ["<think>", "</think>"]
    tokenizer = make("qwen2.5", CHATML + tags * special, "<|im_end|>", added=tags * (not special))
    ledger = Ledger(Renderer(tokenizer, probe(tokenizer, "tags")))
    ledger.ask(user("Think inside <think>."), prefill="<think>\n")
    assert ledger.ids[-2] == tokenizer.convert_tokens_to_ids("<think>")
    assert (ledger.ids.count(ledger.ids[-2]) == 1) is special
    assert ledger.answer == "<think>\n"


@pytest.mark.parametrize("family", NAMES)
def test_a_prefill_that_quotes_a_task_cannot_end_the_turn(family: str) -> None:
    tokenizer, renderer = tokenizer_of(family), renderer_of(family)
    structure = sorted(renderer.template.structure)
    numbers = set(tokenizer.convert_tokens_to_ids(structure))
    assert numbers >= renderer.template.ends
    quiet = renderer.begin([user("go")], "```input\n''").ids
    loud = renderer.begin([user("go")], f"```input\n'{''.join(structure)}'").ids
    assert [i for i in loud if i in numbers] == [i for i in quiet if i in numbers]


@pytest.mark.parametrize("family", ["r1", "thinks", "qwen3.5"])
@pytest.mark.parametrize(
    ("prefill", "answer"),
    [
        ("", "<think>\n"),
        ("<think>\n", "<think>\n"),
        ("<think>", "<think>\n"),
        ("<think>\nLet me", "<think>\nLet me"),
        ("<think>Let me", "<think>\nLet me"),
        ("Let me", "<think>\nLet me"),
        ("</think>\n\n```python\n", "<think>\n</think>\n\n```python\n"),
    ],
)
def test_a_thought_is_opened_once(family: str, prefill: str, answer: str) -> None:
    tokenizer = tokenizer_of(family)
    ledger = Ledger(renderer_of(family))
    ledger.ask(user("go"), prefill=prefill)
    assert ledger.answer == answer
    prompt = own_text(tokenizer, [user("go")]).removesuffix("<think>\n")
    assert tokenizer.decode(ledger.ids) == prompt + answer


def test_a_thought_whose_tags_are_special_is_kept_in_the_text() -> None:
    tokenizer = tokenizer_of("thinks")
    ledger = Ledger(renderer_of("thinks"))
    ledger.ask(user("go"))
    text = record(ledger, ids_of("thinks", "Hm.\n</think>\n\nYes<|im_end|>"), Stop.END)
    assert text == "Hm.\n</think>\n\nYes"
    assert ledger.answer == "<think>\nHm.\n</think>\n\nYes"
    ledger.ask(user("on"))
    history = [user("go"), Message("assistant", "<think>\nHm.\n</think>\n\nYes"), user("on")]
    assert ledger.ids == own_ids(tokenizer, history)
    shown = Ledger(renderer_of("thinks"))  # the same as an example in the first messages
    shown.ask(*history)
    assert shown.ids == ledger.ids


def test_thoughts_of_qwen3_are_kept_between_outputs_of_tools() -> None:
    tokenizer = tokenizer_of("qwen3")
    ledger = Ledger(renderer_of("qwen3"))
    history = [user("What is 7 ** 7?")]
    ledger.ask(*history)
    for thought in ("Let me run it.", "Once more."):
        answer = f"<think>\n{thought}\n</think>\n\nprint(7 ** 7)"
        record(ledger, [*ids_of("qwen3", answer), end_of_turn("qwen3")], Stop.END)
        outputs = [Message("tool", "823543"), Message("tool", "done")]
        ledger.ask(*outputs)
        history += [Message("assistant", answer), *outputs]
        assert ledger.ids == own_ids(tokenizer, history)
    record(ledger, [end_of_turn("qwen3")], Stop.END)
    with pytest.raises(UserError, match="qwen3 drops the thoughts"):
        ledger.ask(user("Thanks."))


def test_a_switch_in_the_messages_begins_the_answer_otherwise() -> None:
    tokenizer = tokenizer_of("switch")
    ledger = Ledger(renderer_of("switch"))
    ledger.ask(user("2 + 2? /no_think"), prefill="It is ")
    assert ledger.ids == ids_of(
        "switch", own_text(tokenizer, [user("2 + 2? /no_think")]) + "It is "
    )
    assert ledger.answer == "<think>\n\n</think>\n\nIt is "
    record(ledger, [*ids_of("switch", "4"), end_of_turn("switch")], Stop.END)
    with pytest.raises(
        UserError, match=r"switch begins answers by .* because of the first messages"
    ):
        ledger.ask(user("And 3?"))


def test_a_switch_in_a_later_message_is_seen_too() -> None:
    tokenizer = tokenizer_of("switch")
    ledger = Ledger(renderer_of("switch"))
    ledger.ask(user("2 + 2?"))
    record(ledger, [*ids_of("switch", "4"), end_of_turn("switch")], Stop.END)
    ledger.ask(user("And 3? /no_think"), prefill="<think>\n\n</think>\n\nIt")
    history = [user("2 + 2?"), Message("assistant", "4"), user("And 3? /no_think")]
    assert tokenizer.decode(ledger.ids) == own_text(tokenizer, history) + "It"
    assert ledger.answer == "<think>\n\n</think>\n\nIt"
