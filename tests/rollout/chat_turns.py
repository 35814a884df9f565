"""What tests of conversations share: renderers by family, and turns of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from chat_families import KEPT, tokenizer_of
from hypothesis import strategies as st

from azr_fast.rollout.ledger import Ledger
from azr_fast.rollout.probe import probe
from azr_fast.rollout.renderer import Renderer
from azr_fast.types import Message, Stop

NAMES = [family.name for family in KEPT]
LOSSLESS = [family.name for family in KEPT if family.is_lossless]
WORDS = [
    "def f(x):\n    return x",
    "10 ** 2",
    "日本",
    "print(k)",
    "\n\n",
    " ",
    "User",
    "</p>",
    "é",
    "<",
    "'",
]
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map("".join)
answers = texts.map(str.strip).filter(bool)


@cache
def renderer_of(family: str) -> Renderer:
    tokenizer = tokenizer_of(family)
    return Renderer(tokenizer, probe(tokenizer, family))


def ids_of(family: str, text: str) -> list[int]:
    """A text as a model would sample it: after other text, special tokens included."""
    return renderer_of(family)._encoder.encode_after_text(text)


def end_of_turn(family: str, role: str = "") -> int:
    """The token that its template writes between an answer and a message of this role; of a base
    model, the end of the text."""
    renderer = renderer_of(family)
    role = role or next((f.followers[0] for f in KEPT if f.name == family), "user")
    first = renderer.follow([Message(role, "x")]).ids[0]
    return first if first in renderer.template.ends else tokenizer_of(family).eos_token_id


def user(text: str) -> Message:
    return Message("user", text)


def record(ledger: Ledger, ids: Sequence[int], stop: Stop) -> str:
    return ledger.record(tuple(ids), tuple(-float(i + 1) for i in range(len(ids))), stop)


def check(ledger: Ledger) -> None:
    """Spans lie end to end, and the mask and the log-probs are theirs."""
    assert [span.start for span in ledger.spans] == [0, *(span.end for span in ledger.spans[:-1])]
    assert ledger.spans[-1].end == len(ledger.ids) == len(ledger.sampled) == len(ledger.logprobs)
    for span in ledger.spans:
        assert set(ledger.sampled[span.start : span.end]) <= {span.stop is not None}
    assert all(s or value == 0.0 for s, value in zip(ledger.sampled, ledger.logprobs, strict=True))


def given_ids(ledger: Ledger) -> list[list[int]]:
    return [ledger.ids[span.start : span.end] for span in ledger.spans if span.stop is None]
