"""Traces that one program leaves for the next: each looks first whether its own is there already.

All are run several times, in every zygote at least once, and must always see a fresh interpreter.
"""

from __future__ import annotations

from .attack import Attack, ok


def leaves(program: str, fresh: str) -> Attack:
    return ok(program, fresh, times=4)


def trace(look: str, leave: str, fresh: str = "False", modules: str = "sys") -> Attack:
    """A program that returns what it saw when it looked, and then leaves its trace."""
    return leaves(f"import {modules}\ndef f():\n  seen = {look}\n  {leave}\n  return seen", fresh)


ATTACKS: dict[str, Attack] = {
    "builtins": trace("hasattr(builtins, 'm')", "builtins.m = 1", modules="builtins"),
    "module_attribute": trace("hasattr(math, 'm')", "math.m = 1", modules="math"),
    "modules": trace("'m' in sys.modules", "sys.modules['m'] = sys"),
    "lost_module": trace("'json' in sys.modules", "del sys.modules['json']", "True", "sys, json"),
    "environment": trace("'M' in os.environ", "os.environ['M'] = '1'", modules="os"),
    "environment_of_c": trace(
        "libc.getenv(b'M')",
        "libc.setenv(b'M', b'1', 1)",
        "0",
        "ctypes\nlibc = ctypes.CDLL(None)",
    ),
    "search_path": trace("'/m' in sys.path", "sys.path.insert(0, '/m')"),
    "path_hooks": trace("len in sys.path_hooks", "sys.path_hooks.append(len)"),
    "finders": trace("len in sys.meta_path", "sys.meta_path.insert(0, len)"),
    "recursion_limit": trace("sys.getrecursionlimit()", "sys.setrecursionlimit(99)", "1000"),
    "switch_interval": trace("sys.getswitchinterval() > 1", "sys.setswitchinterval(9)"),
    "int_digits": trace("sys.get_int_max_str_digits()", "sys.set_int_max_str_digits(0)", "4300"),
    "trace_function": trace("sys.gettrace() is len", "sys.settrace(len)"),
    "exception_hook": trace("sys.excepthook is len", "sys.excepthook = len"),
    "display_hook": trace("sys.displayhook is len", "sys.displayhook = len"),
    "standard_output": trace("sys.stdout is None", "sys.stdout = None"),
    "collector": trace("gc.isenabled()", "gc.disable()", "True", "gc"),
    "collector_callbacks": trace("len in gc.callbacks", "gc.callbacks.append(len)", modules="gc"),
    "warning_filters": trace(
        "warnings.filters[0][0] == 'error'", "warnings.simplefilter('error')", modules="warnings"
    ),
    "signal_handler": trace(
        "signal.getsignal(10) == signal.SIG_IGN",
        "signal.signal(10, signal.SIG_IGN)",
        modules="signal",
    ),
    "signal_mask": trace(
        "len(signal.pthread_sigmask(0, []))",
        "signal.pthread_sigmask(0, range(1, 64))",
        "0",
        "signal",
    ),
    "alarm": trace("signal.alarm(0)", "signal.alarm(999)", "0", "signal"),
    "timer": trace("signal.getitimer(0)[0] > 0", "signal.setitimer(0, 999)", modules="signal"),
    "file_mask": trace("os.umask(0) == 0o111", "os.umask(0o111)", modules="os"),
    "working_folder": trace("os.getcwd() == '/usr'", "os.chdir('/lib')", "False", "os"),
    "open_descriptor": trace("[os.dup(0)]", "[os.dup(0) for _ in range(9)]", "[3]", "os"),
    "flags_of_output": trace(
        "[fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (1, 2)]",
        "[fcntl.fcntl(fd, fcntl.F_SETFL, 0o46000) for fd in (1, 2)]",  # append, no block, packets
        "[1, 1]",
        "fcntl",
    ),
    "unread_output": trace(
        "select.select([], [1, 2], [], 0)[1]",
        "[os.write(fd, bytes(1 << 16)) for fd in (1, 2)]",
        "[1, 2]",
        "os, select",
    ),
    "decimal_precision": trace(
        "decimal.getcontext().prec", "decimal.getcontext().prec = 3", "28", "decimal"
    ),
    "random_state": leaves(
        """
        import random
        def f():
            seen = random.getstate() == random.Random(7).getstate()
            random.seed(7)
            return seen
        """,
        "False",
    ),
    "codec": trace(
        "type(codecs.lookup_error('strict')).__name__",
        "codecs.register_error('strict', lambda e: ('', e.end))",
        "'builtin_function_or_method'",
        "codecs",
    ),
    "copy_table": trace(
        "len in copyreg.dispatch_table.values()",
        "copyreg.dispatch_table[f] = len",
        modules="copyreg",
    ),
    "pattern_cache": trace(
        "len(re._cache) > 99", "[re.compile('a' * i) for i in range(200)]", modules="re"
    ),
    "logging": trace("len(logging.root.handlers)", "logging.basicConfig()", "0", "logging"),
    "registered_class": leaves(
        """
        import collections.abc
        class Mark: pass
        def f():
            names = [c.__name__ for c in object.__subclasses__()]
            collections.abc.Sized.register(Mark)
            return names.count('Mark')
        """,
        "1",
    ),
    "method_of_builtin_type": leaves(
        """
        import ctypes, gc
        def f():
            seen = 'mark' in dir(list)
            (members,) = [d for d in gc.get_referents(list.__dict__) if type(d) is dict]
            members['mark'] = 1
            ctypes.pythonapi.PyType_Modified(ctypes.py_object(list))
            return seen, [].mark
        """,
        "(False, 1)",
    ),
    "small_number": leaves(
        """
        import ctypes
        def f():
            digit = ctypes.c_uint32.from_address(id(77) + 24)
            seen = digit.value - 70
            digit.value = 78
            return seen
        """,
        "7",
    ),
    "interned_text": leaves(
        """
        import ctypes, sys
        def f():
            text = sys.intern('azr_' + 'mark')
            last = ctypes.c_char.from_address(id(text) + sys.getsizeof('') - 1 + 7)
            seen = last.value.decode()
            last.value = b'x'
            return seen, text
        """,
        "('k', 'azr_marx')",
    ),
    "empty_tuple": leaves(
        """
        import ctypes
        def f():
            count = ctypes.c_ssize_t.from_address(id(()))
            seen = count.value > 1 << 61
            count.value += 1 << 61
            return seen
        """,
        "False",
    ),
    "code_of_the_library": leaves(
        """
        import json
        def f():
            seen = json.dumps(1)
            json.dumps.__code__ = (lambda *a, **k: 'evil').__code__
            json.dumps.__kwdefaults__ = None
            return seen
        """,
        "'1'",
    ),
    "cached_function": leaves(
        """
        import functools, re, fnmatch
        def f():
            seen = fnmatch.translate.__name__, fnmatch._compile_pattern.cache_info().currsize
            fnmatch.fnmatch('a', 'b*')
            return seen[1]
        """,
        "0",
    ),
    "at_exit": leaves(
        "import atexit, os\ndef f():\n  atexit.register(os._exit, 3)\n  return atexit._ncallbacks()"
        " < 9",
        "True",
    ),
    "late_thread": leaves(
        """
        import threading
        def f():
            seen = threading.active_count()
            try: threading.Thread(target=f, daemon=True).start()
            except RuntimeError: pass
            return seen
        """,
        "1",
    ),
    "memory_of_c": leaves(
        """
        import ctypes
        libc = ctypes.CDLL(None)
        libc.signgam = ctypes.c_int.in_dll(libc, 'signgam')
        def f():
            seen = libc.signgam.value
            libc.signgam.value = 99
            return seen == 99
        """,
        "False",
    ),
    "locale": trace(
        "locale.setlocale(locale.LC_ALL)",
        "locale.setlocale(locale.LC_ALL, 'C')",
        "'C'",
        "locale",
    ),
    "time_zone": trace(
        "time.tzname[0]",
        "import os; os.environ['TZ'] = 'XYZ+5'; time.tzset()",
        "'UTC'",
        "time",
    ),
    "patched_seed": leaves(
        """
        import random
        def f():
            seen = random.seed.__name__
            random.seed = lambda *a: None
            return seen
        """,
        "'seed'",
    ),
}
