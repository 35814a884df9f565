"""Everything that can be raised, and exceptions that lie about themselves."""

from __future__ import annotations

from .attack import Attack, any_of, error, ok

ATTACKS: dict[str, Attack] = {
    "base_exception": error("class Mine(BaseException): pass\ndef f(): raise Mine('x')", "Mine"),
    "keyboard_interrupt": error("def f(): raise KeyboardInterrupt", "KeyboardInterrupt"),
    "generator_exit": error("def f(): raise GeneratorExit", "GeneratorExit"),
    "system_exit": error("def f(): raise SystemExit(0)", "SystemExit"),
    "stop_iteration": error("def f(): raise StopIteration(1)", "StopIteration"),
    "cancelled": error(
        "from concurrent.futures import CancelledError\ndef f(): raise CancelledError",
        "CancelledError",
    ),
    "group": error("def f(): raise ExceptionGroup('x', [ValueError(1)])", "ExceptionGroup"),
    "nested_groups": error(
        """
        def f():
            x = ValueError()
            for _ in range(10 ** 4): x = BaseExceptionGroup('x', [x, KeyboardInterrupt()])
            raise x
        """,
        "BaseExceptionGroup",
    ),
    "memory_error_by_hand": error("def f(): raise MemoryError('x')", "MemoryError"),
    "child_of_memory_error": error("class Mine(MemoryError): pass\ndef f(): raise Mine", "Mine"),
    "timeout_error": error("def f(): raise TimeoutError", "TimeoutError"),
    "not_an_exception": error("def f(): raise 1", "TypeError"),
    "class_that_makes_no_exception": error(
        "class E(Exception):\n  def __new__(cls): return 1\ndef f(): raise E", "TypeError"
    ),
    "constructor_that_raises": error(
        "class E(Exception):\n  def __init__(self): raise KeyError\ndef f(): raise E", "KeyError"
    ),
    "message_that_raises": error(
        "class E(Exception):\n  def __str__(self): raise KeyboardInterrupt\ndef f(): raise E", "E"
    ),
    "message_that_exits": error(
        "class E(Exception):\n  def __str__(self): raise SystemExit(0)\ndef f(): raise E", "E"
    ),
    "message_that_is_no_text": error(
        "class E(Exception):\n  def __str__(self): return 7\ndef f(): raise E", "E"
    ),
    "message_of_a_lying_text": error(
        """
        class S(str):
            def encode(self, *rest): return b'evil'
            def __str__(self): return 'evil'
        class E(Exception):
            def __str__(self): return S('honest')
        def f(): raise E
        """,
        "E",
    ),
    "lies_about_its_class": error(
        """
        class E(Exception):
            @property
            def __class__(self): return int
        def f(): raise E
        """,
        "E",
    ),
    "metaclass_lies_about_its_name": error(
        """
        class Meta(type):
            __name__ = property(lambda self: 1 / 0)
            def __instancecheck__(self, other): return True
            def __subclasscheck__(self, other): return True
        class E(Exception, metaclass=Meta): pass
        def f(): raise E
        """,
        "E",
    ),
    "catches_all_by_metaclass": error(
        """
        class Meta(type):
            def __subclasscheck__(self, other): raise SystemExit(0)
            def __instancecheck__(self, other): raise SystemExit(0)
        class E(BaseException, metaclass=Meta): pass
        def f():
            try: raise KeyError
            except E: return 'caught'
        """,
        "KeyError",
    ),
    "circular_causes": error(
        """
        def f():
            a, b = ValueError(1), KeyError(2)
            a.__cause__, b.__cause__ = b, a
            raise a
        """,
        "ValueError",
    ),
    "circular_trace": error(
        """
        def f():
            try: 1 / 0
            except ZeroDivisionError as e:
                e.__context__ = e
                raise e.with_traceback(None)
        """,
        "ZeroDivisionError",
    ),
    "long_trace": error(
        """
        def f():
            error = ValueError()
            for _ in range(10 ** 4):
                try: raise error
                except ValueError: pass
            raise error
        """,
        "ValueError",
    ),
    "line_that_is_no_line": error(
        """
        def f():
            error = SyntaxError('x')
            error.lineno = -10 ** 30
            raise error.with_traceback(None)
        """,
        "SyntaxError",
    ),
    "attributes_that_raise": error(
        """
        class E(SyntaxError):
            def __getattribute__(self, name): raise SystemExit(0)
        def f(): raise E
        """,
        "E",
    ),
    "exit_code_that_raises": error(
        "class E(SystemExit):\n  code = property(lambda self: 1 / 0)\ndef f(): raise E", "E"
    ),
    "raises_in_finalizer": ok(
        "class D:\n  def __del__(self): raise SystemExit(0)\ndef f():\n  D()\n  return 1", "1"
    ),
    "raises_when_collected": ok(
        """
        import gc
        class D:
            def __del__(self): raise KeyboardInterrupt
        def f():
            x = D(); x.x = x; del x
            gc.collect()
            return 1
        """,
        "1",
    ),
    "raises_in_hook": ok(
        """
        import sys
        def hook(*a): raise SystemExit(0)
        sys.excepthook = sys.unraisablehook = sys.displayhook = hook
        class D:
            def __del__(self): 1 / 0
        def f():
            D()
            return 1
        """,
        "1",
    ),
    "hook_of_script": any_of(
        "import sys, os\nsys.excepthook = lambda *a: os._exit(0)\nraise ValueError",
        "crash",
        "error",
        script=True,
    ),
    "exit_zero_after_an_error": any_of(
        "import atexit\natexit.register(lambda: (_ for _ in ()).throw(SystemExit(0)))\n1 / 0",
        "error",
        types=("ZeroDivisionError",),
        script=True,
    ),
    "import_error": error("def f(): import no_such_module", "ModuleNotFoundError"),
}
