r"""Running programs in azr-sandboxd, and the plain values that go in and come out.

>>> from azr_fast.sandbox import Client, parse
>>> with Client() as sandbox:
...     reply = sandbox.call("def f(x): return sorted(x)", "f", ["[3, 1, 2]", "'cab'", "7"])
...     hello = sandbox.run("print('hello', input())", "world")
>>> [parse(result.value) for result in reply.results if result.verdict == "ok"]
[[1, 2, 3], ['a', 'b', 'c']]
>>> reply.results[2].verdict, reply.results[2].message
('error', "'int' object is not iterable")
>>> hello.verdict, hello.stdout
('ok', b'hello world\n')
"""

from azr_fast.sandbox.client import AsyncClient, Client, SandboxLost
from azr_fast.sandbox.messages import CallReply, Limits, Result, RunReply
from azr_fast.sandbox.values import canonical_arguments, parse

__all__ = [
    "AsyncClient",
    "CallReply",
    "Client",
    "Limits",
    "Result",
    "RunReply",
    "SandboxLost",
    "canonical_arguments",
    "parse",
]
