"""The gateway as SandboxFusion's own client package and plain HTTP see it."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
import requests
import sandbox_fusion
from gateways import gateway
from sandbox_fusion import CommandRunStatus, RunCodeRequest, RunStatus

from azr_fast.cli.main import main
from azr_fast.observe.typed import how_to_install


@pytest.fixture(scope="module")
def url(sandbox):
    limits = ("--timeout", "20000", "--memory", "256M", "--output", "64K")
    with gateway("--socket", sandbox.path, *limits) as (_, url):
        yield url


@pytest.fixture
def post(url):
    """The answer to a request as JSON; what is not given is as verl sends it."""

    def post_it(**fields):
        verl = {"compile_timeout": 10, "run_timeout": 10, "stdin": "", "language": "python"}
        body = {**verl, "memory_limit_MB": 128, "files": {}, "fetch_files": [], **fields}
        reply = requests.post(f"{url}/run_code", json=body)
        assert reply.status_code == 200
        return reply.json()

    return post_it


@pytest.fixture
def fusion(url):
    """`run_code` of the client package; it asks once, where by itself it would ask five times."""

    def run_code(code, **fields):
        request = RunCodeRequest(code=code, **{"language": "python", **fields})
        return sandbox_fusion.run_code(request, endpoint=url, max_attempts=1)

    return run_code


# --- the client package ---------------------------------------------------------------------------


def test_success(fusion):
    answer = fusion("import sys; print(input()[::-1]); print('é', file=sys.stderr)", stdin="héllo")
    assert (answer.status, answer.message, answer.compile_result) == (RunStatus.Success, "", None)
    result = answer.run_result
    assert (result.status, result.return_code) == (CommandRunStatus.Finished, 0)
    assert (result.stdout, result.stderr) == ("olléh\n", "é\n")
    assert result.execution_time > 0
    assert answer.files == {}


@pytest.mark.parametrize(
    ("code", "return_code", "message"),
    [
        ("1 / 0", 1, "error: division by zero"),
        ("import sys; sys.exit(7)", 7, "error: 7"),
        ("import os; os.abort()", -signal.SIGABRT, "crash: killed by SIGABRT"),
        ("import socket; socket.socket()", -signal.SIGSYS, "denied: system call socket"),
        ("while True: print('x' * 1000)", -signal.SIGKILL, "output"),
        ("import os; os._exit(0)", 1, "crash"),
        ("def f(:", 1, "error: invalid syntax"),
    ],
)
def test_a_programs_failure(fusion, code, return_code, message):
    answer = fusion(code)
    assert answer.status == RunStatus.Failed
    assert answer.message.startswith(message)
    assert answer.run_result.status == CommandRunStatus.Finished
    assert answer.run_result.return_code == return_code


def test_a_deadline(fusion):
    answer = fusion("print('begun', flush=True)\nwhile True: pass", run_timeout=0.5)
    assert answer.status == RunStatus.Failed
    assert answer.run_result.status == CommandRunStatus.TimeLimitExceeded
    assert answer.run_result.return_code is None
    assert answer.run_result.stdout == "begun\n"
    assert answer.run_result.execution_time >= 0.5


def test_the_summary_of_the_client_package(fusion):
    mapping = sandbox_fusion.SummaryMapping(
        Success="right", Failed="wrong", RunFailed="raised", RunTimeout="late"
    )
    answers = fusion("pass"), fusion("1 / 0"), fusion("while True: pass", run_timeout=0.2)
    summaries = [sandbox_fusion.summary_run_code_result(answer, mapping) for answer in answers]
    assert summaries == ["right", "raised", "late"]


def test_the_async_client_and_many_at_once(url):
    async def all_of_them():
        jobs = [RunCodeRequest(code=f"print({n})", language="python") for n in range(40)]
        return await asyncio.gather(
            *(sandbox_fusion.run_code_async(job, url, max_attempts=1) for job in jobs)
        )

    answers = asyncio.run(all_of_them())
    assert [answer.run_result.stdout for answer in answers] == [f"{n}\n" for n in range(40)]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"language": "cpp"}, "language 'cpp' is not served"),
        ({"language": "pytest"}, "language 'pytest' is not served"),
        ({"files": {"a.txt": "eA=="}}, r"files are not served here \(got 'a.txt'\)"),
        ({"fetch_files": ["b.txt"]}, r"fetch_files are not served here \(got 'b.txt'\)"),
        ({"run_timeout": 21}, "run_timeout 21 s is more than .* 20 s, its --timeout"),
    ],
)
def test_what_is_not_served_is_a_sandbox_error_that_names_it(fusion, fields, named):
    with pytest.raises(Exception, match=f"Sandbox responded with error: {named}"):
        fusion("pass", **fields)


# --- plain HTTP -----------------------------------------------------------------------------------


def test_the_answer_has_the_fields_of_sandbox_fusion(post):
    answer = post(code="print(1)")
    assert answer.keys() == {
        *("status", "message", "compile_result", "run_result", "executor_pod_name", "files")
    }
    assert {"status", "execution_time", "return_code", "stdout", "stderr"} < set(
        answer["run_result"]
    )


def test_a_limit_of_memory(post):
    hungry = "print(len(bytearray(200 << 20)))"
    failed = post(code=hungry)
    assert (failed["status"], failed["message"]) == ("Failed", "memory")
    assert post(code=hungry, memory_limit_MB=-1)["status"] == "Success"
    refused = post(code=hungry, memory_limit_MB=257)
    assert refused["status"] == "SandboxError"
    assert "memory_limit_MB 257 is more" in refused["message"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("{}", "code"),
        ('{"code": "1", "language": "python", "run_timeout": 0}', "run_timeout"),
        ('{"code": "1", "language": "python", "run_timeout": NaN}', "run_timeout"),
        ('{"code"', "body"),
    ],
)
def test_a_malformed_request_names_the_field(url, body, named):
    reply = requests.post(f"{url}/run_code", data=body)  # and no content type: it is JSON anyway
    assert reply.status_code == 422
    assert named in json.dumps([fault["loc"] for fault in reply.json()["detail"]])


def test_text_that_is_no_unicode(url):
    def ask(code, language):
        body = f'{{"code": "{code}", "language": "{language}"}}'
        return requests.post(f"{url}/run_code", data=body).json()

    assert ask("'\\ud800'", "python")["message"].startswith("error: (unicode error)")
    assert ask("1", "\\ud800")["message"].startswith(r"language '\ud800' is not served")


def test_a_body_beyond_the_daemons_bound_is_refused(url):
    def in_chunks():
        yield from [b"x" * (1 << 20)] * 17

    assert requests.post(f"{url}/run_code", data=in_chunks()).status_code == 413


def test_health(url):
    reply = requests.get(f"{url}/v1/ping")
    assert (reply.status_code, reply.json()) == (200, "pong")


# --- an address, and the extra --------------------------------------------------------------------


def test_an_address_that_is_taken_is_named(url, capsys):
    at = urlsplit(url).netloc
    assert main(["sandbox", "gateway", "--http", at]) == 2
    assert f"cannot serve at {at}: Address already in use" in capsys.readouterr().err


def test_without_the_extra_the_remedy_is_named():
    code = (
        "import sys\n"
        "sys.modules['fastapi'] = None\n"  # not found
        "from azr_fast.cli.main import main\n"
        "sys.exit(main(['sandbox', 'gateway', '--http', '127.0.0.1:0']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"fastapi is not installed: {how_to_install('gateway')}" in done.stderr
