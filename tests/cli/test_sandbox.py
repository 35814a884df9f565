"""Against the real azr-sandboxd, found as the launcher finds it; without it these fail."""

import subprocess
import sys

import pytest

from azr_fast.cli.main import main


@pytest.fixture
def file(tmp_path):
    """Writes a program, returns its path."""

    def write(text):
        (tmp_path / "program.py").write_text(text)
        return str(tmp_path / "program.py")

    return write


def run_script(path, stdin="", *words):
    """`sandbox run` with a stdin of its own."""
    return subprocess.run(
        [sys.executable, "-m", "azr_fast.cli", "sandbox", "run", path, *words],
        input=stdin,
        capture_output=True,
        text=True,
    )


def test_check_prints_the_layers(capfd):
    assert main(["sandbox", "check"]) == 0
    assert "seccomp" in capfd.readouterr().out


def test_call_prints_a_value_per_argument_list(file, capsys):
    path = file("def f(a, b):\n    return {a: b * 2}\n")
    assert main(["sandbox", "call", path, "1, 'x'", "2, [3]"]) == 0
    assert capsys.readouterr().out == "{1: 'xx'}\n{2: [3, 3]}\n"


def test_call_tells_why_there_is_no_value(file, capsys):
    path = file("def g(a):\n    return 1 // a\n")
    assert main(["sandbox", "call", path, "--entry", "g", "0", "1"]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("<error: ZeroDivisionError: ")
    assert first.endswith("line 2>")
    assert second == "1"


def test_call_of_a_program_that_does_not_load(file, capsys):
    assert main(["sandbox", "call", file("def f(:"), "1"]) == 1
    assert "sandbox: error: SyntaxError" in capsys.readouterr().err


def test_a_denied_system_call_is_named_once(file, capsys):
    path = file("import socket\ndef f(a):\n    return socket.socket().fileno()\n")
    assert main(["sandbox", "call", path, "1"]) == 1
    assert capsys.readouterr().err == "sandbox: denied: system call socket\n"


def test_limits_are_options(file, capsys):
    path = file("def f(a):\n    while True: pass\n")
    assert main(["sandbox", "call", path, "1", "--sandbox.timeout_ms", "100"]) == 1
    assert "timeout" in capsys.readouterr().out


def test_run_passes_input_output_and_exit_code_on(file):
    path = file("import sys\nprint(input()[::-1])\nprint('told', file=sys.stderr)\nsys.exit(3)\n")
    done = run_script(path, "abc\n")
    assert (done.returncode, done.stdout) == (3, "cba\n")
    assert "told\n" in done.stderr


def test_run_of_a_script_that_is_stopped(file):
    done = run_script(file("while True: pass\n"), "", "--sandbox.timeout_ms", "100")
    assert done.returncode == 1
    assert "sandbox: timeout" in done.stderr
