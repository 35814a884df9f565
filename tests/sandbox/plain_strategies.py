"""Hypothesis strategies for plain values, odd ones included."""

from __future__ import annotations

from hypothesis import strategies as st

ODD_FLOATS = st.sampled_from([float("nan"), float("inf"), float("-inf"), -0.0, 0.0, 5e-324, 1e16])
FLOATS = st.floats() | ODD_FLOATS
INTEGERS = st.integers() | st.integers(-(10**40), 10**40) | st.sampled_from([0, 1, -1, 2**63])
COMPLEXES = st.builds(complex, FLOATS, FLOATS)
# Every code point: control characters, lone surrogates, quotes of both kinds, astral planes.
STRINGS = st.text(
    st.characters(codec=None) | st.characters(categories=["Cs", "Cc"])
) | st.sampled_from(
    ["'", '"', "'\"", "\\", "\ud800", "\x00", "é", "\u2028", "\U0001f600", "a\rb\n", "{1}", "# x"]
)
SCALARS = st.one_of(
    st.none(), st.booleans(), INTEGERS, FLOATS, COMPLEXES, STRINGS, st.binary(max_size=20)
)
HASHABLES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
    max_leaves=6,
)
VALUES = st.recursive(
    HASHABLES | st.sets(HASHABLES, max_size=5),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(HASHABLES, inner, max_size=4),
    ),
    max_leaves=12,
)
