"""MBPP+ (Liu et al., arXiv 2305.01210, evalplus): a part of MBPP with many more tests."""

from __future__ import annotations

from azr_fast.evaluate.benchmark import Failed, Hub, Record
from azr_fast.evaluate.benchmarks.mbpp import Mbpp
from azr_fast.evaluate.differential import Differential, inputs_of
from azr_fast.evaluate.mbpp_types import digit_distance, pyramid_surface, restorer
from azr_fast.evaluate.programs import NUMERIC, Budget
from azr_fast.sandbox.values import parse, parse_arguments
from azr_fast.types import JSON, Task

# The authors judge these otherwise (evalplus 0.3.1): by whether something is returned, or as sets.
_WHETHER = {"check_str", "text_match_three", "text_starta_endb"}
_AS_SETS = {
    "similar_elements", "find_char_long", "common_in_nested_lists", "extract_singly", "larg_nnum",
    "intersection_array", "find_dissimilar", "Diff",
}  # fmt: skip


class MbppPlus(Differential, Mbpp):
    """Judged by what the right answer returns; the hub's records bring a test, and no inputs."""

    name, family = "mbpp-plus", "mbpp"
    hub = Hub("evalplus/mbppplus")
    fields = (
        "task_id, prompt, and either entry_point, canonical_solution, base_input, plus_input and "
        "atol (evalplus release) or code, test_list and test (hub)"
    )
    budget = Budget(cpu_seconds=60.0, memory_mib=4096, pool=NUMERIC)

    def task(self, record: Record) -> Task:
        if "base_input" not in record:
            return super().task(record)
        number = int(str(record["task_id"]).rpartition("/")[2])
        payload: dict[str, JSON] = {
            "text": str(record["prompt"]).strip().strip('"').strip(),
            "entry": str(record["entry_point"]),
            "gold": str(record["prompt"]) + str(record["canonical_solution"]),
            "test": "",
            "inputs": inputs_of(record, restorer(number)),
            "tolerance": float(record["atol"]),
        }
        return self.make_task(record["task_id"], payload)

    def asks_whether(self, task: Task) -> bool:
        return task.payload["entry"] in _WHETHER

    def judge_value(self, task: Task, question: str, value: str, expected: str) -> None:
        """The authors let some functions return what their right answer does not."""
        if not self._is_allowed(str(task.payload["entry"]), question, parse(value), expected):
            super().judge_value(task, question, value, expected)

    def _is_allowed(self, entry: str, question: str, value: object, expected: str) -> bool:
        if entry in _AS_SETS:
            return _as_set(value) == _as_set(parse(expected)) or _refuse(question, value)
        if entry == "are_equivalent":
            return isinstance(value, bool)
        if entry == "sum_div":
            return value == 0
        if entry == "surface_Area":
            return isinstance(value, int | float) and value == pyramid_surface(question)
        if entry == "digit_distance_nums":
            first, second = parse_arguments(question)
            return value == digit_distance(str(first), str(second))
        return False


def _as_set(value: object) -> frozenset[object] | None:
    try:
        return frozenset(value)  # type: ignore[call-overload, no-any-return]
    except TypeError:
        return None


def _refuse(question: str, value: object) -> bool:
    raise Failed("wrong_output", f"f({question[:100]}) gave {value!r:.100}")
