"""What every section of a config has in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
NonNegative = Annotated[float, Field(ge=0.0)]


class Section(BaseModel):
    """A table of the TOML file. Unknown keys and changes after loading are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
