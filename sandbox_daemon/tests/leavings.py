"""Programs that leave something behind on purpose: in the interpreter, in memory, in the kernel."""

from __future__ import annotations

import builtins

POKE = """\
import ctypes, sys
def poke(x, at, byte=66): ctypes.memset(id(x) + at, byte, 1)
"""

# By what they leave.
LEAVINGS = {
    "interned string": POKE
    + """\
def f():
  poke(sys.intern('sorted'), 49)
  return 'sorted'
""",
    "small int": POKE
    + """\
def f():
  poke(7, 24, 9)
  return 7 + 0
""",
    "empty tuple": POKE
    + """\
def f():
  poke((), 16, 0)
  return len(())
""",
    "type cache": """\
import abc
def f():
  abc.ABC.x = 1
  return [abc.ABC.x, int.__mro__ != 1]
""",
    "method": POKE
    + """\
def f():
  ctypes.pythonapi.PyType_Modified(ctypes.py_object(int))
""",
    "reference counts": POKE
    + """\
def f():
  for i in range(8): poke(None, i, 255)
""",
    "open generator": """\
g = (i for i in range(9))
def f():
  globals()['h'] = g
  return next(g)
""",
    "coroutine": """\
async def c(): pass
x = c()
def f(): return type(x).__name__
""",
    "cycle": """\
import gc
def f():
  x = []
  x.append(x)
  gc.disable()
  return gc.isenabled()
""",
    "finalizer": """\
class A:
  def __del__(self): print('end')
a = A()
def f(): return 1
""",
    "weak reference": """\
import weakref
class A: pass
a = A()
w = weakref.ref(a)
def f(): return w() is a
""",
    "recursion limit": """\
import sys
def f():
  sys.setrecursionlimit(50)
  return g(0)
def g(n): return g(n + 1)
""",
    "deep recursion": "def f(n=0): return f(n + 1)",
    "deep values": """\
def f():
  x = []
  for _ in range(60): x = [x]
  return x
""",
    "much output": """\
def f():
  print('x' * 300_000)
  return 1
""",
    "much memory": """\
x = [bytearray(1 << 20) for _ in range(40)]
def f(): return len(x)
""",
    "all memory of its room": """\
x = []
def f():
  for i in range(3_000_000): x.append([i])
  return len(x)
""",
    "many objects": """\
x = {i: str(i) for i in range(200_000)}
def f(): return len(x)
""",
    "trace function": """\
import sys
def f():
  sys.settrace(lambda *a: None)
  return 1
""",
    "modules": """\
import sys
sys.modules.clear()
def f(): return len(sys.modules)
""",
    "builtins": """\
import builtins
builtins.__dict__.clear()
def f(): return 1
""",
    "unhandled": """\
def f():
  try: raise KeyError('a')
  finally: raise ValueError('b')
""",
    "lock": """\
import threading
lock = threading.Lock()
lock.acquire()
def f(): return lock.locked()
""",
    "thread": """\
import threading
def f(): threading.Thread(target=print).start()
""",
    "signal": """\
import signal
def f(): return signal.signal(10, signal.SIG_IGN) == signal.SIG_DFL
""",
    "context": """\
import decimal
def f():
  decimal.getcontext().prec = 3
  return str(decimal.Decimal(1) / 3)
""",
    "bad pointer": """\
import ctypes
def f(): ctypes.string_at(8)
""",
    "stack": """\
import ctypes
def f(): ctypes.memset(ctypes.addressof(ctypes.c_int()) - 64, 0, 32)
""",
    "machine state": """\
import ctypes
def f():
  libm = ctypes.CDLL(None)
  libm.fesetround(0x800)
  return 0.1 + 0.2
""",
    "exit": """\
import os
def f(): os._exit(0)
""",
    "abort": """\
import os
def f(): os.abort()
""",
}
EXCEPTIONS = sorted(
    name
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, BaseException)
)
