"""The benchmarks that are installed, found by their entry points.

A package adds one by an entry point in the group `azr_fast.benchmarks` whose name is the
benchmark's and whose object is a subclass of `Benchmark`; docs/write-a-benchmark.md shows a whole
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from azr_fast.config.installed import installed, load
from azr_fast.config.load import nearest
from azr_fast.errors import UserError
from azr_fast.evaluate.benchmark import Benchmark
from azr_fast.observe.places import spelled

GROUP = "azr_fast.benchmarks"


def benchmark_names() -> list[str]:
    """Every benchmark that is installed."""
    return sorted(installed(GROUP))


@cache
def find_benchmark(name: str) -> type[Benchmark]:
    """The benchmark of that name; `humaneval+` is another spelling of `humaneval-plus`.

    Raises UserError when it is not installed or cannot be loaded.
    """
    point = installed(GROUP).get(spelled(name))
    if point is None:
        names = benchmark_names()
        raise UserError(
            f"no benchmark {name!r} is installed: the nearest is {nearest(name, names)!r} "
            f"(benchmarks: {', '.join(names)})"
        )
    found = load(point, "benchmark")
    if not (isinstance(found, type) and issubclass(found, Benchmark) and found.name == point.name):
        raise UserError(
            f"the benchmark {name!r} is broken: {point.value} is no Benchmark of that name"
        )
    return found


def find_benchmarks(names: Sequence[str], form: str = "") -> list[type[Benchmark]]:
    """The benchmarks of these names, each of which has the form, unless that is empty."""
    found = list(dict.fromkeys(find_benchmark(name) for name in names))
    for benchmark in found:
        if form and form not in benchmark.forms:
            raise UserError(
                f"{benchmark.name} has no form {form!r}: its forms are {', '.join(benchmark.forms)}"
            )
    return found
