from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr_fast.config import games, load
from azr_fast.config.keys import allowed, keys_of, to_text
from azr_fast.config.load import dump_config, load_config, preset_names
from azr_fast.errors import UserError
from azr_fast.games.azr.config import AzrConfig

KEYS = keys_of(AzrConfig)
FIELDS = KEYS.fields
OF_ANY_TEXT = [key for key in FIELDS if key != "game.name"]  # which names what is installed
# Keys that mean something beside others only.
CORRECTED = {"update.correction": "clip"}
BESIDE = dict.fromkeys(("update.epochs", "update.minibatches", "update.dual_clip"), CORRECTED)
BESIDE["roles.same_adapter"] = {"roles.proposer": "lora"}


def value_of(config, key):
    section, _, name = key.partition(".")
    return getattr(getattr(config, section), name)


def another_text(key):
    """Text of a value that differs from the cpu preset's, whatever the type of the key."""
    value = value_of(load_config("cpu"), key)
    if key == "update.dual_clip":  # above 1, where it is set
        return "3"
    if "one of" in allowed(FIELDS[key]) and "list" not in allowed(FIELDS[key]):
        choices = allowed(FIELDS[key]).removeprefix("one of ").split(", ")
        return next(choice for choice in choices if choice != value)
    if isinstance(value, bool):
        return to_text(not value)
    if isinstance(value, tuple):
        choices = allowed(FIELDS[key]).rpartition("one of ")[2].split(", ")
        return to_text(tuple(reversed(value)) or choices[0])
    if isinstance(value, str):
        return value + "x"
    return str(value / 2) if isinstance(value, float) and value else str((value or 0) + 1)


def test_presets_are_complete_and_load():
    papers = [f"azr-paper-{size}" for size in ("14b", "3b", "7b", "7b-coder")]
    gpus = ["gpu", "gpu-16", "gpu-24", "gpu-48"]
    azr = [name for name in preset_names() if not name.startswith("agent0-")]
    assert azr == ["azr-fast", *papers, "cpu", *gpus]
    for preset in preset_names():
        load_config(preset)


def test_cpu_preset_trains_for_minutes_not_hours():
    config = load_config("cpu")
    assert config.model.name == "smollm2-135m"
    assert config.run.time_limit_minutes > 0
    assert config.seeding.proposals <= 64
    assert config.reward.malformed < config.reward.rejected < 0


@pytest.mark.parametrize("key", OF_ANY_TEXT)
def test_every_key_can_be_overridden_as_text(key):
    text, beside = another_text(key), BESIDE.get(key, {})
    preset, config = load_config("cpu"), load_config("cpu", {key: text, **beside})
    landed = to_text(value_of(config, key))
    assert landed == text or float(landed) == float(text)
    assert value_of(config, key) != value_of(preset, key)
    others = FIELDS.keys() - {key, *beside}
    assert all(value_of(config, o) == value_of(preset, o) for o in others)


@pytest.mark.parametrize("key", FIELDS)
def test_every_key_has_help_and_a_description_of_its_values(key):
    assert FIELDS[key].description
    assert allowed(FIELDS[key])


@pytest.mark.parametrize("key", FIELDS)
def test_text_on_the_command_line_round_trips(key):
    config = load_config("azr-paper-7b")
    assert load_config("azr-paper-7b", {key: to_text(value_of(config, key))}) == config


@pytest.mark.parametrize("preset", preset_names())
def test_dump_round_trips(preset, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(dump_config(load_config(preset)))
    assert load_config(path) == load_config(preset)


@given(st.text(st.characters(blacklist_categories=("Cs",))))
def test_dump_round_trips_any_text(tmp_path_factory, name):
    config = load_config("cpu", {"run.name": name})
    path = tmp_path_factory.mktemp("dump") / "config.toml"
    path.write_text(dump_config(config), encoding="utf-8", newline="")
    assert load_config(path) == config


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("rollout.temprature", "rollout.temperature"),
        ("rolout.temperature", "rollout.temperature"),
        ("rolout.temp", "rollout.temperature"),
        ("temperature", "rollout.temperature"),
        ("rollout.lr", "update.lr"),
        ("steps", "run.steps"),
    ],
)
def test_unknown_key_names_the_nearest(wrong, right):
    with pytest.raises(UserError, match=f"unknown key '{wrong}': the nearest is '{right}'"):
        load_config("cpu", {wrong: "1"})


def test_unknown_preset_names_the_nearest():
    with pytest.raises(UserError, match=r"unknown preset 'azr-paper-7': the nearest is 'azr-paper"):
        load_config("azr-paper-7")


