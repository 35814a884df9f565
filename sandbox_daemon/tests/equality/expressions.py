"""Expressions over the language itself and its builtins."""
# ruff: noqa: E501  (an expression is not broken)

from __future__ import annotations

BUILTINS = [
    "1 << 100, -7 // 2, -7 % 3, divmod(-7, 2), 7 ** -2, 2 ** 0.5, ~5, 5 & 3 | 8 ^ 1",
    "0.1 + 0.2, 1e16 + 1, 1 / 3, -0.0, 1e308 * 10, 2.5 // 1, 7.5 % 2, round(2.5), round(-3.567, 2)",
    "float('nan'), float('-inf'), float(' 1_0.5e3 '), (0.1).hex(), float.fromhex('0x1.8p3')",
    "(1.5).as_integer_ratio(), (3.0).is_integer(), int('ff', 16), int('0b101', 0), int(-3.9)",
    "(10 ** 50).bit_length(), (255).to_bytes(3, 'big'), int.from_bytes(b'\\x01\\x02', 'little')",
    "1j * 1j, abs(3 + 4j), (1 + 2j).conjugate(), complex('1-2j'), (1 + 2j) ** 2, -1j, 0j, -0j",
    "bool([]), bool(''), bool(0.0), not None, True + True, True == 1, None is None",
    "all([]), any([]), sum([0.1] * 10), sum([[1], [2]], []), min('b', 'a'), max([1, 3], key=lambda x: -x)",
    "list(zip('ab', [1, 2], strict=True)), list(map(pow, [2, 3], [3, 2])), list(filter(None, [0, 1]))",
    "list(enumerate('ab', 5)), list(reversed([1, 2])), sorted('bca', reverse=True), list(range(9, 0, -4))",
    "[*range(3)], {**{'a': 1}, 'b': 2}, (*'ab', 3), {*'a', *'b'}, [i for i in (1, 2) for _ in 'ab']",
    "hash(1), hash(-1), hash(2 ** 61 - 1), hash(1.0), hash(()) == hash(()), hash(True)",
    "chr(8364), ord('ß'), ascii('é'), repr('a\\'b\"'), bin(-5), oct(8), hex(255), format(3.14159, '.2f')",
    "isinstance(True, int), issubclass(bool, int), callable(len), type(1).__name__, len({1: 2})",
    "slice(1, 10, 2).indices(5), 'abcdef'[slice(None, None, -2)], [1, 2, 3, 4][-3:-1]",
    "int.__add__(1, 2), (5).__pow__(3, 7), [].__len__(), 'a'.__contains__('a')",
    "eval('1 + x', {'x': 2}), compile('a', '', 'eval').co_names, (lambda x=1, *y: x).__defaults__",
    "getattr(1, 'real'), hasattr(1, 'none'), vars(type('T', (), {'a': 1}))['a'], dir([])[-1]",
    "bytes([1, 2]), bytes('é', 'utf-8'), bytearray(b'ab').hex(), b'abc'[1], b'a,b'.split(b','), b'%d' % 5",
    "memoryview(b'abcd')[1:3].tobytes(), memoryview(b'ab').tolist(), bytes(reversed(b'ab'))",
    "1 < 2 < 3, 1 if [] else 2, [] or 'x', 0 and 1, (x := 5) + x, 'a' 'b', 1_000, 0x_ff, 0o17, 0b11",
    "f'{1:>5}|{2:<5}|{3:^5}|{4:+}|{5:,}|{10 ** 9:_}|{255:#x}|{0.5:%}|{1e10:g}|{\"a\"!r:>5}'",
    "f'{1.5!s:*^9} {[1]!r} {3:{4}d} {\"{}\"} {{}} {1=}'",
    "iter([1]).__length_hint__(), next(iter([]), 'end'), [].__class__.__mro__[-1].__name__",
    "pow(3, -1, 7), pow(2, 1000, 1009), round(12345, -2), abs(-0.0), divmod(5.5, 2)",
    "1 .__class__.__name__, print('x') is None, id(1) == id(1), ... is Ellipsis, NotImplemented is not None",
]
TEXT = [
    "'Hello World'.swapcase(), 'hello world'.title(), 'ß'.upper(), 'İ'.lower(), 'ﬁ'.casefold()",
    "'a b  c'.split(), 'a b  c'.split(' '), 'a,b'.rsplit(',', 1), 'ab\\ncd\\r\\n'.splitlines()",
    "'abc'.center(9, '*'), 'abc'.ljust(5) + '|', '-5'.zfill(4), 'a\\tb'.expandtabs(4)",
    "'xaxbx'.strip('x'), 'abc'.removeprefix('a'), 'abc'.removesuffix('c'), 'aXbX'.partition('X')",
    "'abcabc'.find('c', 3), 'abcabc'.rfind('b'), 'abc'.count(''), 'abc'.startswith(('x', 'ab'))",
    "'٣'.isdigit(), '½'.isnumeric(), 'ª'.isalpha(), 'a1'.isalnum(), ' '.isspace(), 'Ab'.istitle()",
    "'{0}-{a[1]}-{b.real}'.format(1, a=[2, 3], b=4), '%05.1f|%-4s|%x|%%' % (3.14159, 'a', 255)",
    "'abc'.translate(str.maketrans('ab', 'xy', 'c')), ','.join('abc'), 'ab' * 3, 'a' in 'cat'",
    "'é'.encode(), 'é'.encode('utf-16-le'), b'\\xff'.decode('latin-1'), b'\\xff'.decode('utf-8', 'replace')",
    "'😀'.encode('unicode_escape'), 'a\\x00b', '\\ud800', '\\u2028', '\\x7f\\x80\\xa0\\xad', '\\U0010ffff'",
    "'a' < 'b', 'Z' < 'a', '' < 'a', 'é' > 'z', max('abc'), 'abc'[::-1], 'abc'.index('b')",
    "repr('\\t\\n\\r\\\\'), repr(b'\\'\"'), repr(\"'\"), str(b'a'), repr('\\u200b'), repr('\\xa0')",
    "'ab'.isidentifier(), 'if'.isidentifier(), '1'.isdecimal(), 'a'.isprintable(), 'é'.isascii()",
    "'x=1;y=2'.replace('=', ':', 1), 'aaa'.replace('', '-'), 'ababab'.replace('ab', '')",
]
CONTAINERS = [
    "[3, 1, 2].index(2), [1, 2] + [3], [0] * 3, [1, [2, [3]]] == [1, [2, [3]]], [1, 2] < [1, 3]",
    "(lambda x: (x.append(1), x.sort(), x.reverse(), x)[-1])([3, 2]), [1, 2, 3].pop(0), [1, 1].count(1)",
    "dict(a=1) | {'b': 2}, dict.fromkeys('ab'), {1: 2}.get(3, 4), {1: 2}.items() == {(1, 2)}, list({3: 1, 1: 2})",
    "(lambda d: (d.setdefault('x', []).append(1), d.pop('y', 0), d.popitem()))({}), {1: 'a', 1.0: 'b', True: 'c'}",
    "{1, 2} | {3}, {1, 2} & {2}, {1, 2} - {2}, {1, 2} ^ {2, 3}, {1} <= {1, 2}, {1}.isdisjoint({2}), set(), frozenset()",
    "{1, 1.0, True}, {0.0, -0.0}, {'b', 'a', 'C'}, {10, 9, 100}, {(1, 2), (1,)}, {None, False, 'x', b'x'}",
    "frozenset({frozenset({1}), frozenset()}), {frozenset([3, 1, 2]): 'v'}, {(): [], (1,): {}}",
    "(1,) + (2,), (1, 2, 3)[1:], (1, 2) * 2, (1, 2) < (1, 2, 0), tuple({1: 2}), ((),), ([],)",
    "[[i * j for j in range(3)] for i in range(3)], {i: {j for j in range(i)} for i in range(3)}",
    "[] == (), [1] == [True], {1: 1} == {1.0: True}, {1} == frozenset([1]), () == (), float('nan') in [1]",
    "(lambda x: (x.__setitem__(slice(1, 3), 'abc'), x.__delitem__(0), x)[-1])([1, 2, 3, 4])",
    "list({'z': 1, 'a': 2} | {'z': 3}), dict(zip('ab', range(2))), dict([(1, 2)], k=3), {**{}, 'a': None}",
    "sorted([(2, 'b'), (1, 'c'), (2, 'a')], key=lambda p: p[0]), sorted({'b': 1, 'a': 2}.items())",
    "[x for x in range(30) if x % 2 if x % 3], {x % 3: x for x in range(9)}, sum(x * x for x in range(99))",
]


EXPRESSIONS: list[str] = [*BUILTINS, *TEXT, *CONTAINERS]
