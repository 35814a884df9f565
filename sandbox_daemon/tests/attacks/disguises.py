"""Values that are not what they seem."""

from __future__ import annotations

from .attack import Attack, any_of, error

ATTACKS: dict[str, Attack] = {
    "equal_to_all": error(
        "class E:\n  def __eq__(self, other): return True\ndef f(): return E()", "NotPlainValue"
    ),
    "int_in_disguise": error(
        "class I(int):\n  def __repr__(self): return '42'\ndef f(): return I(1)", "NotPlainValue"
    ),
    "text_in_disguise": error(
        "class S(str):\n  def __eq__(self, other): return True\n  __hash__ = str.__hash__\n"
        "def f(): return [S('x')]",
        "NotPlainValue",
    ),
    "list_in_disguise": error(
        "class L(list):\n  def __iter__(self): yield 42\ndef f(): return L()", "NotPlainValue"
    ),
    "dict_in_disguise": error(
        "import collections\ndef f(): return collections.OrderedDict(a=1)", "NotPlainValue"
    ),
    "key_in_disguise": error("class S(str):\n  pass\ndef f(): return {S('a'): 1}", "NotPlainValue"),
    "bool_in_disguise": error(
        "import enum\nclass B(int, enum.Enum):\n  T = 1\ndef f(): return B.T", "NotPlainValue"
    ),
    "class_property": error(
        """
        class E:
            @property
            def __class__(self): return int
            def __int__(self): return 42
            __index__ = __int__
        def f(): return E()
        """,
        "NotPlainValue",
    ),
    "class_changed_in_memory": any_of(
        """
        import ctypes
        class I(int): pass
        def f():
            x = I(7)
            ctypes.c_size_t.from_address(id(x) + 8).value = id(int)
            return x
        """,
        "ok",  # it is an int then, and no more than an int
        value="7",
    ),
    "anything_else": error("def f(): return lambda: 1", "NotPlainValue"),
    "generator": error("def f(): yield 42", "NotPlainValue"),
    "coroutine": error("async def f(): return 42", "NotPlainValue"),
    "proxy": error("import types\ndef f(): return types.MappingProxyType({})", "NotPlainValue"),
    "entry_is_a_class": error("class f: pass", "NotPlainValue"),
    "entry_is_no_function": error("f = 42", "NoEntry"),
    "entry_is_missing": error("g = 42", "NoEntry"),
    "entry_from_getattr": error("def __getattr__(name): return lambda: 42", "NoEntry"),
    "length_forged_in_memory": any_of(
        """
        import ctypes
        def f():
            x = [1]
            ctypes.c_ssize_t.from_address(id(x) + 16).value = 1 << 40
            return x
        """,
        "crash",
        "output",
        "error",
    ),
    "text_length_forged_in_memory": any_of(
        """
        import ctypes
        def f():
            x = ''.join(['a', 'b', 'c'])
            ctypes.c_ssize_t.from_address(id(x) + 16).value = 1 << 19
            return x
        """,
        "crash",
        "output",
        "ok",  # its own memory as text
        "error",
    ),
    "negative_length": any_of(
        """
        import ctypes
        def f():
            x = b'abc' * 3
            ctypes.c_ssize_t.from_address(id(x) + 16).value = -1
            return x
        """,
        "crash",
        "output",
        "error",
        "memory",
    ),
}
