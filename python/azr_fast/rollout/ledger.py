"""The tokens of one conversation, as they were given and sampled: tokens in, tokens out.

Sampled tokens are never decoded and encoded again, so what is trained is what was sampled, token
for token, over any number of turns. The ledger only grows, and by work that depends on what is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from azr_fast.errors import UserError
from azr_fast.rollout.renderer import Renderer
from azr_fast.types import Message, Stop


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens [start, end) of a ledger that came at once."""

    start: int
    end: int
    stop: Stop | None = None  # why sampling stopped; None for tokens that were given


class Ledger:
    """One conversation: messages are asked, answers are recorded, in turn.

    ids, sampled, logprobs: by token. Tokens that were given have a log-prob of 0.0 and are not to
    be trained on. spans: where each token came from; they lie end to end and cover all of it.
    Callers read these lists and leave them as they are.
    """

    def __init__(self, renderer: Renderer) -> None:
        self.ids: list[int] = []
        self.sampled: list[bool] = []
        self.logprobs: list[float] = []
        self.spans: list[Span] = []
        self.answer = ""  # the text of the assistant's last turn, its prefill included
        self._renderer = renderer
        self._head = ""  # what the template began the first answer with
        self._open = False  # sampling may go on where the ledger ends
        self._answered = True  # something was sampled since messages were asked
        self._ended_by: int | str | None = None  # what the last answer ended its turn with

    def ask(self, *messages: Message, prefill: str = "") -> None:
        """Append messages and the beginning of the assistant's turn: its prefill is given.

        Raises UserError where the template cannot keep what was sampled before such messages.
        """
        assert messages, "nothing is asked"
        assert self._answered, "the assistant has not answered yet"
        if self.spans:
            self._require_the_usual_head()
            new = self._renderer.follow(messages, prefill, self._ended_by)
        else:
            new = self._renderer.begin(messages, prefill)
            self._head = new.head
        self._append(new.ids, [0.0] * len(new.ids), None)
        self.answer = new.head + new.prefill
        self._open, self._answered, self._ended_by = True, False, None

    def insert(self, text: str) -> None:
        """Append text to the assistant's turn that it did not write, the output of a tool say.

        The text is data, as that of a message. The turn goes on after it.
        """
        assert self._open, "the assistant's turn has ended"
        ids = self._renderer.insert(text)
        self._append(ids, [0.0] * len(ids), None)
        self.answer += text

    def record(self, ids: Sequence[int], logprobs: Sequence[float], stop: Stop) -> str:
        """Append what the model sampled; returns its text, without the end of the turn."""
        assert self._open, "nothing was asked"
        ended = len(ids) > 0 and ids[-1] in self._renderer.template.ends
        assert ended == (stop is Stop.END), f"{stop} is not how the answer ended"
        text = self._read(ids, stop)
        self._append(ids, logprobs, stop)
        self.answer += text
        self._open, self._answered = self._ended_by is None, True
        return text

    def forget_last(self) -> None:
        """What was sampled last is not to be trained on: it counts as given."""
        span = self.spans[-1]
        tokens = span.end - span.start
        self.sampled[span.start :] = [False] * tokens
        self.logprobs[span.start :] = [0.0] * tokens

    def _require_the_usual_head(self) -> None:
        """Refuse to go on where the first messages made the template begin the answer otherwise.

        It may do so in later turns too, and what is rendered without them would not show it."""
        template = self._renderer.template
        if self._head != template.answer_head:
            raise UserError(
                f"the chat template of {template.model} begins answers by {self._head!r} in place "
                f"of {template.answer_head!r} because of the first messages: a conversation of "
                "several turns cannot be kept; do not switch thoughts on or off in them"
            )

    def _read(self, ids: Sequence[int], stop: Stop) -> str:
        """The text of sampled tokens; what the turn ended with is cut off and remembered."""
        if stop is Stop.END:
            self._ended_by = ids[-1]
            return self._renderer.text(ids[:-1], self.ids[-1:])
        text = self._renderer.text(ids, self.ids[-1:])
        if stop is Stop.STRING:
            for string in self._renderer.template.stop_strings:
                if string in text:
                    self._ended_by = string
                    return text[: text.index(string)]
        return text

    def _append(self, ids: Sequence[int], logprobs: Sequence[float], stop: Stop | None) -> None:
        span = Span(len(self.ids), len(self.ids) + len(ids), stop)
        self.ids += ids
        self.sampled += [stop is not None] * len(ids)
        self.logprobs += logprobs
        self.spans.append(span)
        before = self.spans[-2].end if len(self.spans) > 1 else 0
        assert before == span.start, "spans do not lie end to end"
        assert len(self.ids) == len(self.sampled) == len(self.logprobs) == span.end
