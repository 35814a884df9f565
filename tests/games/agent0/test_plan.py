"""What the presets ask for, before anything is loaded."""

import pytest

from azr_fast.algorithms import check_groups
from azr_fast.cli.plan import plan_lines
from azr_fast.cli.train import preset_of_game
from azr_fast.config.games import find_game, game_of
from azr_fast.config.load import dump_config, load_config, preset_names
from azr_fast.errors import UserError
from azr_fast.games.agent0 import AGENT0
from azr_fast.selfplay.schedule import open_schedule

OURS = sorted(name for name in preset_names() if name.startswith("agent0-"))


def test_the_paper_presets_counts_are_the_papers():
    config = load_config("agent0-paper-8b")
    lines = plan_lines(config)
    for line in (
        "length: 159 steps, 3 iterations of 5 proposer + 8 pool + 40 solver",
        "curriculum: 5 steps of 128 prompts x 4 questions x 10 conversations",
        "pool: 8,000 questions x 10 conversations, those with a p of 0.25 to 0.75",
        "executor: 40 steps of 128 questions x 16 conversations of 4 calls at most",
        # 512 questions, and 5,120 conversations of five turns at most
        "  at most 53,477,376 tokens sampled and 213,909,504 of prompts",
    ):
        assert line in lines
    update = config.update
    assert (update.lr, update.weight_decay, update.kl, update.entropy) == (1e-6, 0.01, 0.01, 0.0)
    assert (update.correction, update.clip_low, update.clip_high) == ("clip", 0.2, 0.2)
    assert (config.model.name, config.roles.apart) == ("Qwen/Qwen3-8B-Base", True)
    reward = config.reward
    assert (reward.uncertainty, reward.tool, reward.repetition, reward.alike) == (
        1.0,
        0.6,
        1.0,
        0.5,
    )


def test_there_are_nine_presets():
    assert [
        f"agent0-{name}"
        for name in (
            "cpu", "gpu", "lora", "no-curriculum", "no-tool", "no-tool-reward", "paper-8b",
            "r-zero", "random-proposer",
        )
    ] == OURS  # fmt: skip


@pytest.mark.parametrize("name", OURS)
def test_every_preset_can_be_played_and_written_down(name, tmp_path):
    config = load_config(name)
    open_schedule(config)
    check_groups(config, game_of(config).siblings(config))
    path = tmp_path / "again.toml"
    path.write_text(dump_config(config))
    assert load_config(path) == config


@pytest.mark.parametrize(
    "name", [name for name in OURS if name not in ("agent0-cpu", "agent0-gpu", "agent0-paper-8b")]
)
def test_a_control_differs_from_the_cpu_preset_in_what_it_controls(name):
    base, control = load_config("agent0-cpu").model_dump(), load_config(name).model_dump()
    changed = {
        f"{section}.{key}"
        for section, values in control.items()
        for key, value in values.items()
        if value != base[section][key]
    }
    no_tool = {"game.tool_calls", "reward.tool", "sandbox.imports"}
    assert changed == {
        "agent0-lora": {"roles.proposer", "update.lr"},
        "agent0-no-tool": no_tool,
        "agent0-no-curriculum": {"schedule.proposer_steps"},
        "agent0-no-tool-reward": {"reward.tool"},
        "agent0-random-proposer": {
            "game.proposer", "game.programs", "play.learners", "roles.proposer",
            "schedule.proposer_steps",
        },
        "agent0-r-zero": no_tool | {
            "advantage.estimator", "schedule.band_low", "schedule.band_high",
            "schedule.proposer_steps", "schedule.solver_steps",
        },
    }[name]  # fmt: skip


def test_a_game_is_named_by_one_word(monkeypatch):
    for gpu, preset in ((True, "agent0-gpu"), (False, "agent0-cpu")):
        monkeypatch.setattr("azr_fast.config.load.gpu_usable", lambda there=gpu: there)
        assert preset_of_game("agent0") == preset
    assert preset_of_game("azr") == "cpu"
    with pytest.raises(UserError, match="no game 'agent1' is installed"):
        preset_of_game("agent1")


def test_the_game_is_found_by_its_entry_point():
    assert find_game("agent0").config.model_fields["game"].default.name == "agent0"


def test_a_control_says_what_it_controls_and_nothing_else():
    """What it does not name is agent0-cpu's, also when that changes."""
    presets = AGENT0.presets
    for name in OURS:
        if name not in ("agent0-cpu", "agent0-gpu", "agent0-paper-8b"):
            text = (presets / f"{name}.toml").read_text()
            assert 'extends = "agent0-' in text
            keys = [line for line in text.splitlines() if " = " in line and line[0] != "#"]
            assert len(keys) <= 7, name
