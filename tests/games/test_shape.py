"""`game.novelty = "shape"`: what is left of a program without its names and constants."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_fast.games.azr.refusal import Failed
from azr_fast.games.azr.shape import shape_key

SAME = [
    ("def f(x):\n    return x + 1", "def f(number):\n    return number + 25"),
    ("def f(x):\n    '''Doc.'''\n    return -1 * x", "def f(x):\n    return 7 * x"),
    ("def f(xs):\n    return [x for x in xs]", "def f(ys):\n    return [y for y in ys]"),
    # An inner name may be an outer one again, or not.
    (
        "def f(x):\n    def g(x):\n        return x\n    return g(x)",
        "def f(a):\n    def h(b):\n        return b\n    return h(a)",
    ),
    ("def f(x):\n    return (lambda x: x)(x)", "def f(x):\n    return (lambda y: y)(x)"),
    (
        "def help(k, m=2):\n    return k * m\ndef f(x):\n    return help(k=x)",
        "def aid(n, o=3):\n    return n * o\ndef f(x):\n    return aid(n=x)",
    ),
    ("import math\ndef f(x):\n    return math.pi * x", "import math as m\ndef f(y):\n    return m.pi * y"),
    (
        "def f(x):\n    try:\n        return x\n    except ValueError as error:\n        return error",
        "def f(x):\n    try:\n        return x\n    except ValueError as e:\n        return e",
    ),
    (
        "def f(x):\n    n = 0\n    def g():\n        nonlocal n\n        n += 1\n    g()\n    return n",
        "def f(y):\n    k = 9\n    def h():\n        nonlocal k\n        k += 1\n    h()\n    return k",
    ),
    (
        "def f(x):\n    match x:\n        case [first, *rest]:\n            return rest\n        case {'a': v, **more}:\n            return v, more",
        "def f(x):\n    match x:\n        case [a, *b]:\n            return b\n        case {'z': c, **d}:\n            return c, d",
    ),
    ("class A:\n    size = 1\ndef f(x):\n    return A.size", "class B:\n    size = 2\ndef f(x):\n    return B.size"),
    ("total = 0\ndef f(x):\n    global total\n    total = x", "t = 5\ndef f(y):\n    global t\n    t = y"),
]  # fmt: skip
OTHER = [
    ("def f(x):\n    return x + 1", "def f(x):\n    return x - 1"),
    ("def f(x):\n    return x + 1", "def f(x):\n    return x + 1.0"),
    ("def f(x, y):\n    return x - y", "def f(x, y):\n    return y - x"),
    ("def f(x):\n    return sorted(x)", "def f(x):\n    return list(x)"),
    ("def f(x):\n    return x.upper()", "def f(x):\n    return x.lower()"),
    ("import math\ndef f(x):\n    return math.pi", "import cmath\ndef f(x):\n    return cmath.pi"),
    ("def f(x, y):\n    return [x for x in y]", "def f(x, y):\n    return [x for z in y]"),
    ("def f(x):\n    return len(x)", "def f(x, len=sum):\n    return len(x)"),
    ("class A:\n    size = 1\ndef f(x):\n    return A.size", "class A:\n    sum = 1\ndef f(x):\n    return A.sum"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SAME)
def test_names_and_constants_make_no_new_shape(one, other):
    assert shape_key(one) == shape_key(other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_what_a_program_does_makes_a_new_shape(one, other):
    assert shape_key(one) != shape_key(other)


NAMES = st.lists(
    st.sampled_from(["a", "b", "sum", "key", "total", "v1_0"]), min_size=3, unique=True
)


@given(NAMES, st.integers(), st.integers())
def test_any_renaming_keeps_the_shape(names, one, other):
    x, y, z = names[:3]
    text = "def {0}_(k):\n    return k\ndef f({0}, {1}):\n    {2} = {0}_({1}) + {3}\n    return [{2} * {0} for {0} in {1}]"
    assert shape_key(text.format(x, y, z, one)) == shape_key(text.format("p", "q", "r", other))


def test_a_program_that_is_nested_too_deeply_is_refused():
    with pytest.raises(Failed):
        shape_key("def f(x):\n    return " + "+".join(["x"] * 3000))
