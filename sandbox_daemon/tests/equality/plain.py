"""Runs cases in a fresh interpreter, without the daemon: what each returns, in canonical text.

As a script it is that interpreter's program: cases come in as JSON, answers go out as JSON. The
canonical text is written here once more, from PROTOCOL.md and in Python, so that the daemon's
own encoder is judged by another.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import subprocess
import sys
from typing import Any

Case = tuple[str, str]  # the program, and what stands inside the call's parentheses
Answer = tuple[str | None, str | None, str | None]  # value; or type and message of the error


def plain_answers(python: str, cases: list[Case]) -> list[Answer]:
    done = subprocess.run(
        [python, "-I", "-X", "utf8", __file__],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    return [tuple(answer) for answer in json.loads(done.stdout)]


def is_odd(number: float) -> bool:
    return not math.isfinite(number) or (number == 0 and math.copysign(1, number) < 0)


def complex_text(z: complex) -> str:
    if is_odd(z.real) or is_odd(z.imag) or (z.real == 0 and z.imag < 0):
        return f"complex({z.real!r}, {z.imag!r})"
    return repr(z)


def set_text(value: Any) -> str:
    elements = ", ".join(sorted(map(text_of, value), key=str.encode))
    if type(value) is frozenset:
        return f"frozenset({{{elements}}})" if value else "frozenset()"
    return f"{{{elements}}}" if value else "set()"


def text_of(value: Any) -> str:
    if type(value) is complex:
        return complex_text(value)
    if type(value) in (set, frozenset):
        return set_text(value)
    if type(value) is list:
        return f"[{', '.join(map(text_of, value))}]"
    if type(value) is tuple:
        return f"({', '.join(map(text_of, value))}{',' if len(value) == 1 else ''})"
    if type(value) is dict:
        return f"{{{', '.join(f'{text_of(k)}: {text_of(v)}' for k, v in value.items())}}}"
    assert type(value) in (type(None), bool, int, float, str, bytes), type(value)
    return repr(value)


NAMES = {"nan": math.nan, "inf": math.inf}


def answer(program: str, arguments: str) -> Answer:
    space: dict[str, Any] = {"__name__": "program"}
    exec(compile(program, "<program>", "exec", dont_inherit=True), space)
    words = eval(f"({arguments},)" if arguments else "()", dict(NAMES))
    try:
        value = space["f"](*words)
    except Exception as error:
        return None, type(error).__name__, str(error) or None
    sys.set_int_max_str_digits(0)
    text = text_of(value)
    sys.set_int_max_str_digits(4300)
    return text, None, None


if __name__ == "__main__":
    with contextlib.redirect_stdout(io.StringIO()):
        answers = [answer(*case) for case in json.load(sys.stdin)]
    print(json.dumps(answers))
