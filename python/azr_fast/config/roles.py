"""Keys that say whose weights speak and who learns when."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from azr_fast.config.section import Fraction, Section

Weights = Literal["shared", "separate", "lora"]


class RolesConfig(Section):
    """Whose weights each role speaks and learns with.

    Adapters are a matter of both roles: the weights below an adapter must stand still, so that no
    role can learn with them whole.
    """

    proposer: Weights = Field(
        default="shared",
        description="shared: one model for both roles; separate: a whole copy of its own, with an "
        "optimizer of its own; lora: the model stands still, and each role learns with a small "
        "adapter of its own (see lora)",
    )
    solver: Weights = Field(
        default="shared",
        description="the same for the solver; separate or lora for one role is enough for both",
    )
    same_adapter: bool = Field(
        default=False, description="with lora: both roles have one adapter, not one each"
    )

    @property
    def adapters(self) -> bool:
        """Whether adapters learn, and the weights of the model stand still."""
        return "lora" in (self.proposer, self.solver)

    @property
    def apart(self) -> bool:
        """Whether proposer and solver have two sets of what learns."""
        shared = (self.proposer, self.solver) == ("shared", "shared")
        return not (shared or self.same_adapter)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if {"lora", "separate"} <= {self.proposer, self.solver}:
            raise ValueError(
                "an adapter for one role and a whole copy for the other do not go together: set "
                "both to lora, or both to separate"
            )
        if self.same_adapter and not self.adapters:
            raise ValueError("same_adapter is about adapters: set proposer = lora, or leave it out")
        return self


class ScheduleConfig(Section):
    """Who learns when."""

    name: Literal["joint", "alternate"] = Field(
        default="joint",
        description="joint: in every step tasks are posed and solved and all roles learn; "
        "alternate: iterations of proposer steps, pool steps and solver steps (Agent0, R-Zero)",
    )
    iterations: PositiveInt = Field(default=3, description="T, with alternate")
    proposer_steps: int = Field(
        default=5,
        ge=0,
        description="steps of an iteration in which the proposer learns from what the solver, "
        "which does not, makes of its tasks",
    )
    pool_steps: PositiveInt = Field(
        default=1, description="steps of an iteration that fill its pool of tasks; none learns"
    )
    pool_proposals: PositiveInt = Field(
        default=64, description="proposals per task type in each pool step"
    )
    band_low: Fraction = Field(
        default=0.25, description="least share of right (or agreeing) solutions in the pool"
    )
    band_high: Fraction = Field(default=0.75, description="largest such share in the pool")
    solver_steps: int = Field(
        default=15,
        ge=0,
        description="steps of an iteration in which the solver learns from play.solves tasks per "
        "type of the pool, with play.solve_samples solutions each",
    )

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.band_low > self.band_high:
            raise ValueError("band_low is above band_high: no task lies between them")
        if not self.proposer_steps and not self.solver_steps:
            raise ValueError("nobody learns: raise proposer_steps or solver_steps")
        return self
