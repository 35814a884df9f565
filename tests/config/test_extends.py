"""Files over presets, files over files, and values that have the type of their key."""

import logging

import pytest

from azr_fast.cli.main import main
from azr_fast.config import load
from azr_fast.config.load import default_preset, dump_config, load_config
from azr_fast.errors import UserError


@pytest.fixture
def write(tmp_path):
    def write_it(name, text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write_it


def test_a_file_over_a_preset_changes_what_it_names(write):
    mine = write("mine.toml", 'extends = "cpu"\n[update]\nlr = 0.5\n')
    assert load_config(mine, {"run.steps": "3"}) == load_config(
        "cpu", {"update.lr": 0.5, "run.steps": 3}
    )


def test_files_over_files_from_where_each_lies(write, monkeypatch):
    write("base.toml", 'extends = "cpu"\n[run]\nsteps = 7\n[update]\nlr = 0.5\n')
    write("more/next.toml", 'extends = "../base.toml"\n[run]\nseed = 3\n')
    last = write("more/last.toml", 'extends = "next.toml"\n[update]\nlr = 0.25\n')
    monkeypatch.chdir(last.parents[1])
    expected = {"run.steps": 7, "run.seed": 3, "update.lr": 0.25}
    assert load_config("more/last.toml") == load_config(last) == load_config("cpu", expected)


def test_a_file_without_a_base_says_which_it_takes_and_is_never_of_papers_scale(write, caplog):
    mine = write("mine.toml", "[run]\nsteps = 3\n")
    with caplog.at_level(logging.INFO, "azr_fast"):
        config = load_config(mine)
    assert config == load_config(default_preset(), {"run.steps": 3})
    assert f'as in preset {default_preset()} (write extends = "{default_preset()}"' in caplog.text
    assert config.play.proposals < 64


def test_a_dry_run_says_it_too_and_prints_a_config_all_the_same(write, capsys):
    mine = write("mine.toml", "[run]\nsteps = 3\n")
    assert main(["train", "--preset", str(mine), "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert "mine.toml names no base" in err
    assert load_config(write("whole.toml", out)) == load_config(mine)


def test_with_a_gpu_the_base_is_the_preset_of_a_gpu(write, monkeypatch):
    monkeypatch.setattr(load, "gpu_usable", lambda: True)
    assert load_config(write("mine.toml", "")).model.name == load_config("gpu").model.name


def test_the_papers_numbers_are_there_for_who_names_them(write, caplog):
    config = load_config(write("mine.toml", 'extends = "defaults"\n'))
    assert config.play == type(config.play)()
    assert "names no base" not in caplog.text


def test_what_is_stored_of_a_run_is_whole(write, caplog):
    paper = load_config("azr-paper-7b")
    assert dump_config(paper).startswith('extends = "defaults"\n')
    old = write("runs/one/config.toml", dump_config(paper).removeprefix('extends = "defaults"\n'))
    write("runs/one/run.json", "{}")
    assert load_config(old) == paper
    assert "names no base" not in caplog.text


def test_a_key_of_the_base_can_be_unset(write):
    assert load_config("cpu").reward.duplicate is not None
    mine = write("mine.toml", 'extends = "cpu"\n[reward]\nduplicate = "none"\n')
    assert load_config(mine).reward.duplicate is None


def test_a_file_that_extends_itself_is_refused(write):
    write("a.toml", 'extends = "b.toml"\n')
    b = write("b.toml", 'extends = "a.toml"\n')
    with pytest.raises(UserError, match=r"a\.toml extends b\.toml, which extends it: name another"):
        load_config(b)
    with pytest.raises(UserError, match=r"extends c\.toml, which extends it"):
        load_config(write("c.toml", 'extends = "c.toml"\n'))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('extends = "cpuu"\n', "unknown preset 'cpuu': the nearest is 'cpu'"),
        ('extends = ""\n', "unknown preset ''"),
        ("extends = 3\n", "extends = 3 is not allowed: it takes the name of a preset"),
        ('extends = "none.toml"\n', r"cannot read config .*/none\.toml: No such file"),
        ('extend = "cpu"\n', "unknown section 'extend': the nearest is 'extends'"),
    ],
)
def test_a_base_that_cannot_be_had(write, text, message):
    with pytest.raises(UserError, match=message):
        load_config(write("mine.toml", text))


@pytest.mark.parametrize(
    ("section", "line", "takes"),
    [
        ("run", "steps = true", "run.steps = True is not allowed: run.steps takes a whole number"),
        ("run", 'steps = "3"', "run.steps = '3' is not allowed: run.steps takes a whole number"),
        ("run", "steps = 3.0", "run.steps = 3.0 is not allowed"),
        ("run", "name = 3", "run.name = 3 is not allowed: run.name takes text"),
        ("update", "lr = false", "update.lr = False is not allowed: update.lr takes a number > 0"),
        ("update", "betas = [0.9, true]", "update.betas = True is not allowed"),
        ("update", 'betas = "0.9,0.99"', "update.betas = '0.9,0.99' is not allowed"),
        ("update", "lr = nan", "update.lr = nan is not allowed"),
        ("play", "train_on_priced_answers = 1", "= 1 is not allowed"),
        ("play", 'train_on_priced_answers = "yes"', "= 'yes' is not allowed"),
        ("run", "steps = 2026-11-28", "run.steps = '2026-11-28' is not allowed"),
    ],
)
def test_a_value_has_the_type_of_its_key(write, section, line, takes):
    with pytest.raises(UserError) as refused:
        load_config(write("mine.toml", f"[{section}]\n{line}\n"))
    assert takes in str(refused.value)


def test_a_whole_number_will_do_for_a_number(write):
    assert (
        load_config(write("mine.toml", "[run]\ntime_limit_minutes = 5\n")).run.time_limit_minutes
        == 5.0
    )


@pytest.mark.parametrize("words", [["--preset", ""], ["--preset="]])
def test_an_empty_preset_is_no_preset(words, capsys):
    assert main(["train", *words, "--dry-run"]) == 2
    assert "unknown preset ''" in capsys.readouterr().err
