"""What a dry run tells of schedules."""

import re

from azr_fast.cli.plan import plan_lines
from azr_fast.config.load import load_config

KEYS = {
    "schedule.name": "alternate", "schedule.iterations": 3, "schedule.proposer_steps": 5,
    "schedule.pool_steps": 8, "schedule.pool_proposals": 1000, "schedule.solver_steps": 40,
    "play.proposals": 128, "play.price_samples": 10, "play.solves": 128, "play.solve_samples": 16,
    "game.kinds": "deduction", "run.steps": 1000,
}  # fmt: skip


def plan(**keys):
    return "\n".join(plan_lines(load_config("azr-paper-7b", KEYS | keys)))


def test_every_phase_has_its_own_work():
    text = plan()
    proposer, pool, solver = re.split(r"work of a (?:proposer|pool|solver) step", text)[1:]
    assert re.search(r"deduction/proposer +128 ", proposer)
    assert re.search(r"deduction/solver +0-1,280 ", proposer)
    assert re.search(r"deduction/proposer +1,000 ", pool)
    assert re.search(r"deduction/solver +0-10,000 ", pool)
    assert "proposer" not in solver.split("seeding")[0]
    assert re.search(r"deduction/solver +2,048 ", solver)
    assert "length: 159 steps, 3 iterations of 5 proposer + 8 pool + 40 solver" in text


def test_a_limit_on_steps_ends_the_iterations():
    assert "length: 60 steps, 3 iterations" in plan(**{"run.steps": 60})


def test_joint_steps_are_told_as_ever():
    text = plan(**{"schedule.name": "joint", "play.solve_samples": 1})
    assert "work of a step  " in text
    assert "length: 1000 steps\n" in text
