"""When a turn ends: by a token, a stop string or its length; the same on every engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from azr_fast.types import Sampling, Stop

BYTES_OF_A_CHARACTER = 4  # at most, in UTF-8; a token is at least one byte


@dataclass(frozen=True, slots=True)
class Stops:
    """What ends a turn of a model. `decode` gives the text of tokens."""

    token_ids: frozenset[int]
    decode: Callable[[Sequence[int]], str]

    def stop(self, token_ids: Sequence[int], sampling: Sampling) -> Stop | None:
        """Why a turn ends with the last of these tokens; None when it goes on.

        Asked after every token, so that the string that is found is one that the last completed.
        """
        if token_ids[-1] in self.token_ids:
            return Stop.END
        if sampling.stop and self._says(token_ids, sampling.stop):
            return Stop.STRING
        return Stop.LENGTH if len(token_ids) >= sampling.max_tokens else None

    def _says(self, token_ids: Sequence[int], strings: Sequence[str]) -> bool:
        """Only the end of the text is decoded, so that the work of a token does not grow."""
        window = BYTES_OF_A_CHARACTER * (max(map(len, strings)) + 1)
        text = self.decode(token_ids[-window:])
        return any(string in text for string in strings)