@pytest.mark.parametrize(
    ("key", "value", "limits"),
    [
        ("rollout.top_p", "1.5", "a number > 0 and <= 1"),
        ("rollout.top_p", "0", "a number > 0 and <= 1"),
        ("rollout.temperature", "0.001", "a number >= 0.01"),
        ("run.steps", "0", "a whole number > 0"),
        ("run.steps", "2.5", "a whole number > 0"),
        ("run.time_limit_minutes", "-1", "a number >= 0"),
        ("update.lr", "nan", "a number > 0"),
        ("update.lr", "inf", "a number > 0"),
        ("update.betas", "0.9,1", "a list of 2, each a number >= 0 and < 1"),
        ("update.betas", "0.9", "a list of 2"),
        ("game.kinds", "", "a list, each one of deduction, abduction, induction"),
        ("game.kinds", "deduction,sorting", "each one of deduction, abduction, induction"),
        ("model.dtype", "float16", "one of bfloat16, float32"),
        ("play.train_on_priced_answers", "maybe", "true or false"),
        ("reward.duplicate", "low", "a number or none"),
    ],
)
def test_value_out_of_range_is_one_line_with_key_value_and_range(key, value, limits):
    with pytest.raises(UserError) as caught:
        load_config("cpu", {key: value})
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{key} = ")
    assert value.split(",")[-1] in message
    assert limits in message


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[rolout]\n", "mine.toml: unknown section 'rolout': the nearest is 'rollout'"),
        ("steps = 3\n", "mine.toml: unknown section 'steps'"),
        ("run = 3\n", r"mine.toml: 'run' is a section: write \[run\] above its keys"),
        ("[run]\nstep = 3\n", "mine.toml: unknown key 'run.step': the nearest is 'run.steps'"),
        ("[run]\nsteps = = 3\n", "mine.toml is not valid TOML: .*line 2"),
        (
            '[advantage]\nestimator = "rloo"\ntoken_weighted = true\n',
            "advantage: rloo has no weights: set token_weighted = false",
        ),
        ("[run]\nsteps = -3\n", "run.steps = -3 is not allowed: run.steps takes a whole number"),
    ],
)
def test_faults_of_a_file_name_the_file_or_the_key(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        load_config(write(tmp_path, text))


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(UserError, match=r"cannot read config .*none\.toml: No such file"):
        load_config(str(tmp_path / "none.toml"))
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="not UTF-8"):
        load_config(tmp_path / "bad.toml")


def test_sections_have_a_docstring_for_help():
    assert all(section.__doc__ for section in KEYS.sections.values())


def test_keys_of_older_runs_that_mean_nothing_any_more_are_left_out(tmp_path):
    old = dump_config(load_config("cpu")).replace('name = "azr"\n', "")
    old = old.replace("[sandbox]", "[sandbox]\nthreads = 8").replace(
        "[seeding]", "[seeding]\nseconds = 20.0"
    )
    old = old.replace("[parity]", "[parity]\nmax_mean = 0.1\nmax_any = 2.0")
    assert load_config(write(tmp_path, old)) == load_config("cpu")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"update.epochs": 2}, "set correction to clip or truncate"),
        ({"update.minibatches": 2}, "set correction to clip or truncate"),
        ({"update.dual_clip": 3.0}, "set correction = clip"),
        ({"update.dual_clip": 3.0, "update.correction": "truncate"}, "set correction = clip"),
        ({"schedule.band_low": 0.8}, "band_low is above band_high"),
        ({"schedule.proposer_steps": 0, "schedule.solver_steps": 0}, "nobody learns"),
        ({"roles.solver": "lora", "roles.proposer": "separate"}, "set both to lora, or both"),
        ({"roles.same_adapter": True}, "same_adapter is about adapters: set proposer = lora"),
        (
            {"roles.proposer": "separate", "roles.same_adapter": True},
            "same_adapter is about adapters: set proposer = lora",
        ),
        ({"lora.rank": 0}, "lora.rank takes a whole number > 0"),
        ({"lora.alpha": 0}, "lora.alpha takes a number > 0"),
        (
            {"seeding.tasks": 9, "buffer.capacity": 8},
            "^seeding.tasks is 9 and a buffer keeps 8: raise buffer.capacity",
        ),
    ],
)
def test_keys_that_mean_nothing_together_are_refused_by_name(keys, said):
    with pytest.raises(UserError, match=said):
        load_config("cpu", keys)


def test_lora_for_one_role_is_an_adapter_for_each_unless_they_share_one():
    def roles(**keys):
        return load_config("cpu", {f"roles.{key}": value for key, value in keys.items()}).roles

    for keys in ({"proposer": "lora"}, {"solver": "lora"}, {"proposer": "lora", "solver": "lora"}):
        assert (roles(**keys).adapters, roles(**keys).apart) == (True, True)
        same = roles(**keys, same_adapter=True)
        assert (same.adapters, same.apart) == (True, False)
    assert (roles(proposer="separate").adapters, roles(proposer="separate").apart) == (False, True)
    assert (roles().adapters, roles().apart) == (False, False)


@pytest.mark.parametrize("name", ["cpu", "mine.toml"])
@pytest.mark.parametrize(
    "points", [{}, {"azr": EntryPoint("azr", "no_such_module:AZR", "azr_fast.games")}]
)
def test_without_a_game_that_can_be_loaded_the_remedy_is_named(monkeypatch, tmp_path, name, points):
    monkeypatch.setattr(games, "installed", lambda group: points)
    monkeypatch.setattr(games, "find_game", games.find_game.__wrapped__)
    monkeypatch.setattr(load, "find_game", games.find_game)
    path = write(tmp_path, "[run]\nsteps = 3\n")
    with pytest.raises(UserError, match="install azr-fast again"):
        load_config(path if name == "mine.toml" else name)
