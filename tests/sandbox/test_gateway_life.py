"""Back-pressure of the gateway, and its ends."""

import os
import re
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import requests
from gateways import answer, gateway, heard, send, wait_until

from azr_fast.sandbox.launcher import Sandbox

FOREVER = "while True: pass"


def running(client):
    return int(client.info()["stats"]["programs_running"])


def programs(client):
    """How many programs were begun."""
    zygotes = client.info()["zygotes"].values()
    return sum(int(count) for z in zygotes for count in re.findall(r"programs=(\d+)", z))


def test_what_is_not_in_flight_waits_and_who_leaves_takes_his_job_along(sandbox, client):
    with gateway("--socket", sandbox.path, "--in-flight", "1") as (_, url):
        before = programs(client)
        first = send(url, FOREVER)
        wait_until(lambda: running(client) == 1)
        second, third = send(url, "print('second')"), send(url, "print('third')")
        heard(url)
        assert programs(client) == before + 1
        second.close()
        heard(url)
        first.close()
        assert answer(third)["run_result"]["stdout"] == "third\n"
        wait_until(lambda: running(client) == 0)
        assert programs(client) == before + 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_when_what_it_accepted_is_answered(sandbox, client, number):
    with gateway("--socket", sandbox.path) as (process, url):
        job = send(url, "import time; time.sleep(1); print('answered')")
        wait_until(lambda: running(client) == 1)
        process.send_signal(number)
        assert answer(job)["run_result"]["stdout"] == "answered\n"
        assert (process.wait(60), process.stderr.read()) == (0, "")
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/v1/ping")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_it_at_once(sandbox, client, number):
    with gateway("--socket", sandbox.path) as (process, url):
        job = send(url, FOREVER, 60)
        wait_until(lambda: running(client) == 1)
        process.send_signal(number)
        wait_until(lambda: refuses(url))
        process.send_signal(number)
        assert (process.wait(60), process.stderr.read()) == (-number, "")
        job.close()
    wait_until(lambda: running(client) == 0)


def refuses(url):
    try:
        requests.get(f"{url}/v1/ping")
    except requests.ConnectionError:
        return True
    return False


@pytest.mark.parametrize(
    "numbers",
    [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGINT], [signal.SIGKILL]],
)
def test_its_own_daemon_ends_with_it(numbers):
    with TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        with gateway(env={**os.environ, "TMPDIR": folder}) as (process, url):
            assert answer(send(url, "print(1)"))["status"] == "Success"
            assert list(Path(folder).iterdir())
            for number in numbers:
                process.send_signal(number)
                time.sleep(0.05)  # two of the same at once would be one
            process.wait(60)
        wait_until(lambda: list(Path(folder).iterdir()) == [])


def test_a_daemon_that_is_lost():
    with ExitStack() as daemon:
        path = daemon.enter_context(Sandbox(zygotes=2)).path
        with gateway("--socket", path) as (_, url):
            daemon.close()
            assert requests.get(f"{url}/v1/ping").status_code == 503
            lost = answer(send(url, "print(1)"))
    assert lost["status"] == "SandboxError"
    assert f"azr-sandboxd at {path} was lost" in lost["message"]
