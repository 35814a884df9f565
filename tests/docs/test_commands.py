"""Every command and example that is printed in help, README and docs is run as it is printed.

What is only looked at stands in NOT_RUN, each with its reason.
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from shell_blocks import PAGES, ROOT, inline_commands, of_help, of_pages, python_blocks

from azr_fast.cli.commands import parse

# Begins so: why it is not run here, and what stands in for it.
NOT_RUN = {
    r"azr-fast train .*agent0": "a step of another game; tests/games/agent0 makes two of each phase",
    r"azr-fast train .*--eval": "records are fetched; tests/evaluate/test_training.py scores a run",
    r"azr-fast report .*--serve": "serves until Ctrl-C; tests/observe/test_serve.py asks it",
    r"\. \.venv/bin/activate": "the environment that `make train` makes",
    r"make ": "minutes; what `make` names is in the Makefile, which is checked",
    r"pip install|pip wheel": "fetches and builds packages",
    r"docker |cibuildwheel": "needs a container engine",
    r"transformers chat|vllm serve|hf upload": "a conversation, a server, somebody's account",
    r"azr-sandboxd .*(PATH|FILE|\|)": "a synopsis",
    r"python3 -m venv /tmp/azr|/tmp/azr/bin/": "builds the daemon, as `make test-sanitized` does",
    r"cmake |ctest |build/fuzz/": "builds the daemon, as `make test-sanitized` does",
    r"groupadd|cp /usr/local|systemctl": "needs root and a service manager",
    r"redis-": "needs Redis's tools, with which sandbox_daemon/tests/test_clients.py runs them",
    r"(AZR_\w+=\S+ )*python (-m pytest|sandbox_daemon/)": "tests and benchmarks of minutes",
    r"\[--": "the rest of a synopsis",
    r"python benchmarks/|pytest|git clone": "tests and benchmarks of minutes",
}
# Commands of azr-fast that are run; the others are parsed, and have tests of their own.
RUN = {"train", "report", "export", "models", "sandbox", "doctor"}
PYTHON_ELSEWHERE = {"docs/write-a-game.md": "tests/games/test_other_package.py runs it"}
SERVER = re.compile(r"&\s*$|^azr-fast sandbox gateway")
AT = "127.0.0.1:8080"
PACKAGES = str(Path(pytest.__file__).parents[1])


def words_of(command):
    """The words of a command as bash splits them: a backslash before the end of a line goes on in the next."""
    return shlex.split(command.replace("\\\n", ""), comments=True)


def reason_not_to_run(command):
    """Why a command is not run; None where it is."""
    for pattern, reason in NOT_RUN.items():
        if re.match(pattern, command.strip(), re.DOTALL):
            return reason
    words = words_of(command)
    if words[:1] == ["azr-fast"] and words[1:2] and words[1] not in RUN:
        return "has tests of its own; it is parsed"
    return None


def to_run(block):
    """Its commands but for those that are only looked at, and those that read what these make."""
    made, kept = set(), []
    for command in block.commands:
        words = words_of(command)
        if reason_not_to_run(command):
            made |= {file for option, file in pairwise(words) if option == "--out"}
        elif not made & set(words):
            kept.append(command)
    return kept


def script_of(commands, folder):
    """The commands for bash. A server is waited for; ports and places of others are ours."""
    lines, port = ["set -euo pipefail"], "0"
    for number, command in enumerate(commands):
        typed = command.replace("/tmp/azr.sock", f"{folder}/s").replace("/opt/packages", PACKAGES)
        if typed.startswith("azr-fast sandbox gateway"):
            port = free_port()
        typed = typed.replace(AT, f"127.0.0.1:{port}")
        if SERVER.search(typed):
            log = f"{folder}/log{number}"
            typed = (
                f"{typed.split('  #')[0].rstrip('& ')} > {log} 2>&1 &\n"
                f"while [ ! -s {log} ]; do kill -0 $! || exit 9; sleep 0.1; done"
            )
        lines.append(typed)
    return "\n".join(lines)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


def run_in(place, script, environment, log):
    """Run it; whatever it started ends with it. Returns its exit status and output."""
    with log.open("w+") as out:
        process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        code = process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        out.seek(0)
        return code, out.read()


BLOCKS = [*of_pages(), *of_help()]


def name_of(block):
    return f"{block.source}: {block.commands[0][:40]}"


def marks_of(block):
    """Blocks that train, or ask for a page about a run, take half of the time of all pages."""
    return [pytest.mark.slow] if re.search(r"azr-fast (train|report)", block.text) else []


@pytest.mark.parametrize(
    "block",
    [pytest.param(block, id=name_of(block), marks=marks_of(block)) for block in BLOCKS],
)
def test_a_block_runs_as_it_is_printed(block, tmp_path, environment, request):
    commands = to_run(block)
    if not commands:
        return  # each is looked at by the tests below
    made = set(re.findall(r"--run\.name (\S+)", block.text))
    for name in set(re.findall(r"\bruns/([\w-]+)", " ".join(commands))) - made:
        shutil.copytree(request.getfixturevalue("a_run"), tmp_path / "runs" / name)
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        code, said = run_in(
            tmp_path, script_of(commands, folder), environment, Path(folder, "said")
        )
    assert code == 0, said


COMMANDS = [(block.source, command) for block in BLOCKS for command in block.commands]


@pytest.mark.parametrize(
    ("source", "command"), COMMANDS, ids=lambda text: " ".join(text.split())[:70]
)
def test_a_command_that_is_not_run_is_one_that_there_is(source, command):
    """A command of azr-fast parses; a target of make is in the Makefile."""
    words = words_of(command)
    if words[:1] == ["azr-fast"] and "&" not in words and ">" not in words:
        assert_parses(words[1:])
    if words[:1] == ["make"]:
        targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert {word for word in words[1:] if "=" not in word} <= targets


@pytest.mark.parametrize(("source", "command"), inline_commands())
def test_a_command_between_backticks_has_the_options_that_it_names(source, command, capsys):
    """It may be a part of one, so that it is not parsed."""
    words = shlex.split(command)[1:]
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    named = words[: 2 if words[0] in ("sandbox", "models") else 1]
    if named[0].startswith("-"):
        named = []
    with pytest.raises(SystemExit):
        parse([*named, "--help"])
    shown = capsys.readouterr().out
    assert not [option for option in options if option not in shown]


def assert_parses(words):
    """Files that a command names need not be there to parse it."""
    words = ["cpu" if word.endswith(".toml") else word for word in words]
    if "--help" in words or "--version" in words:
        with pytest.raises(SystemExit, match=r"^0$"):
            parse(words)
    else:
        assert parse(words).run


@pytest.mark.parametrize("page", [p for p in PAGES if python_blocks(p)], ids=lambda p: p.name)
def test_python_on_a_page_runs(page, tmp_path, environment):
    name = str(page.relative_to(ROOT))
    for text in python_blocks(page):
        ast.parse(text)
        if name in PYTHON_ELSEWHERE or page != ROOT / "README.md":
            continue
        done = subprocess.run(
            [sys.executable, "-c", text],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, ""), text


def test_the_sandbox_of_the_readme_prints_what_it_should(tmp_path, environment):
    (text,) = [text for text in python_blocks(ROOT / "README.md") if "sandbox" in text]
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [
        "ok [1, 2, 3]",
        "ok ['a', 'b', 'c']",
        "error 'int' object is not iterable",
        "ok b'olleh\\n'",
    ]
