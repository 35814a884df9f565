"""The server of a run's page, asked as browsers and others ask it."""

import http.client
import json

import pytest

from azr_fast.errors import UserError
from azr_fast.observe.metrics import MetricsLog
from azr_fast.observe.serve import open_server


@pytest.fixture
def ask(finished, serving):
    """Asks the server of a finished run."""
    port = int(serving(finished).rstrip("/").rpartition(":")[2])

    def ask(path, method="GET", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers

    return ask


def test_it_serves_the_page_and_its_data(ask):
    status, page, headers = ask("/")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"connect-src 'self'" in page
    status, body, headers = ask("/data.json?x")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body)["about"].startswith("smollm2-135m, 8 of 500 steps")


def test_data_are_sent_again_only_when_they_have_changed(ask, finished, metrics_line):
    tag = json.loads(ask("/data.json")[1])["tag"]
    assert ask("/data.json", **{"If-None-Match": tag})[:2] == (304, b"")
    log = MetricsLog(finished / "metrics.jsonl")
    log.append(metrics_line(9, []))
    log.close()
    status, body, _ = ask("/data.json", **{"If-None-Match": tag})
    assert status == 200
    assert "9 of 500" in json.loads(body)["about"]


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/../config.toml", "/config.toml", "//x", "/%2e%2e"]
)
def test_no_other_file_is_served(ask, path):
    assert ask(path)[0] == 404


def test_other_methods_are_refused(ask):
    assert ask("/", method="POST")[0] == 501


@pytest.mark.parametrize("host", ["azr.invalid", "azr.invalid:80", "localhost.azr.invalid:1", ""])
def test_a_page_of_another_site_cannot_read_it_by_a_name_of_its_own(ask, host):
    status, body, _ = ask("/data.json", Host=host)
    assert (status, body) == (403, b"ask for localhost")


def test_a_run_that_was_removed_is_told_and_the_server_goes_on(ask, finished):
    finished.rename(finished.with_name("moved"))
    status, body, _ = ask("/data.json")
    assert status == 500
    assert b"is not a run folder" in body
    finished.with_name("moved").rename(finished)
    assert ask("/data.json")[0] == 200


def test_a_port_that_is_taken_or_none_is_refused_by_name(finished):
    with open_server(finished, 0) as server:
        taken = server.server_port
        with pytest.raises(UserError, match=rf"cannot serve on port {taken}: .*choose another"):
            open_server(finished, taken)
    with pytest.raises(UserError, match="cannot serve on port 70000"):
        open_server(finished, 70000)
