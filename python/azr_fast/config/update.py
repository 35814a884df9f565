"""Keys of the update: AdamW, what tokens are trained for, how often a batch is learnt from."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from azr_fast.config.section import Decay, Fraction, NonNegative, Section


class UpdateConfig(Section):
    """The policy update."""

    lr: PositiveFloat = Field(default=1e-6, description="AdamW learning rate, constant")
    warmup_steps: int = Field(default=0, ge=0, description="updates over which lr rises linearly")
    betas: tuple[Decay, Decay] = Field(default=(0.9, 0.999), description="AdamW betas")
    weight_decay: NonNegative = Field(default=0.01, description="AdamW weight decay")
    grad_clip: PositiveFloat = Field(default=1.0, description="largest gradient norm")
    entropy: float = Field(default=0.001, description="coefficient of the entropy bonus")
    kl: NonNegative = Field(
        default=0.0,
        description="coefficient of the k3 estimate of the KL divergence to the model that the run "
        "began with, of which a copy is kept in memory; 0: neither",
    )
    epochs: PositiveInt = Field(
        default=1, description="times that a step learns from each answer; more need a correction"
    )
    minibatches: PositiveInt = Field(
        default=1,
        description="optimizer steps of an epoch, each with its part of the answers; more need a "
        "correction",
    )
    correction: Literal["none", "clip", "truncate"] = Field(
        default="none",
        description="of weights that have moved since sampling: clip: PPO's clipped ratio; "
        "truncate: importance weights, cut at truncate_at",
    )
    clip_low: Fraction = Field(default=0.2, description="with clip: ratios count from 1 - this")
    clip_high: NonNegative = Field(default=0.2, description="with clip: ratios count to 1 + this")
    dual_clip: Annotated[float, Field(gt=1.0)] | None = Field(
        default=None,
        description="with clip: most times that a bad answer counts, whatever its ratio (dual "
        "clip); unset: no bound",
    )
    truncate_at: PositiveFloat = Field(
        default=2.0, description="with truncate: the largest importance weight"
    )
    pack_tokens: PositiveInt = Field(
        default=16384, description="most tokens in one packed sequence"
    )
    loss: Literal["auto", "triton", "cpu", "torch"] = Field(
        default="auto", description="implementation of the one-pass policy loss"
    )
    recompute: bool = Field(default=False, description="recompute activations in the backward pass")

    @model_validator(mode="after")
    def _corrections_fit(self) -> Self:
        if self.correction == "none" and self.epochs * self.minibatches > 1:
            raise ValueError(
                "epochs and minibatches above 1 learn from answers of weights that have moved: set "
                "correction to clip or truncate"
            )
        if self.dual_clip is not None and self.correction != "clip":
            raise ValueError("dual_clip bounds a clipped ratio: set correction = clip, or unset it")
        return self
