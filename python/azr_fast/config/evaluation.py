"""Keys of evaluations within a run."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from azr_fast.config.section import Section


class EvalConfig(Section):
    """Benchmarks that a run is scored on now and then, greedily, on the same items each time."""

    every: int = Field(default=0, ge=0, description="steps between evaluations; 0: none")
    benchmarks: tuple[str, ...] = Field(
        default=("azr-probe-deduction", "azr-probe-abduction"),
        description="what azr-fast eval --list lists; the probes need no data",
    )
    data: tuple[str, ...] = Field(
        default=(),
        description="FILE or NAME=FILE with records; empty: the Hugging Face hub",
    )
    form: str = Field(default="", description="of prompts; empty: each benchmark's first")
    items: PositiveInt = Field(default=100, description="items of each benchmark, always the same")
    score: str = Field(
        default="", description="the benchmark that patience goes by; empty: the mean of all"
    )
    patience: int = Field(
        default=0,
        ge=0,
        description="evaluations in a row without a better score before the run stops; 0: never",
    )
