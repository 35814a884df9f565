"""What the gateway says that it serves and refuses, and what the operator can allow."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import requests
from gateways import gateway

from azr_fast.cli.main import main
from azr_fast.sandbox.launcher import Imports, Sandbox

PACKAGES = str(Path(pytest.__file__).parents[1])
WHOLE_SEAT = """
import asyncio, tempfile, threading
import numpy
thread = threading.Thread(target=print, args=(numpy.arange(3).sum(),))
thread.start()
thread.join()
with open("/tmp/note", "w") as file: file.write("kept")
async def main(): print(open("/tmp/note").read())
asyncio.run(main())
"""


def ask(url, code):
    body = {"language": "python", "code": code, "run_timeout": 50}
    return requests.post(f"{url}/run_code", json=body).json()


def terms(process):
    return process.stdout.readline(), process.stdout.readline()


def test_threads_files_asyncio_and_numpy_where_the_operator_allows_them():
    words = ("--path", PACKAGES, "--preload", "numpy", "--timeout", "60000")
    with gateway(*words) as (process, url):
        served, _ = terms(process)
        if "asyncio" not in served:
            pytest.skip("no jail can be had here: see azr-sandboxd --check")
        assert PACKAGES in served
        answer = ask(url, WHOLE_SEAT)
    assert (answer["status"], answer["run_result"]["stdout"]) == ("Success", "3\nkept\n"), answer


def test_without_a_jail_it_says_so_at_its_start_and_in_each_answer():
    with Sandbox(zygotes=2) as sandbox, gateway("--socket", sandbox.path) as (process, url):
        served, refused = terms(process)
        assert served.startswith("serves python scripts, importing from the standard library")
        assert "threads" not in served
        assert "threads, processes, asyncio and files below /tmp" in refused
        thread = ask(url, "import threading; threading.Thread(target=print).start()")
        numpy = ask(url, "import numpy")
    assert thread["status"] == "Failed"
    assert "azr-sandboxd has --jail N" in thread["message"]
    assert "No module named 'numpy': the operator of the gateway can let" in numpy["message"]


def test_a_jail_that_the_folders_of_imports_rule_out_is_not_promised():
    """A jail has a /tmp of its own, which would hide them."""
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as folder,
        gateway("--path", folder) as (process, _),
    ):
        assert "threads, processes, asyncio and files below /tmp" in terms(process)[1]


def test_what_a_jail_refuses_too_has_no_such_remedy():
    with gateway() as (process, url):
        if "asyncio" not in terms(process)[0]:
            pytest.skip("no jail can be had here: see azr-sandboxd --check")
        answer = ask(url, "import socket; socket.socket()")
    assert answer["message"].startswith("denied: system call socket: no script has a network")


def test_scripts_run_in_the_pool_that_is_named():
    imports = Imports(path=PACKAGES, pools="tools=1:pluggy")
    with (
        Sandbox(zygotes=2, imports=imports) as sandbox,
        gateway("--socket", sandbox.path, "--pool", "tools") as (process, url),
    ):
        assert "asyncio" in terms(process)[1], "a pool has no jail"
        assert ask(url, "import sys; print('pluggy' in sys.modules)")["run_result"]["stdout"] == (
            "True\n"
        )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--pool", "numpy"], "the daemon has no pool 'numpy': it has default"),
        (["--tier", "jail"], "the daemon has no tier 'jail': it has fork, rewind"),
        (["--path", "/opt"], "path is the daemon's own option"),
    ],
)
def test_what_the_daemon_lacks_is_refused_at_the_start(words, message, capsys):
    with Sandbox(zygotes=2) as sandbox:
        command = ["sandbox", "gateway", "--http", "127.0.0.1:0", "--socket", sandbox.path]
        assert main([*command, *words]) == 2
    assert message in capsys.readouterr().err


def test_run_and_call_can_name_pool_seed_and_imports(tmp_path, capfd):
    script = tmp_path / "script.py"
    script.write_text("import pluggy, random\nprint(random.random())\ndef f(): return 1\n")
    words = ("--path", PACKAGES, "--pools", "tools=1:pluggy", "--pool", "tools", "--seed", "5")
    drawn = []
    for _ in range(2):
        assert main(["sandbox", "run", str(script), *words]) == 0
        drawn.append(capfd.readouterr().out)
    assert drawn[0] == drawn[1] != ""
    assert main(["sandbox", "call", str(script), "f", "", *words]) == 0
    assert "ok" in capfd.readouterr().out
    assert main(["sandbox", "run", str(script), "--pool", "tools"]) == 2
    assert "no pool 'tools', there are: default" in capfd.readouterr().err
