"""Scripts with what they print, and the tier that can serve each."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent


@dataclass(frozen=True)
class Script:
    """`stdout`: what it prints; of one that fails, what the message says."""

    name: str
    code: str
    stdout: str
    tier: str = "rewind"
    stdin: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", dedent(self.code))


SCRIPTS = [
    Script("prints", "print(6 * 7)", "42\n"),
    Script("reads a number", "n = int(input())\nprint(n + 1)", "65536\n", "fork", "65535"),
    Script("reads all", "import sys\nprint(sum(map(int, sys.stdin)))", "6\n", "fork", "1\n2\n3\n"),
    Script("exits with 0", "import sys\nprint('x')\nsys.exit(0)", "x\n", "rewind"),
    Script("imports late", "import calendar\nprint(calendar.isleap(2024))", "True\n", "fork"),
    Script(
        "asyncio",
        """
        import asyncio
        async def double(n):
            await asyncio.sleep(0.01)
            return 2 * n
        async def main():
            print(await asyncio.gather(*map(double, range(3))))
        asyncio.run(main())
        """,
        "[0, 2, 4]\n",
        "jail",
    ),
    Script(
        "a thread with a deep stack",
        """
        import sys, threading
        def main():
            def depth(n): return 0 if n == 0 else 1 + depth(n - 1)
            print(depth(30_000))
        threading.stack_size(128 << 20)
        sys.setrecursionlimit(10**6)
        worker = threading.Thread(target=main)
        worker.start()
        worker.join()
        """,
        "30000\n",
        "jail",
    ),
    Script(
        "a pool of threads",
        """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(4) as pool:
            print(sum(pool.map(abs, range(-5, 5))))
        """,
        "25\n",
        "jail",
    ),
    Script(
        "a thread after work and output",
        """
        import threading
        print("before", flush=True)
        total = sum(range(100_000))
        timer = threading.Timer(0.01, lambda: print(total))
        timer.start()
        timer.join()
        """,
        "before\n4999950000\n",
        "jail",
    ),
    Script(
        "a temporary file",
        """
        import tempfile
        with tempfile.TemporaryFile("w+") as file:
            file.write("kept")
            file.seek(0)
            print(file.read())
        """,
        "kept\n",
        "jail",
    ),
    Script(
        "a temporary folder",
        """
        import pathlib, tempfile
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "a" / "b.txt"
            path.parent.mkdir()
            path.write_text("text")
            print([p.name for p in pathlib.Path(folder).rglob("*.txt")])
        """,
        "['b.txt']\n",
        "jail",
    ),
    Script(
        "a file beside it",
        """
        with open("out.txt", "w") as file:
            print("one", file=file)
        with open("out.txt", "a") as file:
            file.write("two")
        print(open("out.txt").read())
        """,
        "one\ntwo\n",
        "jail",
    ),
    Script(
        "a database in a file",
        """
        import sqlite3
        with sqlite3.connect("data.db") as base:
            base.execute("create table t (n)")
            base.executemany("insert into t values (?)", [(1,), (2,)])
            print(base.execute("select sum(n) from t").fetchone())
        """,
        "(3,)\n",
        "jail",
    ),
    Script(
        "a database in memory",
        """
        import sqlite3
        print(sqlite3.connect(":memory:").execute("select 1 + 1").fetchone())
        """,
        "(2,)\n",
        "fork",
    ),
    Script(
        "a process of its own making",
        """
        import os
        read, write = os.pipe()
        if os.fork() == 0:
            os.write(write, b"child")
            os._exit(0)
        os.wait()
        print(os.read(read, 9).decode())
        """,
        "child\n",
        "jail",
    ),
    Script(
        "a pool of processes",
        """
        import multiprocessing
        if __name__ == "__main__":
            queue = multiprocessing.Queue()
            worker = multiprocessing.Process(target=queue.put, args=(5,))
            worker.start()
            print(queue.get())
            worker.join()
        """,
        "5\n",
        "jail",
    ),
    Script(
        "a pair of sockets",
        """
        import socket
        one, other = socket.socketpair()
        one.send(b"over")
        print(other.recv(9).decode())
        """,
        "over\n",
        "jail",
    ),
    Script(
        "logging to a file",
        """
        import logging
        logging.basicConfig(filename="log.txt", level=logging.INFO, format="%(message)s")
        logging.info("noted")
        print(open("log.txt").read(), end="")
        """,
        "noted\n",
        "jail",
    ),
    Script(
        "numbers that are random",
        "import random\nrandom.seed(1)\nprint(0 <= random.random() < 1)",
        "True\n",
    ),
    Script(
        "devices", "print(open('/dev/zero', 'rb').read(3), end='')", "b'\\x00\\x00\\x00'", "jail"
    ),
    Script("stdin by its name", "print(open('/dev/stdin').read())", "given\n", "jail", "given"),
]

UNSERVED = [
    Script("assert", "assert 1 == 2", "error"),
    Script("syntax", "int a = 1", "error: invalid syntax"),
    Script("another program", "import os; os.execv('/bin/true', ['x'])", "denied"),
    Script("the network", "import socket; socket.socket()", "denied: system call socket"),
    Script("a file of the machine", "open('/etc/passwd')", "error"),
]
