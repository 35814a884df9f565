"""Every key of a run but those of its game. The description of a field is its help text on the
command line."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from azr_fast.hardware import fastest_dtype

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
NonNegative = Annotated[float, Field(ge=0.0)]


class Section(BaseModel):
    """A table of the TOML file. Unknown keys and changes after loading are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RunConfig(Section):
    """Where a run lives and how long it lasts."""

    dir: str = Field(default="runs", description="folder that holds run folders")
    name: str = Field(default="", description="name of the run folder; empty: date and time")
    seed: int = Field(default=0, ge=0, description="seed of every random choice of the run")
    steps: PositiveInt = Field(default=500, description="policy updates to make")
    time_limit_minutes: NonNegative = Field(
        default=0.0,
        description="stop cleanly this many minutes after each start, seeding included, loading "
        "not; 0: no limit",
    )
    checkpoint_every: PositiveInt = Field(default=25, description="steps between checkpoints")
    keep_checkpoints: PositiveInt = Field(default=2, description="newest checkpoints to keep")
    sample_every: PositiveInt = Field(
        default=1, description="steps between saved samples of answers"
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


class GameSection(Section):
    """The rules of the game that is played. Each game adds keys of its own."""

    name: str = Field(default="", description="the game; what is installed can be played")


class PlayConfig(Section):
    """How much is sampled in a step (paper, Algorithm 1)."""

    proposals: PositiveInt = Field(default=64, description="B: proposals per task type")
    solves: PositiveInt = Field(
        default=64, description="B: tasks solved per task type, fresh ones first"
    )
    price_samples: PositiveInt = Field(
        default=8, description="n: Monte-Carlo solutions per valid proposal"
    )
    train_on_priced_answers: bool = Field(
        default=True, description="train on the Monte-Carlo solutions too; they count as solves"
    )


class SeedingConfig(Section):
    """Filling the buffers before the first update (no weights change)."""

    tasks: int = Field(default=256, ge=0, description="valid tasks per type to collect")
    proposals: PositiveInt = Field(
        default=16384, description="most proposals of a type that are sampled for it"
    )
    batch: PositiveInt = Field(default=64, description="proposals sampled at a time")


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
    temperature: PositiveFloat = Field(default=1.0, description="sampling temperature")
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

    estimator: Literal["trr++", "global", "grpo", "dr_grpo", "rloo", "hierarchical", "rae"] = Field(
        default="trr++",
        description="trr++: normalise per task type and role (paper, section 3.3.3); global: over "
        "the batch (REINFORCE++); grpo, dr_grpo, rloo: among answers to one prompt; hierarchical: "
        "among solutions of one task and proposals from one source; rae: a moving baseline",
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
        if self.token_weighted and self.estimator in ("rloo", "rae"):
            raise ValueError(f"{self.estimator} has no weights: set token_weighted = false")
        if self.token_weighted and self.baseline == "task":
            raise ValueError("baseline = task has no weights: set token_weighted = false")
        if self.baseline == "task" and self.estimator != "trr++":
            raise ValueError(f"{self.estimator} has a baseline of its own: leave baseline = group")
        return self


class UpdateConfig(Section):
    """The policy update."""

    lr: PositiveFloat = Field(default=1e-6, description="AdamW learning rate, constant")
    warmup_steps: int = Field(default=0, ge=0, description="updates over which lr rises linearly")
    betas: tuple[Decay, Decay] = Field(default=(0.9, 0.999), description="AdamW betas")
    weight_decay: NonNegative = Field(default=0.01, description="AdamW weight decay")
    grad_clip: PositiveFloat = Field(default=1.0, description="largest gradient norm")
    entropy: float = Field(default=0.001, description="coefficient of the entropy bonus")
    pack_tokens: PositiveInt = Field(
        default=16384, description="most tokens in one packed sequence"
    )
    loss: Literal["auto", "triton", "cpu", "torch"] = Field(
        default="auto", description="implementation of the one-pass policy loss"
    )
    recompute: bool = Field(default=False, description="recompute activations in the backward pass")
    recompute_blocks: tuple[Literal["attention", "feed_forward"], ...] = Field(
        default=(),
        description="blocks of every layer whose products are computed again in the backward pass; "
        "costs less time than recompute, which does so for whole layers",
    )
    moments: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="dtype of AdamW's two moments; bfloat16 (rounded at random) takes half as much",
    )
    attention: Literal["auto", "tiles", "flex"] = Field(
        default="auto",
        description="attention over a pack; auto: products of tiles on a CPU, on a GPU one kernel "
        "a layer (FlexAttention, and a flash kernel for packs that share nothing)",
    )


class ParityConfig(Section):
    """The comparison of engine and trainer on the tokens of every step."""

    max_gap: PositiveFloat | None = Field(
        default=None,
        description="stop when the log-probs of the engine and the trainer are further apart than "
        "this, in nats a sampled token in the mean; unset: 0.15 in bfloat16, 0.001 in float32",
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
    play: PlayConfig = PlayConfig()
    seeding: SeedingConfig = SeedingConfig()
    buffer: BufferConfig = BufferConfig()
    rollout: RolloutConfig = RolloutConfig()
    advantage: AdvantageConfig = AdvantageConfig()
    update: UpdateConfig = UpdateConfig()
    parity: ParityConfig = ParityConfig()
    sandbox: SandboxConfig = SandboxConfig()
