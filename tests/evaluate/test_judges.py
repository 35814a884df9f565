"""Every benchmark: its authors' right answer passes, and what is none scores 0, whatever it tries."""

import pytest

from azr_fast.evaluate.benchmark import Tools
from azr_fast.evaluate.recorded import replay
from azr_fast.evaluate.records import load_tasks
from azr_fast.evaluate.registry import find_benchmark
from azr_fast.evaluate.store import digest_of
from azr_fast.evaluate.validate import validate

from . import records as made

CASES = {
    "cruxeval-o": [made.cruxeval()],
    "cruxeval-i": [made.cruxeval()],
    "humaneval": [made.HUMANEVAL],
    "humaneval-plus": [made.HUMANEVAL_PLUS, made.HUMANEVAL_PLUS_HUB],
    "mbpp": [made.MBPP, made.MBPP_SANITIZED],
    "mbpp-plus": [made.MBPP_PLUS],
    "gsm8k": [made.GSM8K],
    "math500": [made.MATH500],
    "livecodebench-execution": [made.EXECUTION],
}
PROBE = "100778229590b5ee2568f64f1ace2997efe3b76e"  # a digest of all its tasks
SQUARE = "```python\nn = int(input())\nprint({0})\n```"


@pytest.mark.parametrize("name", CASES)
def test_gold_passes_and_nothing_else_does(name, tools: Tools, runner):
    kind = find_benchmark(name)
    for form in kind.forms:
        benchmark = kind(tools, form)
        tasks = [benchmark.task(record) for record in CASES[name]]
        checks = runner.run(validate(benchmark, tasks))
        assert {check.kind: check.wrong for check in checks if check.wrong} == {}
        assert {check.kind: check.passed for check in checks}["gold answer"] == len(tasks)
        assert len(checks) >= 6


@pytest.mark.parametrize("name", ["azr-probe-deduction", "azr-probe-abduction"])
def test_the_probe_is_frozen_and_its_outputs_are_what_its_programs_give(name, tools, runner):
    benchmark = find_benchmark(name)(tools)
    tasks = load_tasks(benchmark, None)
    assert [task.key for task in tasks] == [f"{d}/{n}" for d in range(1, 6) for n in range(40)]
    assert len({task.payload["program"] for task in tasks}) == 200
    assert digest_of([dict(task.payload) for task in tasks]) == PROBE
    again = find_benchmark("cruxeval-i")(tools)  # which runs the program
    verdicts = [runner.run(replay(again, task, [again.gold(task)])) for task in tasks[::5]]
    assert {verdict.code for verdict in verdicts} == {"ok"}


@pytest.mark.parametrize("name", CASES)
def test_a_prompt_does_not_tell_the_answer(name, judge):
    one = judge(name, CASES[name][0])
    assert one.code(one.prompt()) != "ok"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("<answer>assert f('x', 3) == 'xxx'</answer>", "ok"),
        ("<answer>f('x', 3) == 'x' * 3</answer>", "ok"),
        ("<answer>'xxx'</answer>", "ok"),
        ("I think so: <answer>'a'</answer> no, <answer>'xxx'</answer>", "ok"),
        ("<think><answer>'a'</answer></think>assert f('x', 3) == 'xxx'", "ok"),
        ("<answer>assert f('x', 3) == 'xx'</answer>", "wrong_output"),
        ("<answer>assert f('x', 3) == xxx</answer>", "no_value"),
        ("<answer>assert f('x', 3) == f('x', 3)</answer>", "no_value"),
        ("<answer>''.join(c for c in ['xxx'])</answer>", "ok"),
        ("<answer>open('/etc/passwd').read()</answer>", "no_value"),
        ("<answer>(1).__class__</answer>", "no_value"),
        ("<answer>9 ** 9 ** 9 ** 9</answer>", "timeout"),
        ("<answer>[</answer>", "no_expression"),
        ("", "no_answer"),
    ],
)
def test_outputs_are_values(judge, monkeypatch, answer, code):
    from azr_fast.evaluate import predictions

    monkeypatch.setattr(predictions, "BUDGET", predictions.Budget(cpu_seconds=0.3))
    assert judge("cruxeval-o", made.cruxeval()).code(answer) == code


