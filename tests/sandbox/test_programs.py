"""Values that come out of the daemon are those that plain CPython computes, text for text."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plain_strategies import VALUES
from programs import make_program

from azr_fast.sandbox.equality import equal
from azr_fast.sandbox.values import (
    MAX_DEPTH,
    canonical,
    canonical_arguments,
    parse,
    parse_arguments,
)

IDENTITY = "def f(*a): return a"
HERE = "<here>"


def outcome_here(function, arguments):
    """What the daemon should say of a call: ("ok", value text), or ("error", type, message, line)."""
    try:
        return "ok", canonical(function(*parse_arguments(arguments)))
    except Exception as error:
        lines, trace = [], error.__traceback__
        while trace is not None:
            lines += [trace.tb_lineno] if trace.tb_frame.f_code.co_filename == HERE else []
            trace = trace.tb_next
        return "error", type(error).__name__, str(error), lines[-1]


def outcome_there(result):
    if result.verdict == "ok":
        return "ok", result.value
    return result.verdict, result.type, result.message, result.line


@pytest.mark.parametrize("seeds", [range(k, 480, 8) for k in range(8)])
def test_generated_programs_give_what_cpython_gives(client, seeds):
    for seed in seeds:
        program, arguments = make_program(seed)
        namespace = {}
        exec(compile(program, HERE, "exec"), namespace)
        reply = client.call(program, "f", arguments)
        assert reply.verdict == "ok", program
        expected = [outcome_here(namespace["f"], text) for text in arguments]
        assert list(map(outcome_there, reply.results)) == expected, program


def test_generated_programs_are_varied():
    programs = {make_program(seed)[0] for seed in range(480)}
    assert len(programs) >= 300


# --- the two codecs against each other ----------------------------------------------------------


@settings(max_examples=150)
@given(calls=st.lists(st.lists(VALUES, max_size=2), min_size=1, max_size=3))
@example(calls=[[{float("nan"), float("nan")}, complex(0.0, -2.0), -0.0, "\ud800"]])
@example(calls=[[10**5000, -(10**4300), {10**4300: 1}]])
@example(calls=[[], [()], [[]], [{}], [set()], [frozenset()]])
@example(
    calls=[["\x00", b"\x00", "'\"", b"'\"", "\r\n\t\\", "\x7f\x80\xa0\xad\u2028\ufeff\U000e0001"]]
)
def test_values_pass_through_unchanged(client, calls):
    texts = [canonical_arguments(values) for values in calls]
    reply = client.call(IDENTITY, "f", texts)
    expected = [canonical(tuple(values)) for values in calls]
    assert [result.value for result in reply.results] == expected


@settings(max_examples=100)
@given(value=VALUES)
def test_values_that_a_program_makes_have_the_same_text(client, value):
    """The value is made by the program's own code; nan is a call, so that each is a new object."""
    text = canonical(value)
    source = f"class Names(dict):\n    def __missing__(self, name): return float(name)\n\ndef f(): return eval({text!a}, Names(set=set, frozenset=frozenset, complex=complex))"
    reply = client.call(source, "f", [""])
    assert reply.results[0].value == text


SPELLINGS = [
    "", " ", "1,", "[1, 2],", "1, 'a'", "(1, 2)", "0x_ff, 1_000, 0b1, 0o17", "1e999, -1e999", "-1, +1, - 1.5",
    "1+2j, 1-2j, -2j, 2j, -1-2j", "nan, inf, -inf, -nan", "'a' 'b', b'a' b'b'", "r'\\d', u'x'", "'''a\nb'''",
    "{1: 'a', True: 'b'}", "{1, 1.0, True}", "{nan, nan}", "set(), frozenset()", "frozenset({1, 2}), set([1])",
    "frozenset([3, 1]), frozenset((1,))", "complex(nan, 1), complex(1.0, -0.0), complex(-inf, inf)",
    "[\n1,\n2,\n]", "None, True, False", "'\\ud800\\x00'", "9" * 5000, "-" + "9" * 4301,
    "'" + "9" * 5000 + "'", "{(1, 'a'): [b'']}", "{frozenset(): {frozenset({1}): ()}}",
]  # fmt: skip


@pytest.mark.parametrize("text", SPELLINGS)
def test_both_readers_read_a_spelling_alike(client, text):
    result = client.call(IDENTITY, "f", [text]).results[0]
    assert (result.verdict, result.value) == ("ok", canonical(parse_arguments(text)))


TOKENS = st.sampled_from(
    ["1", "-", "+", "2.5", "j", "1e5", "_0", "0x1F", "nan", "inf", "None", "True", "'a'", "b'\\xff'", "r'\\d'", '"""q"""',
     "'\\u00e9'", "set(", "frozenset(", "complex(", "float('inf')", "[", "]", "(", ")", "{", "}", ",", ", ", ":", " ", "\n"]
)  # fmt: skip


@settings(max_examples=100)
@given(texts=st.lists(st.lists(TOKENS, max_size=9).map("".join), max_size=40))
def test_no_text_means_two_things(client, texts):
    """What both readers accept is the same value to both."""
    for text, result in zip(texts, client.call(IDENTITY, "f", texts).results, strict=True):
        try:
            here = canonical(parse_arguments(text))
        except ValueError:
            continue
        assert result.value in (here, None)


