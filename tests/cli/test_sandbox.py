"""Against the real azr-sandboxd, found as the launcher finds it; without it these fail."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from azr_fast.cli.main import main
from azr_fast.sandbox.launcher import Sandbox

LOOP = "while True: pass\n"
COMMAND = [sys.executable, "-m", "azr_fast.cli", "sandbox"]


@pytest.fixture(scope="module")
def socket():
    with Sandbox(zygotes=2) as running:
        yield running.path


@pytest.fixture
def file(tmp_path):
    """Writes a program, returns its path."""

    def write(text):
        (tmp_path / "program.py").write_text(text)
        return str(tmp_path / "program.py")

    return write


@pytest.fixture
def run(file, socket, capfdbinary):
    """`sandbox run`: exit status, stdout and stderr."""

    def run_it(text, *words):
        code = main(["sandbox", "run", file(text), "--socket", socket, *map(str, words)])
        return (code, *capfdbinary.readouterr())

    return run_it


@pytest.fixture
def call(file, socket, capsys):
    """`sandbox call`: exit status, stdout and stderr."""

    def call_it(text, *words):
        code = main(["sandbox", "call", file(text), *words, "--socket", socket])
        return (code, *capsys.readouterr())

    return call_it


def typed(*words, **options):
    """The same command as a process of its own."""
    return subprocess.run([*COMMAND, *words], capture_output=True, **options)


def refused(capsys, *words):
    """The one line that a command is refused with."""
    assert main(["sandbox", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_check_prints_the_layers(capfd):
    assert main(["sandbox", "check"]) == 0
    assert "seccomp" in capfd.readouterr().out


# --- run ------------------------------------------------------------------------------------------


def test_run_passes_output_and_exit_status_on_as_they_are(run):
    script = (
        "import sys\n"
        "sys.stdout.buffer.write(b'a\\xff\\x00')\n"
        "print('told', file=sys.stderr)\n"
        "sys.exit(3)\n"
    )
    code, out, err = run(script)
    assert (code, out) == (3, b"a\xff\x00")
    told, verdict = err.splitlines()
    assert told == b"told"
    assert verdict.startswith(b"sandbox: error: SystemExit: 3: line 4 (")


def test_the_verdict_has_a_line_of_its_own(run):
    code, out, err = run("import sys; print('x', end=''); print('y', end='', file=sys.stderr)")
    assert (code, out) == (0, b"x")
    assert re.fullmatch(rb"y\nsandbox: ok \([\d.]+ ms cpu, [\d.]+ ms, [\d.]+ MiB\)\n", err)


def test_run_reads_what_it_is_given(run, tmp_path):
    assert run("import sys; print(sys.stdin.read())")[1] == b"\n"
    given = tmp_path / "input"
    given.write_bytes(b"\xe9 given\n")
    script = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])"
    assert run(script, "--stdin", given)[1] == b"\nnevig \xe9"


def test_run_takes_our_stdin_as_the_script_or_as_its_input(file, capsys, socket):
    done = typed("run", "-", "--socket", socket, input=b"print(6 * 7)")
    assert (done.returncode, done.stdout) == (0, b"42\n")
    path = file("print(input()[::-1])")
    done = typed("run", path, "--stdin", "-", "--socket", socket, input=b"abc\n")
    assert (done.returncode, done.stdout) == (0, b"cba\n")
    assert "only one of them" in refused(capsys, "run", "-", "--stdin", "-")


@pytest.mark.parametrize(
    ("script", "code", "verdict"),
    [
        (LOOP, 124, b"timeout"),
        ("import os; os.abort()", 128 + signal.SIGABRT, b"crash"),
        ("import socket; socket.socket()", 128 + signal.SIGSYS, b"denied: system call socket"),
        ("while True: print('x' * 1000)", 128 + signal.SIGKILL, b"output"),
        ("len(bytearray(10**9))", 1, b"memory"),
        ("import os; os._exit(0)", 1, b"crash"),
        ("import os; os._exit(9)", 9, b"crash"),
    ],
)
def test_run_ends_as_a_shell_expects(run, script, code, verdict):
    limits = ("--timeout", 1000, "--memory", "64M", "--output", "64K")
    ended, _, err = run(script, *limits)
    assert ended == code
    assert err.splitlines()[-1].startswith(b"sandbox: " + verdict)


# --- call -----------------------------------------------------------------------------------------


def test_call_prints_a_row_per_argument_list(call):
    program = "print('loaded')\ndef f(a, b=0):\n    return {a: [b] * 2}\n"
    code, out, err = call(program, "f", "1, '[red]'", "-2")
    assert (code, err) == (0, "")
    rows = [line.split(maxsplit=2) for line in out.replace("1, '", "1,'").splitlines()]
    assert [row[1] for row in rows] == ["verdict", "ok", "ok"]
    assert [row[2].strip() for row in rows[1:]] == ["{1: ['[red]', '[red]']}", "{-2: [0, 0]}"]


def test_call_tells_why_there_is_no_value(call):
    code, out, _ = call("def g(a):\n    return 1 // a\n", "g", "0", "1")
    assert code == 1
    assert re.search(r"^0 +error +ZeroDivisionError: .*", out, re.MULTILINE)
    assert re.search(r"^1 +ok +1 *$", out, re.MULTILINE)


def test_call_without_arguments_and_as_json(call):
    code, out, _ = call("print('é')\ndef f():\n    return 'x' * 300\n", "f", "", "--json")
    reply = json.loads(out)
    assert (code, reply["verdict"], reply["stdout"]) == (0, "ok", "é\n")
    assert reply["results"] == [
        {
            "arguments": "",
            "verdict": "ok",
            "value": repr("x" * 300),
            "type": None,
            "reason": None,
            "message": None,
            "line": None,
        }
    ]


def test_call_of_a_program_that_does_not_load(call):
    code, _, err = call("def f(:", "f", "1")
    assert code == 1
    assert err.startswith("sandbox: error: SyntaxError")


def test_what_a_program_says_cannot_steer_the_terminal(call):
    code, out, err = call(
        "def f(a):\n    raise ValueError('\\x1b]0;mine\\x07\\n')\n", "f", "'\x9b'"
    )
    assert code == 1
    assert "mine" in out
    assert not re.search(r"[^\n\x20-\x7e]", out + err)


def test_limits_are_options(call):
    assert "timeout" in call(f"def f(a):\n    {LOOP}", "f", "1", "--timeout", "100")[1]
    assert "output" in call("def f(a):\n    return 'x' * a", "f", "2000", "--output", "1K")[1]
    large = "def f(a):\n    return len(bytearray(a << 20))"
    assert "memory" in call(large, "f", "100", "--memory", "64M")[1]


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["run", "/none"], "cannot read /none: No such file"),
        (["run", __file__, "--timeout", "0"], "--timeout: '0' is not a number from 1 to 3600000"),
        (["run", __file__, "--timeout", "1.5"], "--timeout: '1.5'"),
        (["run", __file__, "--memory", "12Q"], "--memory: '12Q' is no size"),
        (["run", __file__, "--memory", "64K"], "--memory: '64K' is less than 1M"),
        (["run", __file__, "--output", "1G"], "--output: '1G' is more than 32M"),
        (["run", __file__, "--timout", "1"], "the nearest is '--timeout'"),
        (["run", __file__, "--require", "most"], "--require: invalid choice: 'most'"),
        (["run", __file__, "--socket", "/none"], "no azr-sandboxd answers at /none"),
        (["call", __file__, "f"], "ARGUMENTS"),
        (["top"], "--socket"),
        (["top", "--socket", "/none"], "no azr-sandboxd answers at /none"),
        (["gateway", "--http", "8080"], "--http: '8080' is not HOST:PORT"),
        (["gateway", "--http", "h:99999"], "--http: 'h:99999' is not HOST:PORT"),
        (["gateway", "--http", "192.0.2.1:0"], "cannot serve at 192.0.2.1:0"),
        (["gateway", "--http", "[::1]:0", "--in-flight", "0"], "--in-flight: '0'"),
    ],
)
def test_bad_input_is_refused_by_name(capsys, words, named):
    assert named in refused(capsys, *words)


def test_a_script_beyond_the_daemons_bound(run):
    largest = 16 << 20
    assert run("#" * largest)[0] == 0
    code, out, err = run("#" * (largest + 1))
    assert (code, out) == (2, b"")
    assert b"program.py is larger than azr-sandboxd takes: 16 MiB\n" in err


def test_a_script_that_is_no_text(capsys, tmp_path):
    (tmp_path / "x.py").write_bytes(b"\xff")
    assert "is not UTF-8 text" in refused(capsys, "run", str(tmp_path / "x.py"))


@pytest.mark.parametrize("command", ["check", "run", "call", "top", "gateway"])
def test_help_shows_how_it_is_typed(capsys, command):
    with pytest.raises(SystemExit) as ended:
        main(["sandbox", command, "--help"])
    assert ended.value.code == 0
    assert command == "check" or f"  azr-fast sandbox {command}" in capsys.readouterr().out


# --- a daemon of our own --------------------------------------------------------------------------


def wait_until(condition, seconds=60):
    """Poll; the bound is only there so that a failure ends."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def daemons_in(folder):
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [entry] * (str(folder).encode() in entry.read_bytes())
        except OSError:
            continue
    return found


def test_without_a_socket_a_daemon_is_started_and_stopped(file, tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = typed("run", file("print(1)"), env=environment)
    assert (done.returncode, done.stdout) == (0, b"1\n")
    assert list(tmp_path.iterdir()) == [tmp_path / "program.py"]
    assert daemons_in(tmp_path) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -15)])
def test_a_signal_stops_it_too(file, tmp_path, number, status):
    command = [*COMMAND, "run", file(LOOP), "--timeout", "600000"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment) as process:
        wait_until(lambda: list(tmp_path.glob("azr-*/s")))
        process.send_signal(number)
        assert process.wait(60) == status
        assert b"Traceback" not in process.stderr.read()
    wait_until(lambda: list(tmp_path.iterdir()) == [tmp_path / "program.py"])
    wait_until(lambda: daemons_in(tmp_path) == [])