@pytest.mark.parametrize(
    ("code", "output", "answer", "verdict"),
    [
        ("def f(a, b):\n    return a * b", "'xxx'", "assert f(3, 'x') == 'xxx'", "ok"),
        ("def f(a, b):\n    return a * b", "'xxx'", "'x', 3", "ok"),
        ("def f(a, b):\n    return a * b", "'xxx'", "f(b=3, a='x')", "ok"),
        ("def f(a, b):\n    return a * b", "'xxx'", "'x', 4", "wrong_output"),
        ("def f(a, b):\n    return a * b", "'xxx'", "'x'", "error"),
        ("def f(a, b):\n    return a * b", "'xxx'", "1) if 0 else ('xxx'", "no_arguments"),
        ("def f(a, b):\n    return a * b", "'xxx'", "'xxx', 1 # ) ==", "ok"),
        (
            "base = [1, 2]\ndef f(x, g):\n    g(x)\n    return x",
            "[2, 1]",
            "base[:], lambda x: x.reverse()",
            "ok",
        ),
        ("def f(d):\n    return len(d)", "2", "dict(a=1, b=2)", "ok"),
        ("def f(d):\n    return len(d)", "2", "''.join(['A'] * 2)", "ok"),
        (
            "def f(x):\n    return x + 1",
            "8",
            "type('A', (), {'__add__': lambda s, o: 8})()",
            "no_value",
        ),
        ("def f(x):\n    return x", "8", "[y := 8][0]", "no_value"),
    ],
)
def test_inputs_are_run(judge, code, output, answer, verdict):
    one = judge("cruxeval-i", made.cruxeval(code, "None", output))
    assert one.code(f"<answer>{answer}</answer>") == verdict


def test_the_games_own_forms_are_read_as_the_game_reads_them(judge):
    one = judge("cruxeval-o", made.cruxeval(), "compact")
    assert one.prompt().endswith("```output\n")
    assert "return items[0], len(items)" not in one.prompt()
    assert one.code("```output\n'xxx'\n```") == "ok"
    assert one.code("'xxx'") == "no_answer"
    assert "<think>" in judge("cruxeval-i", made.cruxeval(), "full").prompt()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (
            "```python\ndef areas(radii):\n    return [twice(math.pi * r * r) for r in radii]\n```",
            "ok",
        ),
        ("    return [2 * math.pi * r * r for r in radii]\n", "ok"),
        ("```python\n    return [2 * math.pi * r * r for r in radii]\n```", "ok"),
        (
            "Sure:\n```python\nimport math\ndef areas(radii):\n    return [2 * math.pi * r ** 2 for r in radii]",
            "ok",
        ),
        ("```\ndef areas(r):\n    return [0.0] * len(r)\n```", "failed_test"),
        ("```python\ndef areas(r):\n    return (x for x in r)\n```", "not_plain"),
        ("```python\ndef areas(r):\n    while True: pass\n```", "timeout"),
        ("```python\ndef area(r):\n    return []\n```", "failed_test"),
        ("```python\ndef areas(r) return\n```", "no_program"),
        ("I do not know.", "no_program"),
    ],
)
def test_functions_are_called(judge, monkeypatch, answer, code):
    from azr_fast.evaluate.benchmarks.humaneval import HumanEval
    from azr_fast.evaluate.programs import Budget

    monkeypatch.setattr(HumanEval, "budget", Budget(cpu_seconds=1.0))
    assert judge("humaneval", made.HUMANEVAL).code(answer) == code


def test_a_program_that_sleeps_is_ended(judge, monkeypatch):
    from azr_fast.evaluate import programs

    monkeypatch.setattr(programs, "_FIRST_WALL", (0, 1))
    sleeps = "import time\ndef areas(r):\n    time.sleep(3600)"
    assert judge("humaneval", made.HUMANEVAL).code(f"```python\n{sleeps}\n```") == "timeout"


def test_a_program_that_a_busy_machine_held_up_gets_the_time_it_needs(tools, runner, monkeypatch):
    from azr_fast.evaluate import programs

    monkeypatch.setattr(programs, "_FIRST_WALL", (0, 0.2))  # less than it works
    works = "def f():\n    for _ in range(30_000_000): pass\n    return 1"
    run = tools.programs.values(works, "f", [""], programs.Budget(cpu_seconds=60))
    assert runner.run(run) == ["1"]


