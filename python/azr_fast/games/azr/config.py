"""The keys of the AZR game. The description of a field is its help text on the command line."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from azr_fast.config.schema import Config, GameSection, NonNegative, Section
from azr_fast.config.section import Fraction

Kind = Literal["deduction", "abduction", "induction", "error_deduction"]


class GameConfig(GameSection):
    """Rules of the AZR game (paper, sections 3.2 and 3.3)."""

    name: Literal["azr"] = Field(default="azr", description="the game")
    kinds: tuple[Kind, ...] = Field(
        default=("deduction", "abduction", "induction"),
        min_length=1,
        description="task types to play; error_deduction asks which exception a program raises",
    )
    prompts: Literal["full", "compact", "compact_thought"] = Field(
        default="full",
        description="full: the paper's form; compact: few-shot, for small models; compact_thought: "
        "that with a short thought before each answer",
    )
    thought_tokens: PositiveInt = Field(
        default=96,
        description="tokens that a thought may have in the form compact_thought; with the prompt, "
        "it takes room of rollout.max_prompt_tokens",
    )
    references: int = Field(default=6, ge=0, description="K: tasks shown to a proposer")
    reference_choice: Literal["uniform", "recent"] = Field(
        default="uniform",
        description="recent: a task is drawn by the weight of the step it was posed in, plus 1",
    )
    reference_tasks: Literal["all", "learnable"] = Field(
        default="all",
        description="learnable: only tasks that were solved sometimes and not always, while there "
        "are any",
    )
    reference_outputs: bool = Field(
        default=False, description="show the outputs of references, in the full form"
    )
    references_shared_by: PositiveInt = Field(
        default=1,
        description="proposals of one type that share the same references, hence one prompt",
    )
    pairs: int = Field(default=10, ge=2, description="N: input-output pairs of an induction task")
    inputs_kept: Literal["first", "last"] = Field(
        default="first", description="which N inputs count where a proposal gives more"
    )
    induction_seeds: Literal["drawn", "each_program"] = Field(
        default="drawn",
        description="while seeding, drawn: programs are drawn for induction; each_program: those "
        "come first that have no induction task yet",
    )
    identity_induction: bool = Field(
        default=False, description="begin with an induction task about the identity function, too"
    )
    novelty: Literal["program", "example", "shape"] = Field(
        default="program",
        description="what makes a task new, program: its syntax tree; example: that or its input; "
        "shape: its tree with variables renamed and constants lifted",
    )
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
    require_tags: bool = Field(
        default=False,
        description="an answer without <think>...</think> and then <answer>...</answer> is "
        "malformed",
    )
    refuse_truncated: bool = Field(
        default=True,
        description="an answer that the token limit cut off is malformed whatever it holds",
    )
    composite_chance: Fraction = Field(
        default=0.0,
        description="share of deduction and abduction proposals that must call given programs",
    )
    composite_start: int = Field(default=0, ge=0, description="first step with such proposals")
    composite_ramp: int = Field(
        default=0, ge=0, description="steps over which their share then rises to composite_chance"
    )
    composite_programs: PositiveInt = Field(
        default=3, description="most programs that such a proposal is given: 1 to this many"
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
    bonus_for: Literal["valid", "learnable"] = Field(
        default="valid",
        description="learnable: the bonus is paid only where 0 < accuracy < 1",
    )
    bonus_steps: int = Field(
        default=0, ge=0, description="updates over which the bonus falls to 0; 0: it stays"
    )


class IntrinsicConfig(Section):
    """Rewards of a valid proposal for what its program is like (paper, appendix D)."""

    cognitive: NonNegative = Field(
        default=0.0, description="weight of the program's cognitive complexity"
    )
    cyclomatic: NonNegative = Field(
        default=0.0, description="weight of the program's cyclomatic complexity"
    )
    distance: NonNegative = Field(
        default=0.0,
        description="weight of the mean distance, 0 to 1, of its syntax tree to its references'",
    )
    diversity: NonNegative = Field(
        default=0.0,
        description="weight of the share, 0 to 1, of known tasks with another output",
    )
    most: NonNegative = Field(default=0.5, description="bound of each weighted measure")
    combine: Literal["sum", "multiply", "sum_multiply", "multiply_sum"] = Field(
        default="sum",
        description="with r the reward and m the measures, sum: r + sum(m); multiply: r * "
        "product(m); sum_multiply: r + product(m); multiply_sum: r * sum(m)",
    )

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each measure that counts."""
        all_of_them = {
            "cognitive": self.cognitive,
            "cyclomatic": self.cyclomatic,
            "distance": self.distance,
            "diversity": self.diversity,
        }
        return {name: weight for name, weight in all_of_them.items() if weight}


class AzrConfig(Config):
    """A whole run of the AZR game."""

    game: GameConfig = GameConfig()
    reward: RewardConfig = RewardConfig()
    intrinsic: IntrinsicConfig = IntrinsicConfig()
