"""Gateways as processes of their own, and requests to them."""

import json
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

import requests


def wait_until(condition, seconds=60):
    """Poll; the bound is only there so that a failure ends."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@contextmanager
def gateway(*words, **options):
    """A gateway on a free port: its process and its URL."""
    command = [sys.executable, "-m", "azr_fast.cli", "sandbox", "gateway", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, "--http", "127.0.0.1:0"], **pipes, **options) as process:
        try:
            word, url = process.stdout.readline().split()
            assert word == "gateway"
            yield process, url
        finally:
            process.kill()


def send(url, code, run_timeout=20):
    """A request on a connection of its own, whose answer is not waited for."""
    at = urlsplit(url)
    body = json.dumps({"code": code, "language": "python", "run_timeout": run_timeout})
    connection = HTTPConnection(at.hostname, at.port)
    connection.request("POST", "/run_code", body, {"Content-Type": "application/json"})
    return connection


def answer(connection):
    with closing(connection):
        return json.loads(connection.getresponse().read())


def heard(url):
    """Whatever was sent or closed before has reached the gateway."""
    for _ in range(2):
        requests.get(f"{url}/v1/ping")
