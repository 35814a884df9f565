"""Every verdict of the daemon, as the client reports it."""

from __future__ import annotations

import pytest

from azr_fast.sandbox.messages import Limits
from azr_fast.sandbox.values import parse

LOOP = "while True: pass"
MIB = 1 << 20


@pytest.fixture(scope="module")
def hasty(sandbox):
    """A client of small limits."""
    client = sandbox.client(Limits(timeout_ms=300, memory_bytes=128 * MIB, output_bytes=10_000))
    yield client
    client.close()


def call(client, body, arguments="", **options):
    return client.call(body, "f", [arguments], **options)


def test_ok(client):
    reply = client.call("print('loading')\ndef f(x): return x", "f", ["1", "'a'"])
    assert reply.verdict == "ok"
    assert [(r.verdict, r.value) for r in reply.results] == [("ok", "1"), ("ok", "'a'")]
    assert reply.stdout == b"loading\n"
    assert (reply.type, reply.message, reply.line, reply.syscall, reply.signal) == (None,) * 5
    assert reply.wall_us >= 0
    assert reply.cpu_us >= 0
    assert reply.max_rss_kib > 0


def test_an_exception_in_one_case_leaves_the_others(client):
    reply = client.call("def f(x):\n    return 6 // x", "f", ["2", "0", "3"])
    assert reply.verdict == "ok"
    first, failed, last = reply.results
    assert (first.value, last.value) == ("3", "2")
    assert (failed.verdict, failed.value) == ("error", None)
    assert (failed.type, failed.line) == ("ZeroDivisionError", 2)
    assert "division" in failed.message


@pytest.mark.parametrize(
    ("program", "type_", "line"),
    [
        ("x = 1\nraise ValueError('no')\ndef f(): pass", "ValueError", 2),
        ("def f(:\n", "SyntaxError", 1),
        ("import no_such_module\ndef f(): pass", "ModuleNotFoundError", 1),
        ("def f(): pass\nraise SystemExit(0)", "SystemExit", 2),
    ],
)
def test_a_program_that_does_not_load(client, program, type_, line):
    reply = client.call(program, "f", ["", ""])
    assert (reply.verdict, reply.type, reply.line) == ("error", type_, line)
    assert all(r.verdict == "error" and r.value is None for r in reply.results)


@pytest.mark.parametrize("program", ["def g(): pass", "f = 3", "", "\x00", "def f(): '\ud800'"])
def test_a_program_without_the_function(client, program):
    reply = call(client, program)
    outcomes = {reply.verdict, *(r.verdict for r in reply.results)}
    assert "error" in outcomes
    assert all(r.value is None for r in reply.results)


def test_exit_is_not_success(client):
    for way in (
        "raise SystemExit(0)",
        "exit(0)",
        "import os; os._exit(0)",
        "import sys; sys.exit()",
    ):
        result = call(client, f"def f():\n    {way}\n    return 1").results[0]
        assert result.verdict != "ok"
        assert result.value is None


@pytest.mark.parametrize(
    "program",
    [f"def f():\n    {LOOP}", f"{LOOP}\ndef f(): pass", "import time\ndef f(): time.sleep(1000)"],
)
def test_timeout(hasty, program):
    reply = call(hasty, program)
    assert "timeout" in {reply.verdict, reply.results[0].verdict}
    assert reply.results[0].verdict == "timeout"


def test_cases_that_finished_before_the_timeout_count(hasty):
    source = f"def f(x):\n    if x == 2:\n        {LOOP}\n    return x"
    reply = hasty.call(source, "f", ["0", "1", "2", "3"])
    assert [r.verdict for r in reply.results] == ["ok", "ok", "timeout", "timeout"]
    assert [r.value for r in reply.results] == ["0", "1", None, None]


def test_a_program_that_swallows_everything_still_ends(hasty):
    source = "def f():\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass"
    assert call(hasty, source).results[0].verdict == "timeout"


@pytest.mark.parametrize("expression", ["bytearray(10**9)", "[0] * 10**9", "'x' * 10**10"])
def test_memory(hasty, expression):
    assert call(hasty, f"def f(): return len({expression})").results[0].verdict == "memory"


def test_a_long_value_is_output(hasty):
    result = call(hasty, "def f(): return 'x' * 20_000").results[0]
    assert (result.verdict, result.value) == ("output", None)


@pytest.mark.parametrize(
    "loop",
    ["while True: print('x' * 1000)", "import sys\n    while True: sys.stderr.write('y' * 1000)"],
)
def test_a_flood_is_output(hasty, loop):
    assert call(hasty, f"def f():\n    {loop}").results[0].verdict == "output"


