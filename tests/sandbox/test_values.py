"""The plain-value codec: round trips, canonical order, limits, and hostile text."""

from __future__ import annotations

import ast
import cmath
import enum
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from plain_strategies import HASHABLES, VALUES

from azr_fast.sandbox import values as codec
from azr_fast.sandbox.equality import equal
from azr_fast.sandbox.values import (
    MAX_DEPTH,
    canonical,
    canonical_arguments,
    parse,
    parse_arguments,
)

REASON = r"."  # refusals say something
NAN = float("nan")
INF = float("inf")


def nested(depth, innermost=0):
    value = innermost
    for _ in range(depth):
        value = [value]
    return value


# --- round trips ------------------------------------------------------------------------------


@given(VALUES)
@example({NAN, float("nan")})
@example(complex(0.0, -2.0))
@example(complex(-0.0, NAN))
@example({(NAN,): -0.0, frozenset({b"\x00"}): "\udc80'\""})
def test_text_reads_back_as_the_same_value(value):
    text = canonical(value)
    back = parse(text)
    assert canonical(back) == text
    assert type(back) is type(value)
    assert equal(back, value, strict_types=True)


@given(st.lists(VALUES, max_size=4))
def test_arguments_read_back(values):
    text = canonical_arguments(values)
    assert canonical_arguments(parse_arguments(text)) == text
    assert equal(parse_arguments(text), tuple(values), strict_types=True)


@given(VALUES)
def test_canonical_text_is_python(value):
    """CPython's own eval, on text of our own making, agrees with the parser."""

    class Names(dict):
        def __missing__(self, name):
            return {"set": set, "frozenset": frozenset, "complex": complex}.get(name) or float(name)

    text = canonical(value)
    assert canonical(eval(text, {"__builtins__": {}}, Names())) == text


@given(VALUES)
def test_text_is_utf8(value):
    assert canonical(value).encode("utf-8").decode("utf-8") == canonical(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "True"),
        (-7, "-7"),
        (1.0, "1.0"),
        (1e16, "1e+16"),
        (-0.0, "-0.0"),
        (NAN, "nan"),
        (-NAN, "nan"),
        (-INF, "-inf"),
        (1 + 2j, "(1+2j)"),
        (2j, "2j"),
        (0j, "0j"),
        (1 - 2j, "(1-2j)"),
        (complex(0.0, -2.0), "complex(0.0, -2.0)"),
        (complex(-0.0, 1.0), "complex(-0.0, 1.0)"),
        (complex(1.0, -0.0), "complex(1.0, -0.0)"),
        (complex(NAN, 1.0), "complex(nan, 1.0)"),
        (complex(1.0, -INF), "complex(1.0, -inf)"),
        ("it's", '"it\'s"'),
        ("\ud800\n", "'\\ud800\\n'"),
        (b"\xff'", 'b"\\xff\'"'),
        ((), "()"),
        ((1,), "(1,)"),
        ([1, [2]], "[1, [2]]"),
        ({"b": 1, "a": 2}, "{'b': 1, 'a': 2}"),
        (set(), "set()"),
        (frozenset(), "frozenset()"),
        (frozenset({2, 1}), "frozenset({1, 2})"),
        ({10, 9, 1}, "{1, 10, 9}"),
        ({"é", "z", "\U0001f600", "\uffee"}, "{'z', 'é', '\uffee', '\U0001f600'}"),
        ({frozenset({"b", "a"}), (2,), "x"}, "{'x', (2,), frozenset({'a', 'b'})}"),
    ],
)
def test_canonical_text(value, text):
    assert canonical(value) == text


@given(st.lists(HASHABLES, max_size=8), st.randoms())
def test_set_text_does_not_depend_on_the_order_of_insertion(items, random):
    shuffled = list(items)
    random.shuffle(shuffled)
    assert canonical(set(map(canonical, items))) == canonical(set(map(canonical, shuffled)))


@pytest.mark.parametrize("digits", [639, 640, 641, 4300, 4301, 20_000])
@pytest.mark.parametrize("sign", [1, -1])
def test_integers_of_any_length(digits, sign):
    limit = sys.get_int_max_str_digits()
    value = sign * (10**digits - 3)
    text = canonical(value)
    assert text == ("-" if sign < 0 else "") + "9" * (digits - 1) + "7"
    assert parse(text) == value
    assert parse_arguments(f"{text}, 'x'") == (value, "x")
    assert parse(repr("8" * digits)) == "8" * digits
    assert sys.get_int_max_str_digits() == limit


def test_long_integers_from_several_threads_leave_the_limit_as_it_was():
    limit = sys.get_int_max_str_digits()
    values = [10 ** (5000 + i) + i for i in range(64)]
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(canonical, values))
        assert list(pool.map(parse, texts)) == values
    assert sys.get_int_max_str_digits() == limit


