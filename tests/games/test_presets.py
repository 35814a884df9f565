"""The presets of the paper: the paper's constants, the page that tells of them, and what they are."""

import re
from pathlib import Path

import pytest

from azr_fast.cli.plan import plan_lines
from azr_fast.config.keys import keys_of, to_text
from azr_fast.config.load import load_config
from azr_fast.games.azr.config import AzrConfig
from azr_fast.games.azr.plan import work

PAGE = (Path(__file__).parents[2] / "docs" / "azr-paper.md").read_text()
FIELDS = keys_of(AzrConfig).fields
MODELS = {
    "azr-paper-3b": "Qwen/Qwen2.5-Coder-3B",
    "azr-paper-7b": "Qwen/Qwen2.5-7B",
    "azr-paper-7b-coder": "Qwen/Qwen2.5-Coder-7B",
    "azr-paper-14b": "Qwen/Qwen2.5-Coder-14B",
}
PAPER = {
    # Section 3.2 and 3.3: task types, buffers, proposals, valid tasks.
    "game.kinds": ("deduction", "abduction", "induction"),
    "game.pairs": 10,
    "game.determinism_runs": 2,
    "game.reference_choice": "uniform",
    "game.reference_tasks": "all",
    "game.induction_seeds": "each_program",
    "game.identity_induction": True,
    "game.input_must_matter": False,
    "game.refuse_truncated": False,
    "seeding.tasks": 256,
    # Section 3.1, equations 4 to 6, and the format of answers.
    "game.require_tags": True,
    "reward.learnability": "one_minus_accuracy",
    "reward.zero_learnability": 0.0,
    "reward.malformed": -1.0,
    "reward.rejected": -1.0,
    "reward.wrong": -0.5,
    "reward.duplicate": None,
    "reward.new_task_bonus": 0.0,
    # Section 3.3, TRR++.
    "advantage.estimator": "trr++",
    "advantage.baseline": "group",
    "advantage.token_weighted": False,
    # Algorithm 1.
    "play.proposals": 64,
    "play.solves": 64,
    "play.train_on_priced_answers": False,
    "play.learners": ("proposer", "solver"),
    # Appendix: hyperparameters.
    "game.references": 6,
    "play.price_samples": 8,
    "buffer.capacity": 16384,
    "rollout.temperature": 1.0,
    "rollout.top_p": 1.0,
    "rollout.max_prompt_tokens": 6144,
    "rollout.max_new_tokens": 8096,
    "advantage.group_weighting": "tokens",
    "update.lr": 1e-6,
    "update.warmup_steps": 0,
    "update.betas": (0.9, 0.999),
    "update.weight_decay": 0.01,
    "update.grad_clip": 1.0,
    "update.entropy": 0.001,
    "run.steps": 500,
    # Appendix: prompt figures.
    "model.chat": "plain",
    "game.reference_outputs": True,
    # Appendix: what was tried and left out.
    "game.composite_chance": 0.0,
    "intrinsic.cognitive": 0.0,
    "intrinsic.cyclomatic": 0.0,
    "intrinsic.distance": 0.0,
    "intrinsic.diversity": 0.0,
    # The published code.
    "game.inputs_kept": "last",
    "model.dtype": "bfloat16",
    "sandbox.timeout_ms": 10000,
}
DEPARTURES = {
    "wording of prompts", "end of an answer", "tags and format", "cut off answers", "novelty",
    "length of programs", "length of values", "time of a program", "inputs of induction",
    "seeding", "seeds of induction", "learnability of 0", "weights of TRR++", "deviation of TRR++",
    "mean of the loss",
}  # fmt: skip


def rows(heading):
    """The cells of the table under a heading, without its head."""
    text = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[2:]]


def value_of(config, key):
    section, _, name = key.partition(".")
    return getattr(getattr(config, section), name)


def resolved(preset):
    config = load_config(preset)
    return {key: value_of(config, key) for key in FIELDS}


@pytest.mark.parametrize("preset", MODELS)
def test_a_paper_preset_has_the_papers_constants(preset):
    config = load_config(preset)
    assert {key: value_of(config, key) for key in PAPER} == PAPER
    assert config.model.name == MODELS[preset]


@pytest.mark.parametrize("preset", MODELS)
def test_paper_presets_differ_in_the_model_alone(preset):
    assert resolved(preset) | {"model.name": ""} == resolved("azr-paper-7b") | {"model.name": ""}


def test_the_page_tells_every_constant():
    told = {key: value for key, value, _ in rows("Number for number")}
    assert told == {key: to_text(value) for key, value in PAPER.items()}
    assert all(where for _, _, where in rows("Number for number"))


def test_the_page_tells_every_departure_with_the_value_that_the_presets_have():
    table = rows("Where a paper preset is not the paper")
    assert {row[0] for row in table} >= DEPARTURES
    assert all(len(row) == 4 and all(row) for row in table)
    told = re.findall(r"([a-z]+\.[a-z_]+) = ([-\w.]+)", " ".join(row[2] for row in table))
    assert len(told) >= 10
    for preset in MODELS:
        config = load_config(preset)
        assert told == [(key, to_text(value_of(config, key))) for key, _ in told]


def test_the_page_tells_all_that_azr_fast_changes():
    paper, fast = resolved("azr-paper-7b"), resolved("azr-fast")
    changed = {
        key: (to_text(paper[key]), to_text(fast[key])) for key in FIELDS if paper[key] != fast[key]
    }
    table = rows("What `azr-fast` changes")
    assert {key: (old, new) for key, old, new, _ in table} == changed
    assert all(why for *_, why in table)


@pytest.mark.parametrize("row", rows("Ablations of the paper"), ids=lambda row: row[0])
def test_the_options_of_ablations_are_options(row):
    words = re.split(r"[ =]", row[1].replace("--", ""))
    pairs = dict(zip(words[::2], words[1::2], strict=True))
    config, paper = load_config("azr-paper-7b", pairs), load_config("azr-paper-7b")
    assert {key for key in FIELDS if value_of(config, key) != value_of(paper, key)} == set(pairs)


@pytest.mark.parametrize("preset", MODELS)
def test_the_plan_of_a_paper_preset_shows_the_papers_counts(preset):
    config = load_config(preset)
    groups = {group.group: group for group in work(config)}
    assert len(groups) == 6
    for kind in config.game.kinds:
        assert groups[f"{kind}/proposer"].episodes == (64, 64)
        assert groups[f"{kind}/proposer"].runs == (0, 64 * 2)
        assert groups[f"{kind}/solver"].episodes == (64, 64 * 8 + 64)
        # A solution is run once, and that of a deduction is a value: it is compared as it is.
        most = 0 if kind == "deduction" else 64 * 8 + 64
        assert groups[f"{kind}/solver"].runs == (0, most)
    lines = plan_lines(config)
    assert "  learnt from: 6 groups x 64 answers; 8 more price each valid proposal" in lines
    assert any("256 tasks per type" in line for line in lines)
    assert "length: 500 steps" in lines


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"play.learners": "solver"}, "3 groups x 64 answers; 8 more price each valid proposal"),
        ({"play.solves": "32"}, "3 x 64 of the proposer and 3 x 32 of the solver; 8 more price"),
        ({"play.train_on_priced_answers": "true"}, "also the 8 solutions that price a proposal"),
    ],
)
def test_the_plan_tells_what_is_learnt_from(keys, told):
    lines = plan_lines(load_config("azr-paper-7b", keys))
    assert any(line.startswith(f"  learnt from: {told}") for line in lines)
