"""Records in the forms of the benchmarks' authors, with contents of our own."""

import base64
import json
import pickle
import zlib


def cruxeval(
    code="def f(a, b):\n    return a * b", given="'x', 3", output="'xxx'", item="sample_0"
):
    return {"code": code, "input": given, "output": output, "id": item}


HUMANEVAL = {
    "task_id": "HumanEval/900",
    "prompt": (
        "import math\n\ndef twice(x):\n    return 2 * x\n\n\n"
        'def areas(radii):\n    """Areas of circles, doubled.\n    >>> areas([0.0])\n    [0.0]\n    """\n'
    ),
    "entry_point": "areas",
    "canonical_solution": "    return [twice(math.pi * r * r) for r in radii]\n",
    "test": (
        "import random\n\nMETADATA = {'author': 'us'}\n\n\ndef check(candidate):\n"
        "    assert abs(candidate([1.0])[0] - 6.283185) < 1e-3\n"
        "    for _ in range(5):\n        r = random.random()\n"
        "        assert abs(candidate([r])[0] - twice(math.pi * r * r)) < 1e-6\n"
        "    assert candidate([]) == []\n"
    ),
}
HUMANEVAL_PLUS = {
    **{key: HUMANEVAL[key] for key in ("task_id", "prompt", "entry_point", "canonical_solution", "test")},
    "contract": "", "atol": 0,
    "base_input": [[[1.0]], [[]]], "plus_input": [[[2.0, 3.5]], [[0.1] * 20]],
}  # fmt: skip
HUMANEVAL_PLUS_HUB = {
    **{key: HUMANEVAL[key] for key in ("task_id", "prompt", "entry_point", "canonical_solution")},
    "test": (
        "import numpy as np\n\ndef assertion(out, exp, atol):\n"
        "    assert out == exp or np.allclose(out, exp, rtol=1e-07, atol=1e-6)\n\n"
        "def check(candidate):\n    inputs = [[[1.0]], [[]]]\n"
        "    results = [[6.283185307179586], []]\n"
        "    for i, (inp, exp) in enumerate(zip(inputs, results)):\n"
        "        assertion(candidate(*inp), exp, 0)\n"
    ),
}
MBPP = {
    "task_id": 901,
    "text": "Write a function to count the words of a text.",
    "code": "from collections import Counter\r\ndef count_words(text):\r\n  return Counter(text.split())",
    "test_setup_code": "",
    "test_list": [
        "assert count_words('a b a') == {'a': 2, 'b': 1}",
        "assert count_words('') == {}",
    ],
    "challenge_test_list": [],
}
MBPP_SANITIZED = {
    "source_file": "x", "task_id": 902, "prompt": "Write a function to find the square root.",
    "code": "import math\ndef root(x):\n  return math.sqrt(x)",
    "test_imports": ["import math"],
    "test_list": ["assert math.isclose(root(2), 1.41421, rel_tol=0.001)"],
}  # fmt: skip
MBPP_PLUS = {
    "task_id": "Mbpp/2", "entry_point": "similar_elements",  # whose arguments are tuples
    "prompt": '"""\nWrite a function to find what two tuples share.\nassert similar_elements((1, 2), (2, 3)) == (2,)\n"""\n',
    "canonical_solution": "\ndef similar_elements(a, b):\n  return tuple(set(a) & set(b))\n",
    "base_input": [[[1, 2], [2, 3]]], "plus_input": [[[], []], [["a", 1], [1, "a"]]],
    "atol": 0, "contract": "", "assertion": "assert similar_elements((1, 2), (2, 3)) == (2,)",
}  # fmt: skip
GSM8K = {
    "question": "Two sacks of 600 nuts: how many nuts?",
    "answer": "2*600=<<2*600=1200>>1200\n#### 1,200",
}
MATH500 = {
    "problem": "Half of one half?", "solution": r"It is $\boxed{\frac{1}{4}}$.", "answer": r"\frac{1}{4}",
    "subject": "Algebra", "level": 1, "unique_id": "test/algebra/1.json",
}  # fmt: skip
EXECUTION = {
    "question_id": 1, "contest_id": "c", "difficulty": "easy", "function_name": "total", "id": "sample_7",
    "code": "def total(numbers: List[int], twice: bool) -> int:\n    return sum(numbers) * (1 + twice)",
    "input": "total(numbers = [1, 2], twice = True)", "output": "6", "numsteps": 2, "problem_id": 3,
}  # fmt: skip
_HIDDEN = json.dumps([{"input": "5\n", "output": "25\n", "testtype": "stdin"}])
STDIN = {
    "question_title": "Square", "question_content": "Read n, print n squared.", "platform": "atcoder",
    "question_id": "abc900_a", "starter_code": "", "difficulty": "easy", "metadata": "{}",
    "public_test_cases": json.dumps([{"input": "3\n", "output": "9\n", "testtype": "stdin"}]),
    "private_test_cases": base64.b64encode(zlib.compress(pickle.dumps(_HIDDEN))).decode(),
}  # fmt: skip
METHOD = {
    **STDIN, "question_id": "900", "question_content": "Pair each number with its double.",
    "starter_code": "class Solution:\n    def pairs(self, nums: List[int]) -> List[List[int]]:\n        ",
    "metadata": json.dumps({"func_name": "pairs"}),
    "public_test_cases": json.dumps([{"input": "[1, 2]", "output": "[[1, 2], [2, 4]]", "testtype": "functional"}]),
    "private_test_cases": json.dumps([{"input": "[]", "output": "[]", "testtype": "functional"}]),
}  # fmt: skip
