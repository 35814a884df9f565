"""Programs that hurt before they run: the compiler is part of the child, and limited as it is."""

from __future__ import annotations

from .attack import Attack, any_of, error

# Which of these stops a deep program differs between versions of Python.
TOO_DEEP = ("RecursionError", "SyntaxError", "MemoryError")

ATTACKS: dict[str, Attack] = {
    "deep_parentheses": any_of("x = " + "(" * 100_000, "error", "memory", types=TOO_DEEP),
    "deep_lists": any_of(f"x = {'[' * 5000}{']' * 5000}", "error", "memory", types=TOO_DEEP),
    "deep_minus": any_of("x = " + "-" * 200_000 + "1", "error", "memory", "crash"),
    "deep_not": any_of("x = " + "not " * 100_000 + "1", "error", "memory", "crash"),
    "deep_lambda": any_of("x = " + "lambda:" * 100_000 + "1", "error", "memory", "crash"),
    "deep_attributes": any_of("x = 1\nx" + ".x" * 200_000, "error", "memory", "crash"),
    "deep_calls": any_of("x = 1\nx" + "()" * 200_000, "error", "memory", "crash"),
    "deep_sum": any_of("x = " + "1+" * 200_000 + "1", "error", "memory", "crash", "ok"),
    "deep_blocks": error("\n".join(" " * i + "if 1:" for i in range(200)), "IndentationError"),
    "deep_loops": error(
        "\n".join(" " * i + "for x in ():" for i in range(50)) + "\n" + " " * 50 + "pass",
        "SyntaxError",
    ),
    "folded_power": any_of(
        "x = " + "**".join(["9"] * 8) + "\ndef f(): pass", "timeout", "memory", "error"
    ),
    "folded_text": any_of("x = 'a' * 10 ** 12\ndef f(): pass", "memory"),
    "folded_shift": any_of("x = 1 << 10 ** 11\ndef f(): pass", "memory"),
    "folded_tuple": any_of("x = ((0,) * 4000,) * 10 ** 12\ndef f(): pass", "memory"),
    "long_number": error("x = " + "9" * 100_000, "SyntaxError"),
    "nested_source": any_of(
        "s = 'pass'\nfor _ in range(30): s = f'exec({s!r})'\nexec(s)\ndef f(): pass",
        "memory",
        "timeout",
        "output",
        "error",
    ),
    "many_names": any_of(
        "exec(';'.join(f'a{i}=1' for i in range(10 ** 7)))", "memory", "timeout", "crash"
    ),
    "many_brackets_compiled": any_of(
        "compile('[' * 10 ** 7 + ']' * 10 ** 7, '', 'eval')", "error", "memory", "crash"
    ),
    "null_bytes": error("x = 1\0", "SyntaxError"),
    "not_utf_8": error("# coding: no-such-codec\nraise KeyError", "KeyError"),
    "syntax_error": error("def f(:", "SyntaxError"),
    "patched_compile": any_of(
        "import builtins\nbuiltins.compile = None\ndef f(): return 1", "ok", value="1"
    ),
}