def test_long_values_are_never_cut():
    value = {"s": "x" * 300_000, "l": list(range(50_000))}
    assert parse(canonical(value)) == value


# --- limits and types ---------------------------------------------------------------------------


def test_depth_is_capped_both_ways():
    text = "[" * MAX_DEPTH + "0" + "]" * MAX_DEPTH
    assert canonical(nested(MAX_DEPTH)) == text
    assert parse(text) == nested(MAX_DEPTH)
    assert parse_arguments(text) == (nested(MAX_DEPTH),)
    for deeper in (nested(MAX_DEPTH + 1), nested(5000), nested(MAX_DEPTH, innermost={})):
        with pytest.raises(ValueError, match="nested deeper than 64"):
            canonical(deeper)
    for deeper in (f"[{text}]", text.replace("0", "set()"), text.replace("0", "{0: 0}")):
        with pytest.raises(ValueError, match="nested deeper than 64"):
            parse(deeper)


def test_a_frozenset_is_one_level():
    value = frozenset({0})
    for _ in range(MAX_DEPTH - 1):
        value = frozenset({value})
    with pytest.raises(ValueError, match="nested deeper"):
        canonical(frozenset({value}))
    assert canonical(value).count("frozenset({") == MAX_DEPTH


def test_cycles_end_at_the_depth_cap():
    cycle = []
    cycle.append(cycle)
    with pytest.raises(ValueError, match="nested deeper than 64"):
        canonical(cycle)


class Colour(enum.IntEnum):
    RED = 1


class Always(list):
    def __eq__(self, other):
        return True

    __hash__ = None


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Colour.RED,
        Always(),
        range(3),
        bytearray(b"x"),
        ...,
        len,
        int,
        {1: Always()},
        [set],
    ],
)
def test_other_types_are_not_plain(value):
    with pytest.raises(ValueError, match="not a plain value"):
        canonical(value)


# --- ordinary text --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (" [1,\n 2,\n]\n", [1, 2]),
        ("1, 2", (1, 2)),
        ("+1", 1),
        ("- 1.5", -1.5),
        ("0x_ff", 255),
        ("1_000", 1000),
        ("1e999", INF),
        ("-1e999", -INF),
        ("-2j", complex(-0.0, -2.0)),
        ("1+2j", 1 + 2j),
        ("(-1.5-2j)", -1.5 - 2j),
        ("-(1+2j)", -1 - 2j),
        ("nan", NAN),
        ("-inf", -INF),
        ("float('nan')", NAN),
        ('float("-inf")', -INF),
        ("-float('inf')", -INF),
        ("complex(float('nan'), -1)", complex(NAN, -1)),
        ("complex(-inf, 1)", complex(-INF, 1)),
        ("'a' 'b'", "ab"),
        ("b'a' b\"b\"", b"ab"),
        ("r'\\d'", "\\d"),
        ("'\\d'", "\\d"),
        ("'''a\nb'''", "a\nb"),
        ("5  # five", 5),
        ("{1: 'a', True: 'b'}", {1: "b"}),
        ("{1, 1.0}", {1}),
        ("set([1, 2])", {1, 2}),
        ("frozenset((1,))", frozenset({1})),
        ("{frozenset(): ()}", {frozenset(): ()}),
    ],
)
def test_literals(text, value):
    assert canonical(parse(text)) == canonical(value)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", ()),
        (" \n", ()),
        ("# nothing", ()),
        ("'abc', 2", ("abc", 2)),
        ("[1, 2],", ([1, 2],)),
        ("(1, 2)", ((1, 2),)),
        ("1,\n 2  # two", (1, 2)),
    ],
)
def test_argument_lists(text, values):
    assert canonical_arguments(parse_arguments(text)) == canonical_arguments(values)


