"""The page as a file: what is in it, and that nothing a model wrote can be markup."""

import base64
import hashlib
import json
import re

import pytest

from azr_fast.cli.main import main
from azr_fast.errors import UserError
from azr_fast.observe.episodes import shown_episodes
from azr_fast.observe.page import WEB, inert_json, page_data, render, write_page
from azr_fast.observe.run import read_run
from azr_fast.types import Role, Status

# https://www.npmjs.com/package/chart.js, version 4.6.1: dist/chart.umd.min.js
CHART_JS = "87364cc2b2a76a6684929e7d6b80b18a897794db38400caff1fcf1791c6925d2"


def scripts(page):
    return re.findall(r"<script>(.*?)</script>", page, re.DOTALL)


def data_of(page):
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    return json.loads(text)


@pytest.fixture
def page(finished):
    return render(page_data(read_run(finished)))


def test_the_page_has_what_the_run_has(page, finished):
    data = data_of(page)
    assert data["title"] == "one"
    assert data["about"].startswith("smollm2-135m, 8 of 500 steps, 1:20")
    figures = {one["name"]: (one["first"], one["last"], one["main"]) for one in data["figures"]}
    assert figures["learnable proposals"] == ("25%", "75%", True)
    assert figures["valid and new proposals"] == ("25%", "75%", True)
    assert figures["entropy, nats"] == ("1.75", "1.35", False)
    assert {chart["section"] for chart in data["charts"]} >= {"Learning", "Verdicts", "Model"}
    assert len(data["episodes"]["episodes"]) == sum(
        len(path.read_text().splitlines()) for path in (finished / "samples").iterdir()
    )


def test_the_policy_runs_the_scripts_of_the_page_and_loads_nothing(page):
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    for script in scripts(page):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<(script|link|img|iframe)[^>]*(src|href)=", page)


def test_the_chart_library_is_the_published_one_and_its_licence_is_in_the_page(page):
    library = (WEB / "chart.umd.min.js").read_bytes()
    assert hashlib.sha256(library).hexdigest() == CHART_JS
    assert "Permission is hereby granted, free of charge" in scripts(page)[0]


def test_our_scripts_write_text_and_never_markup():
    for path in WEB.glob("*.js"):
        if path.name != "chart.umd.min.js":
            text = path.read_text()
            for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
                assert way not in text, f"{way} in {path.name}"


HOSTILE = [
    "</script><script>alert(1)</script>", "<!--<script>", "]]>", "&lt;b&gt;", "\u2028\u2029",
    "{{script}}", "{{data}}", "\ud800 alone", "\x00\x1b[31m",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_model_wrote_comes_back_as_it_was_and_ends_nothing(text):
    written = inert_json({"text": text})
    assert json.loads(written) == {"text": text}
    assert written.isascii()
    assert not set("<>&") & set(written)


def test_a_hostile_run_has_no_more_elements_than_any_other(run, episode, write_steps):
    def hostile(step):
        text = "".join(HOSTILE)
        return [episode(text, Role.SOLVER, Status.WRONG, text, text=text)]

    write_steps(run, [1], hostile)
    page = render(page_data(read_run(run.path)))
    assert len(scripts(page)) == 2
    assert page.count("<script") - scripts(page)[0].count("<script") == 3
    (shown,) = data_of(page)["episodes"]["episodes"]
    assert shown["messages"][1]["content"] == "".join(HOSTILE)


def test_a_title_is_text(tmp_path, finished):
    folder = finished.rename(tmp_path / "<img src=x onerror=alert(1)>")
    page = render(page_data(read_run(folder)))
    assert "<title>&lt;img src=x onerror=alert(1)&gt;</title>" in page


def test_of_many_episodes_those_of_evenly_spread_steps_are_shown(finished):
    run = read_run(finished)
    few = shown_episodes(run, 10)
    steps = sorted({one["step"] for one in few["episodes"]})
    assert (few["steps"], few["of_steps"]) == (len(steps), 8)
    assert steps == [4, 8]
    assert len(few["episodes"]) == 10
    assert {one["step"] for one in shown_episodes(run, 0)["episodes"]} == {8}


def test_samples_of_an_older_version_are_conversations_too(run, write_steps, finished):
    old = {
        "request": [3], "kind": "deduction", "role": "solver", "status": "wrong", "code": "x",
        "evidence": "", "reward": -0.5, "prompt": "asked", "text": "said", "task": None,
    }  # fmt: skip
    run.samples(9).write_text(json.dumps(old) + "\n")
    newest = shown_episodes(read_run(finished))["episodes"][-1]
    assert newest["id"] == [3]
    assert [turn["content"] for turn in newest["messages"]] == ["asked", "said"]


def test_a_run_without_a_step_has_a_page_too(run):
    data = page_data(read_run(run.path))
    assert data["about"] == "smollm2-135m: no step is finished yet"
    assert data["charts"] == []
    assert render(data)


def test_report_writes_the_page_beside_the_run_or_where_it_is_told(finished, tmp_path, capsys):
    assert main(["report", str(finished)]) == 0
    assert f"page: {finished / 'report.html'}\n" in capsys.readouterr().out
    assert main(["report", str(finished), "--output", str(tmp_path / "p.html")]) == 0
    assert data_of((tmp_path / "p.html").read_text())["title"] == "one"


def test_a_page_that_cannot_be_written_is_refused_where_it_was_asked_for(finished, capsys):
    with pytest.raises(UserError, match=r"cannot write .*none/p\.html: No such file.*--output"):
        write_page(finished, finished / "none" / "p.html")
    (finished / "report.html").mkdir()
    assert main(["report", str(finished)]) == 0  # the summary was asked for, and is there
    assert "cannot write" in capsys.readouterr().out
    assert main(["report", str(finished), "--output", str(finished)]) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["report", "nowhere"], "nowhere is not a run folder"),
        (["report", "nowhere", "--serve"], "nowhere is not a run folder"),
        (["report", "x", "--episodes", "-1"], "-1 is less than 0"),
        (["report", "x", "--port", "many"], "invalid whole number value: 'many'"),
    ],
)
def test_bad_input_is_refused_in_one_line(words, message, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "words", [["report", "--output"], ["report", "--plot"], ["tasks", "--output"]], ids=str
)
@pytest.mark.parametrize("place", [".", ""])
def test_what_names_no_file_is_refused_in_one_line(
    finished, tmp_path, monkeypatch, capsys, words, place
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert main([words[0], str(finished), words[1], place]) == 2
    error = capsys.readouterr().err
    assert error.startswith("azr-fast: error: ")
    assert error.count("\n") == 1
    assert list(tmp_path.joinpath("here").iterdir()) == []