BAD_ARGUMENTS = [
    "[9]) or (True", "1), (2", "1], [2", "eval('1')", "__import__('os').system('true')", "open('/etc/passwd')",
    "(1).__class__", "f'{1}'", "[x for x in (1,)]", "lambda: 1", "*[1]", "**{}", "x=1", "(x := 1)", "g", "f",
    "1 + 1", "2 ** 99999999", "'a' * 99999999", "not 1", "[1][0]", "1 if True else 2", "...", "{[1]}", "{{}: 1}",
    "1 2", ",", "1,,2", "'abc", "]", ")", "[1", "1; 2", "1)\nprint(2", "\x00", "range(3)", "print(1)",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD_ARGUMENTS)
def test_argument_text_is_data_to_the_daemon_too(client, text):
    with pytest.raises(ValueError, match=r"."):
        parse_arguments(text)
    reply = client.call("def f(*a, **k): return a\ndef g(): return 1", "f", ["1", text, "2"])
    assert reply.verdict == "ok"
    assert [r.verdict for r in reply.results] == ["ok", "error", "ok"]
    assert reply.results[1].reason == "BadArgument"


@pytest.mark.parametrize("text", ["'\ud800'", "\udcff"])
def test_argument_text_that_is_not_utf8(client, text):
    result = client.call(IDENTITY, "f", [text]).results[0]
    assert (result.verdict, result.reason) == ("error", "BadArgument")


def test_depth_is_the_same_on_both_sides(client):
    deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    wrap = "def f(x, n):\n    for _ in range(n): x = [x]\n    return x"
    fits, beyond, bad = client.call(
        wrap, "f", [f"{deepest}, 0", f"{deepest}, 1", f"[{deepest}], 0"]
    ).results
    assert (fits.verdict, fits.value) == ("ok", deepest)
    assert beyond.verdict == "output"
    assert (bad.verdict, bad.reason) == ("error", "BadArgument")


def test_a_long_value_is_whole_or_refused(client):
    source = "def f(n): return 'x' * n"
    whole, refused = client.call(source, "f", ["900_000", "2_000_000"]).results
    assert parse(whole.value) == "x" * 900_000
    assert (refused.verdict, refused.value) == ("output", None)


@pytest.mark.parametrize(
    "expression",
    [
        "object()", "range(3)", "iter([])", "len", "int", "...", "bytearray(b'x')", "(i for i in ())",
        "type('L', (list,), {'__repr__': lambda s: '[1]'})()", "type('S', (str,), {})('a')",
        "type('I', (int,), {'__eq__': lambda a, b: True, '__hash__': int.__hash__})(1)",
        "[1, {2: type('F', (float,), {})(1.0)}]", "__import__('enum').IntEnum('E', 'A').A",
        "__import__('collections').OrderedDict(a=1)", "__import__('collections').namedtuple('P', 'x')(1)",
        "__import__('decimal').Decimal(1)", "__import__('fractions').Fraction(1, 2)",
    ],
)  # fmt: skip
def test_other_objects_are_not_plain_values(client, expression):
    result = client.call(f"def f(): return {expression}", "f", [""]).results[0]
    assert (result.verdict, result.reason, result.value) == ("error", "NotPlainValue", None)


def test_a_cycle_is_too_deep(client):
    source = "def f():\n    a = []\n    a.append(a)\n    return a"
    assert client.call(source, "f", [""]).results[0].verdict == "output"


POISON = """
import builtins, json
builtins.repr = builtins.str = lambda x: '42'
builtins.sorted = lambda *a, **k: []
builtins.type = lambda x: int
builtins.isinstance = lambda *a: True
json.dumps = lambda *a, **k: '42'
def f(x): return [x, {3, 1, 2}]
"""


def test_patched_builtins_do_not_reach_the_codec(client):
    assert client.call(POISON, "f", ["'a'"]).results[0].value == "['a', {1, 2, 3}]"
    clean = client.call("def f(x): return repr(x), sorted([2, 1])", "f", ["'a'"])
    assert clean.results[0].value == "(\"'a'\", [1, 2])"


def test_many_argument_lists_share_one_load_and_keep_their_order(client):
    source = "loads = 0\nloads += 1\ndef f(x): return x * 2, loads"
    reply = client.call(source, "f", [str(i) for i in range(500)])
    assert [parse(r.value) for r in reply.results] == [(2 * i, 1) for i in range(500)]


def test_eight_threads_each_get_their_own_answers(client):
    def ask(i):
        reply = client.call("def f(x, y): return [x, y]", "f", [f"{i}, {j}" for j in range(3)])
        return [parse(r.value) for r in reply.results]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(320)))
    assert answers == [[[i, j] for j in range(3)] for i in range(320)]


def test_state_does_not_pass_from_job_to_job(client):
    spoil = "import math\nmath.pi = 3\nmath.leak = 1\ndef f(): return math.pi"
    assert client.call(spoil, "f", [""]).results[0].value == "3"
    look = "import math\ndef f(): return math.pi, hasattr(math, 'leak')"
    for _ in range(8):
        assert equal(
            parse(client.call(look, "f", [""]).results[0].value), (3.141592653589793, False)
        )
