"""Keys of adapters, which learn in place of the weights of a model."""

from __future__ import annotations

from pydantic import Field, PositiveFloat, PositiveInt

from azr_fast.config.section import Section


class LoraConfig(Section):
    """Low-rank adapters, where `roles` asks for them."""

    rank: PositiveInt = Field(
        default=16, description="width of an adapter: rows of A and columns of B"
    )
    alpha: PositiveFloat = Field(
        default=32.0, description="a layer's weight is W + alpha / rank * B A"
    )
    targets: tuple[str, ...] = Field(
        default=(),
        description="layers that have an adapter, such as q_proj,v_proj; empty: every linear layer "
        "but the head",
    )

    @property
    def scale(self) -> float:
        """What B A is multiplied by."""
        return self.alpha / self.rank