@pytest.mark.parametrize(
    ("body", "syscall"),
    [
        ("import socket; socket.socket()", "socket"),
        ("import os; os.fork()", None),
        ("import os; os.execv('/bin/true', ['true'])", None),
        ("import os; os.kill(1, 9)", None),
        ("import os; os.kill(os.getppid(), 9)", None),
        ("import threading; threading.Thread(target=print).start()", None),
        ("import subprocess; subprocess.run(['true'])", None),
        ("open('/tmp/azr-sandbox-escape', 'w').write('x')", None),
    ],
)
def test_what_is_forbidden_does_not_happen(client, body, syscall):
    reply = call(client, f"def f():\n    {body}\n    return 'done'")
    result = reply.results[0]
    assert result.verdict in ("denied", "error")
    assert result.value is None
    if syscall and "denied" in (reply.verdict, result.verdict):
        assert reply.syscall == syscall


def test_files_are_out_of_reach(client):
    import os

    for path in (__file__, "/proc/self/environ"):
        result = call(client, f"def f(): return open({path!r}).read()").results[0]
        assert result.value is None
    assert not os.path.exists("/tmp/azr-sandbox-escape")


@pytest.mark.parametrize(
    "body",
    [
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "import os; os.abort()",
    ],
)
def test_crash(client, body):
    reply = call(client, f"def f():\n    {body}")
    assert reply.results[0].verdict == "crash"
    assert reply.signal in (6, 11)


def test_deep_recursion_is_a_plain_error(client):
    result = call(client, "def f(): return f()").results[0]
    assert (result.verdict, result.type) == ("error", "RecursionError")


# --- determinism --------------------------------------------------------------------------------

WORDS = "{'alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta', 'eta', 'theta', 'iota', 'kappa'}"


@pytest.mark.parametrize(
    "body",
    [
        f"return str({WORDS})",
        f"return list({WORDS})",
        "return hash('a')",
        "return id(object())",
        "return repr(object())",
        "import random; return random.random()",
        "import random; return random.Random().getrandbits(64)",
        "import os; return os.urandom(8)",
        "import time; return time.time_ns()",
    ],
)
def test_replicas_catch_what_differs(client, body):
    reply = call(client, f"def f():\n    {body}", replicas=2)
    assert reply.verdict == "nondeterministic"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (f"return sorted({WORDS})[0]", "'alpha'"),
        (f"return len({WORDS})", "10"),
        ("return {'b', 'a'}", "{'a', 'b'}"),
        ("return {'b': 1, 'a': 2}", "{'b': 1, 'a': 2}"),
        (
            "import random; random.seed(3); return random.random() == random.Random(3).random()",
            "True",
        ),
        ("return float('nan')", "nan"),
        ("return hash(5), hash(2.5)", "(5, 1152921504606846978)"),
    ],
)
def test_replicas_agree_on_what_does_not_differ(client, body, text):
    reply = call(client, f"def f():\n    {body}", replicas=2)
    assert (reply.verdict, reply.results[0].verdict, reply.results[0].value) == ("ok", "ok", text)


def test_replicas_agree_on_errors(client):
    reply = call(client, "def f(): raise KeyError('k')", replicas=2)
    assert reply.verdict == "ok"
    assert (reply.results[0].verdict, reply.results[0].type) == ("error", "KeyError")


@pytest.mark.parametrize(("isolate", "seen"), [(False, ["1", "2"]), (True, ["1", "1"])])
def test_calls_share_a_program_unless_isolated(client, isolate, seen):
    program = "calls = []\ndef f():\n    calls.append(0)\n    return len(calls)"
    reply = client.call(program, "f", ["", ""], isolate=isolate)
    assert [result.value for result in reply.results] == seen


# --- scripts and the daemon itself ----------------------------------------------------------------


def test_run(client):
    reply = client.run(
        "import sys\nprint(sum(map(int, input().split())))\nprint('é', file=sys.stderr)", "1 2 39\n"
    )
    assert (reply.verdict, reply.exit, reply.stdout, reply.stderr) == (
        "ok",
        0,
        b"42\n",
        "é\n".encode(),
    )


def test_run_reports_failures(client, hasty):
    failed = client.run("print('before')\n1 // 0")
    assert (failed.verdict, failed.type, failed.line, failed.stdout) == (
        "error",
        "ZeroDivisionError",
        2,
        b"before\n",
    )
    assert client.run("import sys; sys.exit(3)").exit == 3
    assert hasty.run(LOOP).verdict == "timeout"
    assert hasty.run("while True: print('x' * 1000)").verdict == "output"


def test_input_and_output_are_bytes(client):
    script = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])"
    assert client.run(script, b"a\xff\x00").stdout == b"\x00\xffa"


def test_info(client):
    info = client.info()
    assert {"server", "security", "clients", "zygotes", "stats"} <= set(info)
    assert all(isinstance(value, str) for section in info.values() for value in section.values())


def test_values_are_read_by_the_python_codec(client):
    assert parse(call(client, "def f(): return {1: (2.5, b'x', {None})}").results[0].value) == {
        1: (2.5, b"x", {None})
    }
