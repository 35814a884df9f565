"""A frozen probe of what AZR trains: 200 programs of depth 1 to 5, always the same, no data needed.

They come from a seed of their own, so that no run has them as its tasks but by chance.
"""

from __future__ import annotations

from collections.abc import Iterable

from azr_fast.evaluate.benchmark import Record
from azr_fast.evaluate.benchmarks.cruxeval import CruxevalOutput
from azr_fast.evaluate.benchmarks.cruxeval_input import CruxevalInput
from azr_fast.evaluate.probe_programs import probe_records


class ProbeDeduction(CruxevalOutput):
    """Predict the output."""

    name, family, hub = "azr-probe-deduction", "azr-probe", None

    def records(self) -> Iterable[Record]:
        return probe_records()


class ProbeAbduction(CruxevalInput):
    """Find an input."""

    name, family, hub = "azr-probe-abduction", "azr-probe", None

    def records(self) -> Iterable[Record]:
        return probe_records()
