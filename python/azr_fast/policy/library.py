"""What libraries raise over a user's files, as one line.

transformers, tokenizers, safetensors, jinja and gguf raise whatever they meet inside: OSError,
ValueError, KeyError, AttributeError, validation errors of several packages, Rust's bare Exception.
So the one call of such a library that reads the user's files stands inside `told`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from azr_fast.errors import UserError

LONGEST = 300  # characters of a reason: some libraries list all the models they know


@contextmanager
def told(what: str, remedy: str) -> Iterator[None]:
    """Turn an error raised inside the block into UserError("what (reason): remedy")."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{what} ({reason(error)}): {remedy}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from progress bars of seconds and tables of what an error will say."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def reason(error: BaseException) -> str:
    """What an error says, on one line of at most LONGEST characters."""
    kind = type(error).__name__
    if isinstance(error, ValidationError):
        return "; ".join(entry["msg"].splitlines()[0] for entry in error.errors())[:LONGEST]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    if not lines:
        return kind
    text = lines[0] if not lines[0].endswith(":") else " ".join(lines[:2])
    if len(text) > LONGEST:
        text = text[: LONGEST - 3] + "..."
    return text if isinstance(error, OSError | ValueError | ImportError) else f"{kind}: {text}"