def test_an_item_whose_own_answer_fails_is_skipped_and_no_model_is_blamed(judge):
    broken = made.HUMANEVAL_PLUS | {"canonical_solution": "    raise ValueError('ours')\n"}
    verdict = judge("humaneval-plus", broken).verdict("```python\ndef areas(r):\n    return r\n```")
    assert (verdict.status, verdict.code) == ("failed", "gold_failed")
    assert "ValueError: ours" in verdict.evidence


def test_values_of_kin_count_as_python_compares_them(judge):
    counter = "from collections import Counter\ndef count_words(t):\n    return Counter(t.split())"
    pairs = "def count_words(t):\n    return [(w, t.split().count(w)) for w in t.split()]"
    assert judge("mbpp", made.MBPP).code(f"```python\n{counter}\n```") == "ok"
    assert judge("mbpp", made.MBPP).code(f"```python\n{pairs}\n```") == "failed_test"


def test_programs_may_use_numpy(judge):
    program = "import numpy as np\ndef areas(radii):\n    return (2 * np.pi * np.array(radii) ** 2).tolist()"
    assert judge("humaneval-plus", made.HUMANEVAL_PLUS).code(f"```python\n{program}\n```") == "ok"


def test_mbpp_plus_gets_its_types_back_and_its_authors_comparison(judge):
    one = judge("mbpp-plus", made.MBPP_PLUS)
    assert one.task.payload["inputs"] == ["(1, 2), (2, 3)", "(), ()", "('a', 1), (1, 'a')"]
    in_a_list = "def similar_elements(a, b):\n    assert type(a) is tuple\n    return [x for x in b if x in a]"
    assert one.code(f"```python\n{in_a_list}\n```") == "ok"  # compared as sets


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (r"So \boxed{0.25}.", "ok"),
        (r"\boxed{\dfrac14}", "ok"),
        (r"\boxed{1} no: \boxed{\frac{2}{8}}", "ok"),
        ("The answer is 1/4.", "ok"),
        (r"\boxed{\frac{1}{3}}", "wrong_answer"),
        ("One quarter", "no_answer"),
        (r"\boxed{" + "9" * 10000 + "}", "wrong_answer"),
        (r"\boxed{9^{9^{9^{9}}}}", "wrong_answer"),
    ],
)
def test_answers_are_compared_as_mathematics(judge, answer, code):
    assert judge("math500", made.MATH500).code(answer) == code


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"id": 3, "problem": "p", "answer": "33", "url": "u"}, "33"),
        ({"question": "p", "answer": 27.0}, "27"),
        ({"ID": "2024-I-1", "Problem": "p", "Answer": 204}, "204"),
        (
            {"problem": "p", "solution": r"Thus $\boxed{4.5e33}$ erg", "type": "x", "idx": 0},
            "4.5e33",
        ),
        ({"question": "p", "final_answer": ["$2$"], "id": 1, "answer_type": "Numerical"}, "2"),
    ],
)
def test_the_names_of_all_six_sets_are_known(judge, record, expected):
    one = judge("olympiadbench", record)
    assert one.task.payload == {"question": "p", "answer": expected}


@pytest.mark.parametrize(
    ("expression", "code"),
    [("n * n", "ok"), ("f'{n * n}.0 '", "ok"), ("9", "wrong_output"), ("1 / 0", "error")],
)
def test_contests_are_judged_by_hidden_tests_too(judge, expression, code):
    one = judge("livecodebench", made.STDIN)
    assert one.task.payload["tests"] == [["3\n", "9\n"], ["5\n", "25\n"]]
    assert one.code(SQUARE.format(expression)) == code


def test_methods_of_contests_get_json(judge):
    one, head = (
        judge("livecodebench", made.METHOD),
        "class Solution:\n    def pairs(self, nums: List[int]):\n",
    )
    assert one.code(f"```python\n{head}        return [(n, 2 * n) for n in nums]\n```") == "ok"
    assert one.code(f"```python\n{head}        return nums\n```") == "wrong_output"


def test_hidden_tests_that_would_run_code_are_refused(judge):
    import base64
    import os
    import pickle
    import zlib

    class Evil:
        def __reduce__(self):
            return os.system, ("true",)

    packed = base64.b64encode(zlib.compress(pickle.dumps(Evil()))).decode()
    with pytest.raises(ValueError, match=r"hidden tests name posix\.system"):
        judge("livecodebench", made.STDIN | {"private_test_cases": packed})
