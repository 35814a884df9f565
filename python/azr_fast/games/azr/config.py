"""The keys of the AZR game. The description of a field is its help text on the command line."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from azr_fast.config.schema import Config, GameSection, NonNegative, Section


class GameConfig(GameSection):
    """Rules of the AZR game (paper, sections 3.2 and 3.3)."""

    name: Literal["azr"] = Field(default="azr", description="the game")
    kinds: tuple[Literal["deduction", "abduction", "induction"], ...] = Field(
        default=("deduction", "abduction", "induction"),
        min_length=1,
        description="task types to play",
    )
    prompts: Literal["full", "compact"] = Field(
        default="full", description="full: the paper's form; compact: few-shot, for small models"
    )
    references: int = Field(default=6, ge=0, description="K: tasks shown to a proposer")
    references_shared_by: PositiveInt = Field(
        default=1,
        description="proposals of one type that share the same references, hence one prompt",
    )
    pairs: int = Field(default=10, ge=2, description="N: input-output pairs of an induction task")
    determinism_runs: int = Field(
        default=2, ge=1, description="j: runs that must agree, in zygotes that hash differently"
    )
    input_must_matter: bool = Field(
        default=True,
        description="reject programs that never read one of f's arguments, and induction pairs "
        "that all give one output: constants are what a small model learns to pose first",
    )
    forbidden_modules: tuple[str, ...] = Field(
        default=(
            "os", "sys", "shutil", "logging", "random", "multiprocessing", "pebble", "subprocess",
            "threading", "datetime", "time", "hashlib", "hmac", "bcrypt", "calendar",
        ),
        description="imports that reject a program, dotted relatives included",
    )  # fmt: skip
    max_program_chars: PositiveInt = Field(default=4000, description="longer programs are rejected")
    max_value_chars: PositiveInt = Field(
        default=2000,
        description="inputs or outputs with a longer canonical text are rejected, never cut",
    )


class RewardConfig(Section):
    """Rewards of answers (paper, equations 4 to 6)."""

    malformed: float = Field(default=-1.0, description="answer that could not be parsed")
    rejected: float = Field(default=-1.0, description="proposal that the gate rejected")
    duplicate: float | None = Field(
        default=None,
        description="valid proposal of a task already known; unset: no difference is made",
    )
    wrong: float = Field(default=-0.5, description="solution that is not correct")
    learnability: Literal["one_minus_accuracy", "variance"] = Field(
        default="one_minus_accuracy", description="1 - acc, or 4 acc (1 - acc); 0 at acc 0 and 1"
    )
    zero_learnability: float = Field(
        default=0.0, description="in place of a learnability of 0 (reference code: -0.5)"
    )
    new_task_bonus: NonNegative = Field(
        default=0.0, description="added for a valid task not seen before"
    )


class AzrConfig(Config):
    """A whole run of the AZR game."""

    game: GameConfig = GameConfig()
    reward: RewardConfig = RewardConfig()
