"""Scripts as people write them, and as SandboxFusion is asked to run them, through the gateway and
its own daemon: each is served by the tier that it needs."""

from __future__ import annotations

import pytest
import requests
from gateways import gateway
from ordinary_scripts import SCRIPTS, UNSERVED

from azr_fast.cli.main import main
from azr_fast.sandbox.launcher import Sandbox
from azr_fast.sandbox.messages import Limits

LIMITS = Limits(timeout_ms=60_000, memory_bytes=1 << 30, output_bytes=1 << 20)


@pytest.fixture(scope="module")
def jailing():
    """A client of a daemon that has a jail; skipped where there can be none."""
    with Sandbox(zygotes=2, jails=1) as sandbox:
        client = sandbox.client(LIMITS)
        if client.run("print(1)", tier="fork").tier != "fork" or not has_jail(client):
            pytest.skip("no jail can be had here: see azr-sandboxd --check")
        yield client


def has_jail(client):
    return any("tier=jail" in line and "state=idle" in line for line in zygotes(client))


def zygotes(client):
    return [line for name, line in client.info()["zygotes"].items() if name != "zygotes"]


@pytest.fixture(scope="module")
def url(jailing):
    with gateway("--socket", jailing.path, "--timeout", "60000") as (_, url):
        yield url


def post(url, **fields):
    body = {"language": "python", "run_timeout": 50, **fields}
    return requests.post(f"{url}/run_code", json=body).json()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_the_gateway_serves_it(url, script):
    answer = post(url, code=script.code, stdin=script.stdin)
    assert (answer["status"], answer["message"]) == ("Success", ""), answer
    assert answer["run_result"]["stdout"] == script.stdout
    assert answer["run_result"]["return_code"] == 0


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_it_is_served_by_the_tier_that_it_needs(jailing, script):
    reply = jailing.run(script.code, script.stdin)
    assert (reply.verdict, reply.tier) == ("ok", script.tier), reply


@pytest.mark.parametrize("script", UNSERVED, ids=lambda script: script.name)
def test_what_no_tier_serves_fails_as_before(url, script):
    answer = post(url, code=script.code)
    assert answer["status"] == "Failed"
    assert script.stdout in answer["message"]


def test_a_tier_can_be_asked_for(jailing):
    thread = "import threading; threading.Thread(target=print, args=(7,)).start()"
    assert jailing.run(thread).tier == "jail"
    assert jailing.run(thread, tier="fork").verdict == "error"
    assert jailing.run("print(1)", tier="jail").tier == "jail"
    assert jailing.call("def f(): return 1", "f", [""], tier="jail").tier == "jail"
    with gateway("--socket", jailing.path, "--tier", "fork") as (_, url):
        answer = post(url, code=thread)
    assert answer["status"] == "Failed"


def test_the_time_of_a_script_is_its_own(url):
    """Not what the daemon lost in tiers that could not serve it."""
    code = "import time; time.sleep(1); import tempfile; tempfile.TemporaryFile(); time.sleep(0.2)"
    answer = post(url, code=code, run_timeout=1.9)
    assert answer["status"] == "Success", answer
    assert 1.2 <= answer["run_result"]["execution_time"] < 1.9


def test_sandbox_run(jailing, tmp_path, capfdbinary):
    script = tmp_path / "script.py"
    script.write_text("import asyncio\nasync def main(): print(1)\nasyncio.run(main())\n")
    assert main(["sandbox", "run", str(script)]) == 0
    assert capfdbinary.readouterr().out == b"1\n"
    assert main(["sandbox", "run", str(script), "--tier", "fork"]) == 159