def test_odd_escapes_in_text_warn_nobody():
    code = "from azr_fast.sandbox.values import parse; print(len(parse(r\"'\\d\\9'\")))"
    environment = {"PYTHONPATH": str(Path(codec.__file__).parents[2])}
    command = [sys.executable, "-W", "always", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("4\n", "")


# --- hostile text -----------------------------------------------------------------------------------

HOSTILE = [
    "[9]) or (True",
    "[9]) == f([9]) or (True",
    "eval(gold_output)",
    "eval('1')",
    "gold_output",
    "output",
    "__import__('os').system('x')",
    '__import__("os")',
    "exec('import os')",
    "open('/etc/passwd').read()",
    "().__class__.__bases__[0].__subclasses__()",
    "(1).__class__",
    "''.join(['a'])",
    "f'{1}'",
    "f''",
    "f'{__import__(\"os\")}' 'x'",
    "[x for x in (1,)]",
    "{x for x in (1,)}",
    "{x: x for x in (1,)}",
    "(x for x in (1,))",
    "lambda: 1",
    "(lambda: 1)()",
    "[*[1]]",
    "*[1]",
    "{**{}}",
    "(x := 1)",
    "[1][0]",
    "[1, 2][0:1]",
    "1 if True else 2",
    "1 or 2",
    "not 1",
    "~1",
    "--1",
    "-True",
    "-'a'",
    "-[1]",
    "1 + 1",
    "1 == 1",
    "2 ** 99999999",
    "'a' * 9999999999",
    "[0] * 9999999999",
    "'%s' % 1",
    "1j + 1j",
    "1j + 1",
    "True + 1j",
    "1 * 2j",
    "1 + 1j + 1j",
    "...",
    "NotImplemented",
    "NaN",
    "true",
    "null",
    "await x",
    "(yield)",
    "x = 1",
    "import os",
    "1; 2",
    "1\n2",
    "def f(): pass",
    "range(3)",
    "list((1, 2))",
    "int('1')",
    "set(1)",
    "set('abc')",
    "set([1], [2])",
    "set(set(set()))",
    "set([[1]])",
    "frozenset({}.items())",
    "frozenset(x=[1])",
    "set(*[[1]])",
    "complex('1')",
    "complex(1)",
    "complex(1j, 1)",
    "complex(True, 1)",
    "complex(x, 1)",
    "complex(real=1, imag=2)",
    "float('1')",
    "float(nan)",
    "float('++inf')",
    "math.nan",
    "{[1]}",
    "{{}: 1}",
    "{(1, [2]): 3}",
    "{set(): 1}",
    "'unterminated",
    "b'\xe9'",
    "'\\x'",
    "'\\N{no such name}'",
    "1 \\",
    "\x00",
    "'a\x00b'",
    "\ud800",
    "'\ud800'",
    "0777",
    "1__0",
    "[1, 2",
    "1]",
    "}",
    "𝐞𝐯𝐚𝐥(1)",
    "```python\n1\n```",
    "<answer>1</answer>",
    "10" * 200 + " + 1j",
    "complex(" + "9" * 400 + ", 1)",
    "complex(1, " + "9" * 5000 + ")",
]


@pytest.mark.parametrize("text", [*HOSTILE, "", " ", "# only a comment"])
def test_parse_refuses(text):
    with pytest.raises(ValueError, match=REASON):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        *(text for text in HOSTILE if text != "1 \\"),  # a continued line is still one argument
        "1], [2",
        "1][0",
        "1] + [2",
        "1] or [2",
        "1], *[2",
        "]",
        "[",
        ",",
        "1,,2",
        "1 2",
        "x=1",
        "**{}",
        "1 for _ in (1, 2)",
        "]\n[",
        "] if 1 else [",
        "]; [",
        "] # ",
        "1)",
        "1), (2",
        "'''",
    ],
)
def test_parse_arguments_refuses(text):
    with pytest.raises(ValueError, match=REASON):
        parse_arguments(text)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("__import__('os')", "__import__"),
        ("eval(gold_output)", "eval"),
        ("(1).real", "Attribute"),
        ("f'{1}'", "JoinedStr"),
        ("[x for x in ()]", "ListComp"),
        ("lambda: 0", "Lambda"),
        ("foo", "name foo"),
        ("[*x]", "Starred"),
        ("{[]}", "unhashable"),
        ("'abc", "unterminated"),
    ],
)
def test_a_refusal_says_what_was_refused(text, word):
    with pytest.raises(ValueError, match=word):
        parse(text)


