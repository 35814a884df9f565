"""Every key of a run but those of its game. The description of a field is its help text on the
command line."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from azr_fast.config.evaluation import EvalConfig
from azr_fast.config.lora import LoraConfig
from azr_fast.config.roles import RolesConfig, ScheduleConfig
from azr_fast.config.section import Fraction, NonNegative, Section
from azr_fast.config.update import UpdateConfig
from azr_fast.hardware import fastest_dtype
from azr_fast.types import LEAST_TEMPERATURE

__all__ = ["Fraction", "NonNegative", "Section", "UpdateConfig"]  # used with what is defined here


class RunConfig(Section):
    """Where a run lives and how long it lasts."""

    dir: str = Field(default="runs", description="folder that holds run folders")
    name: str = Field(default="", description="name of the run folder; empty: date and time")
    seed: int = Field(default=0, ge=0, description="seed of every random choice of the run")
    steps: PositiveInt = Field(
        default=500,
        description="steps to make; with schedule.name alternate its iterations may end before",
    )
    time_limit_minutes: NonNegative = Field(
        default=0.0,
        description="stop cleanly this many minutes after each start, seeding included, loading "
        "not; 0: no limit",
    )
    checkpoint_every: PositiveInt = Field(default=25, description="steps between checkpoints")
    keep_checkpoints: PositiveInt = Field(default=2, description="newest checkpoints to keep")
    keep_every: int = Field(
        default=0, ge=0, description="keep checkpoints of every so many steps besides; 0: none"
    )
    keep_best: str = Field(
        default="",
        description="keep the checkpoint besides that is highest in this number of metrics.jsonl, "
        "such as solver.solve_rate or groups.deduction/solver.reward; empty: none",
    )
    sample_every: PositiveInt = Field(
        default=1, description="steps between saved samples of answers"
    )
    trackers: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = Field(
        default=(), description="where the numbers of steps go beside metrics.jsonl"
    )


class ModelConfig(Section):
    """The language model that plays both roles."""

    name: str = Field(
        default="smollm2-135m",
        description="built-in name, Hugging Face folder, .gguf file or hub id",
    )
    dtype: Literal["bfloat16", "float32"] = Field(
        default_factory=fastest_dtype,
        description="dtype of parameters; unless set, float32 where there is no GPU and the "
        "processor cannot multiply bfloat16 (x86-64 before AVX-512), which is much slower there",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="where the policy trains"
    )
    chat: Literal["template", "plain"] = Field(
        default="template",
        description="template: the tokenizer's chat template; plain: paragraphs of User and "
        "Assistant even where it has one, as base models were trained in the paper",
    )


class GameSection(Section):
    """The rules of the game that is played. Each game adds keys of its own."""

    name: str = Field(default="", description="the game; what is installed can be played")


class PlayConfig(Section):
    """How much is sampled in a step (paper, Algorithm 1)."""

    proposals: int = Field(
        default=64,
        ge=0,
        description="B: proposals per task type; 0: only what is known is solved, such as seeds",
    )
    solves: PositiveInt = Field(
        default=64, description="B: tasks solved per task type, fresh ones first"
    )
    price_samples: PositiveInt = Field(
        default=8, description="n: Monte-Carlo solutions per valid proposal"
    )
    solve_samples: PositiveInt = Field(
        default=1, description="solutions of each task that is solved but not priced"
    )
    train_on_priced_answers: bool = Field(
        default=True, description="train on the Monte-Carlo solutions too; they count as solves"
    )
    learners: tuple[Literal["proposer", "solver"], ...] = Field(
        default=("proposer", "solver"),
        min_length=1,
        description="roles that the update learns from; solver alone: the proposer only poses",
    )


class SeedingConfig(Section):
    """Filling the buffers before the first update (no weights change)."""

    tasks: int = Field(default=256, ge=0, description="valid tasks per type to collect")
    proposals: PositiveInt = Field(
        default=16384, description="most proposals of a type that are sampled for it"
    )
    batch: PositiveInt = Field(default=64, description="proposals sampled at a time")
    file: str = Field(
        default="",
        description="tasks to begin with, checked anew: the JSON lines of `azr-fast seed`, or the "
        "tasks.db of a run; types that then lack tasks are seeded as usual",
    )


class BufferConfig(Section):
    """The task buffers."""

    capacity: PositiveInt = Field(
        default=16384, description="tasks kept per type; the oldest are evicted"
    )


class RolloutConfig(Section):
    """Generation."""

    engine: Literal["auto", "vllm", "transformers"] = Field(
        default="auto", description="auto: vllm where it is installed"
    )
    temperature: float = Field(
        default=1.0, ge=LEAST_TEMPERATURE, description="sampling temperature"
    )
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=1.0,
        description="share of probability sampled from; below 1 the update is off-policy: its "
        "log-probs are over the whole vocabulary",
    )
    max_prompt_tokens: PositiveInt = Field(
        default=6144, description="longer prompts are skipped and counted"
    )
    max_new_tokens: PositiveInt = Field(default=8096, description="tokens an answer may have")
    concurrency: PositiveInt = Field(default=64, description="answers decoded at once")
    silence_minutes: PositiveFloat = Field(
        default=10.0,
        description="episodes that neither ask the model nor end are broken off once nothing else "
        "went on for so long either: what hangs is the game or a tool of it",
    )
    cache_gib: PositiveFloat = Field(default=2.0, description="KV cache of the CPU engine, GiB")
    gpu_memory_fraction: Fraction = Field(
        default=0.45, description="share of GPU memory the engine may take"
    )
    sleep: bool = Field(
        default=True,
        description="vLLM on a GPU gives its memory back while the policy updates; false saves the "
        "time of that where both fit at once",
    )


class AdvantageConfig(Section):
    """From rewards to advantages."""

    estimator: Literal[
        "trr++", "global", "grpo", "dr_grpo", "rloo", "hierarchical", "rae", "adpo"
    ] = Field(
        default="trr++",
        description="trr++: normalise per task type and role (paper, section 3.3.3); global: over "
        "the batch (REINFORCE++); grpo, dr_grpo, rloo: among answers to one prompt; hierarchical: "
        "among solutions of one task and proposals from one source; rae: a moving baseline; adpo: "
        "hierarchical, with less trust in solutions of tasks whose label few agreed on",
    )
    baseline: Literal["group", "task"] = Field(
        default="group",
        description="with trr++, task: the mean of each task's solutions is their baseline, and "
        "the scale is that of the task type and role",
    )
    token_weighted: bool = Field(
        default=False,
        description="mean and std over tokens, as in the reference code, not over answers",
    )
    group_weighting: Literal["tokens", "equal"] = Field(
        default="tokens",
        description="tokens: every token counts the same; equal: every task-role group does, but "
        "no token counts more than four times what it would by tokens",
    )

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        if self.token_weighted and self.estimator in ("rloo", "rae", "adpo"):
            raise ValueError(f"{self.estimator} has no weights: set token_weighted = false")
        if self.token_weighted and self.baseline == "task":
            raise ValueError("baseline = task has no weights: set token_weighted = false")
        if self.baseline == "task" and self.estimator != "trr++":
            raise ValueError(f"{self.estimator} has a baseline of its own: leave baseline = group")
        return self


class ParityConfig(Section):
    """The comparison of engine and trainer on the tokens of every step."""

    max_gap: PositiveFloat | None = Field(
        default=None,
        description="stop when the log-probs of the engine and the trainer are further apart than "
        "this, in nats a sampled token in the mean; unset: 0.15 in bfloat16, 0.001 in float32",
    )


MonitorName = Literal[
    "entropy", "distinct", "new", "valid", "gradient", "drift", "length", "repetition", "parity",
    "memory",
]  # fmt: skip


class MonitorConfig(Section):
    """Signs of a run that goes wrong: bounds on numbers of each step. A least share of 0 and a
    largest share of 1 watch nothing."""

    entropy: NonNegative = Field(
        default=0.05, description="least surprisal of what is sampled, nats a token"
    )
    distinct: Fraction = Field(
        default=0.2, description="least share of different tasks among valid proposals"
    )
    new: Fraction = Field(default=0.0, description="least share of proposals valid and new")
    valid: Fraction = Field(default=0.0, description="least share of valid proposals")
    gradient: Fraction = Field(
        default=0.05, description="least share of trained episodes with an advantage"
    )
    drift: NonNegative = Field(
        default=0.5,
        description="most that the proposer's mean reward may gain on the accuracy on the fixed "
        "probe since the probe was first measured; watched where steps are probed",
    )
    length: Fraction = Field(
        default=0.9, description="longest mean answer, as a share of rollout.max_new_tokens"
    )
    repetition: Fraction = Field(
        default=0.5, description="largest share of an answer's 4-token runs that it said before"
    )
    parity: Fraction = Field(
        default=0.8, description="largest gap of engine and trainer, as a share of parity.max_gap"
    )
    memory: Fraction = Field(
        default=0.95, description="most memory in use, as a share of what the run could have"
    )
    patience: PositiveInt = Field(
        default=3, description="steps in a row beyond a bound before it is said"
    )
    stop: tuple[MonitorName, ...] = Field(
        default=(),
        description="monitors that stop the run, after a checkpoint; the others only warn",
    )


class SandboxConfig(Section):
    """Limits of one program in azr-sandboxd."""

    socket: str = Field(
        default="", description="socket of a running azr-sandboxd; empty: start our own"
    )
    require: Literal["full", "namespaces", "seccomp"] = Field(
        default="seccomp", description="refuse to start when isolation is weaker than this"
    )
    zygotes: int = Field(default=0, ge=0, description="warm interpreters; 0: two per core")
    rewind: bool = Field(
        default=True,
        description="run most programs in processes that are put back after each, where the "
        "kernel allows; false: a process of its own for every program",
    )
    imports: tuple[str, ...] = Field(
        default=(),
        description="packages installed beside azr-fast that programs may import, such as numpy; "
        "zygotes of their own have them ready; a daemon at a socket has its own",
    )
    timeout_ms: PositiveInt = Field(default=2000, description="wall-clock deadline of a program")
    memory_mib: PositiveInt = Field(default=512, description="address space of a program")
    output_kib: PositiveInt = Field(default=256, description="most output or result of a program")
    connections: PositiveInt = Field(
        default=64, description="programs asked for at once; the daemon queues what it cannot run"
    )


class Config(Section):
    """A whole run. Each game extends it by what its rules need."""

    run: RunConfig = RunConfig()
    model: ModelConfig = ModelConfig()
    game: GameSection = GameSection()
    roles: RolesConfig = RolesConfig()
    lora: LoraConfig = LoraConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    play: PlayConfig = PlayConfig()
    seeding: SeedingConfig = SeedingConfig()
    buffer: BufferConfig = BufferConfig()
    rollout: RolloutConfig = RolloutConfig()
    advantage: AdvantageConfig = AdvantageConfig()
    update: UpdateConfig = UpdateConfig()
    parity: ParityConfig = ParityConfig()
    monitor: MonitorConfig = MonitorConfig()
    eval: EvalConfig = EvalConfig()
    sandbox: SandboxConfig = SandboxConfig()

    @model_validator(mode="after")
    def _seeds_fit(self) -> Self:
        if self.seeding.tasks > self.buffer.capacity:
            raise ValueError(
                f"seeding.tasks is {self.seeding.tasks} and a buffer keeps {self.buffer.capacity}: "
                "raise buffer.capacity or lower seeding.tasks"
            )
        return self
