"""More memory, descriptors or stack than a program may have."""

from __future__ import annotations

from .attack import Attack, any_of, crash, error, memory, ok

ATTACKS: dict[str, Attack] = {
    "doubling_list": memory("def f():\n  x = ['a']\n  while True: x += x"),
    "doubling_text": memory("def f():\n  x = 'a'\n  while True: x += x"),
    "growing_dict": memory(
        "def f():\n  x = {}\n  while True: x[len(x)] = bytes(1 << 16)",
    ),
    "growing_set": memory(
        "def f():\n  x = set()\n  while True: x.add(bytes(1 << 16) + b'%d' % len(x))"
    ),
    "while_loading": any_of("x = bytearray(1 << 40)\ndef f(): pass", "memory"),
    "many_small_objects": memory("def f():\n  x = []\n  while True: x.append([0] * 100)"),
    "huge_string": memory("def f(): return 'a' * 10 ** 12"),
    "huge_bytes": memory("def f(): return bytearray(1 << 45)"),
    "huge_number": memory("def f(): return 1 << 10 ** 11"),
    "huge_range": memory("def f(): return list(range(10 ** 12))"),
    "huge_product": memory(
        "import itertools\ndef f(): return list(itertools.product(range(99), repeat=9))",
    ),
    "huge_format": any_of("def f(): return f'{1:>{10 ** 11}}'", "memory", "error"),
    "huge_padding": memory("def f(): return 'x'.ljust(10 ** 12)"),
    "huge_matrix": memory("def f(): return [[0] * 10 ** 6 for _ in range(10 ** 6)]"),
    "zip_bomb": memory(
        """
        import zlib
        def f():
            packer = zlib.compressobj(1)
            bomb = b''.join(packer.compress(bytes(1 << 20)) for _ in range(300)) + packer.flush()
            return zlib.decompress(bomb)
        """
    ),
    "anonymous_map": error("import mmap\ndef f(): mmap.mmap(-1, 1 << 40)", "OSError"),
    "many_maps": error(
        "import mmap\ndef f():\n  x = []\n  while True: x.append(mmap.mmap(-1, 1 << 24))", "OSError"
    ),
    "memory_from_c": ok(
        """
        import ctypes
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        def f(): return libc.malloc(ctypes.c_size_t(1 << 40))
        """,
        "None",
    ),
    "locked_memory": ok(
        """
        import ctypes, errno
        libc = ctypes.CDLL(None, use_errno=True)
        def f(): return libc.mlockall(3), errno.errorcode[ctypes.get_errno()]
        """,
        "(-1, 'EPERM')",
    ),
    "many_descriptors": ok(
        """
        import errno, os
        def f():
            opened = [0, 1, 2]
            try:
                while True: opened.append(os.dup(0))
            except OSError as error:
                return len(opened), errno.errorcode[error.errno]
        """,
        "(64, 'EMFILE')",
    ),
    "many_pipes": error("import os\ndef f():\n  while True: os.pipe()", "OSError"),
    "large_pipe": error(
        "import fcntl, os\ndef f(): fcntl.fcntl(os.pipe()[0], 1031, 1 << 20)", "PermissionError"
    ),
    "recursion": error("def f(): return f()", "RecursionError"),
    "recursion_without_limit": any_of(
        "import sys\ndef f():\n  sys.setrecursionlimit(10 ** 9)\n  g = lambda: g()\n  g()",
        "memory",
        "crash",
        "timeout",
    ),
    "recursion_in_c": crash(
        """
        def f():
            x = ()
            for _ in range(2 * 10 ** 6): x = (x,)
            return hash(x)
        """
    ),
    "recursion_in_repr": error(
        "def f():\n  x = []\n  for _ in range(10 ** 5): x = [x]\n  repr(x)", "RecursionError"
    ),
    "recursion_in_comparison": error(
        """
        def f():
            a, b = [], []
            for _ in range(10 ** 5): a, b = [a], [b]
            return a == b
        """,
        "RecursionError",
    ),
    "recursion_in_pickle": any_of(
        "import pickle\ndef f():\n  x = []\n  for _ in range(10 ** 5): x = [x]\n  pickle.dumps(x)",
        "error",
        "crash",
    ),
    "recursion_in_json": any_of(
        "import json\ndef f(): json.loads('[' * 10 ** 6)", "error", "memory", "crash"
    ),
    "swallows_its_memory_errors": any_of(
        """
        def f():
            hold = []
            while True:
                try:
                    while True: hold.append(bytearray(1 << 16))
                except MemoryError: pass
        """,
        "timeout",
        options={"TIMEOUT": 600},
    ),
}