N = 100_000
LARGE = {
    "brackets": "[" * N,
    "closed brackets": "[" * N + "]" * N,
    "braces": "{" * N,
    "braces, colon": "{1:" * (N // 3),
    "parentheses": "(" * N,
    "calls": "frozenset(" * (N // 10),
    "some calls": "frozenset(" * 150 + ")" * 150,
    "some sets": "{" * 190 + "}" * 190,
    "some braces and lambda": "{lambda:" * 190,
    "minus": "-" * N + "1",
    "not": "not " * (N // 4) + "1",
    "lambda": "lambda:" * (N // 7) + "1",
    "plus": "1+" * (N // 2) + "1",
    "power": "2**" * (N // 3) + "2",
    "attributes": "a" + ".b" * (N // 2),
    "subscripts": "a" + "[0]" * (N // 3),
    "conditions": "1 if 1 else " * (N // 12) + "1",
    "comparisons": "1<" * (N // 2) + "1",
    "f-strings": "f'{" * (N // 3),
    "spaces": " " * N,
    "newlines": "(" + "\n" * N,
    "commas": "," * N,
    "dots": "." * N,
    "quotes": "'" * (N + 1),
    "a long name": "a" * N,
    "a long wrong number": "9" * N + "z",
    "underscores": "1" + "_" * N,
    "backslashes": "\\" * N,
}


@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE)
def test_large_hostile_text_is_refused(text):
    for read in (parse, parse_arguments):
        if text.strip() or read is parse:
            with pytest.raises(ValueError, match=REASON):
                read(text)


@pytest.mark.parametrize("n", [900, 1500, 2900, 5000])
def test_a_long_sum_is_refused_at_any_depth_of_the_stack(n):
    """Lengths around which CPython's parser, its compiler and a reader of ours may overflow."""
    with pytest.raises(ValueError, match="not a"):
        parse("1j" + "+1j" * n)


def test_large_harmless_text_is_read():
    assert parse("9" * N) == 10**N - 1
    assert parse("[" + "1, " * N + "]") == [1] * N
    assert parse("'a'" * (N // 3)) == "a" * (N // 3)
    assert len(parse("{" + ", ".join(f"{i}: {{{i}}}" for i in range(N // 10)) + "}")) == N // 10


def test_colliding_hashes_are_read():
    period = sys.hash_info.modulus
    assert len(parse(canonical({i * period for i in range(1000)}))) == 1000


@given(st.text(st.sampled_from("[](){},:'\"\\1.9e-+jnaif_b# \nset\x00\ud800"), max_size=60))
def test_any_text_is_read_or_refused_with_value_error(text):
    for read in (parse, parse_arguments):
        try:
            value = read(text)
        except ValueError:
            continue
        assert equal(read(canonical(value) if read is parse else canonical_arguments(value)), value)


@given(st.text(max_size=40))
def test_unevaluated_text_agrees_with_literal_eval(text):
    """Whatever the standard library's literal reader accepts, this one reads alike."""
    try:
        expected = ast.literal_eval(text)
    except Exception:
        return
    if expected is not ...:
        assert equal(parse(text), expected, strict_types=True)


# --- equality ---------------------------------------------------------------------------------


def has_nan(value):
    if isinstance(value, dict):
        return any(map(has_nan, value.keys())) or any(map(has_nan, value.values()))
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(map(has_nan, value))
    return isinstance(value, (float, complex)) and cmath.isnan(value)


@given(VALUES.filter(lambda v: not has_nan(v)), VALUES.filter(lambda v: not has_nan(v)))
@example(1, True)
@example({1: [2.0]}, {True: [2]})
@example({1}, frozenset({1.0}))
@example([1], (1,))
@example(2**53 + 1, float(2**53))
@example(complex(2**53), 2**53 + 1)
@example(0.0, -0.0)
@example({"a": 1, "b": 2}, {"b": 2, "a": 1})
def test_without_nan_equality_is_pythons(a, b):
    assert equal(a, b) == (a == b)
    assert equal(a, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("nan", "nan"),
        ("nan", "-nan"),
        ("[nan, 1]", "[nan, True]"),
        ("{nan}", "{nan}"),
        ("{nan, nan}", "{nan, nan}"),
        ("{(1, nan): 2}", "{(1, nan): 2}"),
        ("{nan: 1, 2: nan}", "{2: nan, nan: 1}"),
        ("frozenset({frozenset({nan})})", "{frozenset({nan})}"),
        ("complex(nan, 1)", "complex(nan, 1.0)"),
        ("complex(1, nan)", "complex(1, nan)"),
    ],
)
def test_nan_equals_itself(a, b):
    assert equal(parse(a), parse(b))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("nan", "inf"),
        ("nan", "0.0"),
        ("nan", "None"),
        ("nan", "'nan'"),
        ("[nan]", "(nan,)"),
        ("{nan, nan}", "{nan}"),
        ("{nan: 1, 0: 2}", "{nan: 2, 0: 1}"),
        ("complex(nan, 1)", "complex(nan, 2)"),
        ("complex(nan, 1)", "complex(1, nan)"),
        ("1", "'1'"),
        ("'a'", "b'a'"),
        ("{}", "set()"),
        ("[]", "()"),
        ("0", "None"),
        ("{1: 2}", "{1: 2, 3: 4}"),
    ],
)
def test_unequal(a, b):
    assert not equal(parse(a), parse(b))
    assert not equal(parse(b), parse(a))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, True),
        (1, 1.0),
        (1.0, 1 + 0j),
        ({1}, {True}),
        ({1: 0}, {1.0: 0}),
        ({1}, frozenset({1})),
        ([0, [1]], [0, [1.0]]),
        (NAN, complex(NAN, 0)),
    ],
)
def test_strict_types(a, b):
    assert equal(a, b)
    assert not equal(a, b, strict_types=True)
    assert equal(a, a, strict_types=True)
    assert equal(b, b, strict_types=True)


def test_strict_types_ignores_the_sign_of_zero():
    assert equal(0.0, -0.0, strict_types=True)
    assert math.copysign(1, parse("-0.0")) == -1
