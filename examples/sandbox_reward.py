"""The sandbox as a reward function: for TRL's GRPOTrainer, for verifiers, or for a loop of yours.

    python examples/sandbox_reward.py                    scores four answers
    python examples/sandbox_reward.py --train [MODEL]    a few steps of TRL's GRPOTrainer

What the model wrote runs in azr-sandboxd. The expected outputs never go there: values come back as
text, are parsed as data, and are compared here.
"""

import asyncio
import re
import sys
from concurrent.futures import ThreadPoolExecutor

from azr_fast.config.load import load_config
from azr_fast.sandbox.equality import equal
from azr_fast.sandbox.launcher import open_sandbox
from azr_fast.sandbox.values import parse

FENCE = re.compile(r"```(?:python)?\n(.*?)```", re.DOTALL)


class SandboxReward:
    """The share of test cases that a program passes; 0 for an answer without a program.

    Thread-safe: many answers are scored at once, over one daemon.
    """

    __name__ = "sandbox_reward"  # by which TRL logs it

    def __init__(self, client, threads=16):
        self.client = client
        self.pool = ThreadPoolExecutor(threads)

    def score(self, answer, entry, arguments, expected):
        """One answer. `arguments`: texts of argument lists, "[3, 1], 2"; `expected`: Python
        literals of what each should give."""
        found = FENCE.findall(answer)
        if not found:
            return 0.0
        reply = self.client.call(found[-1], entry, arguments, isolate=True)
        passed = [
            result.verdict == "ok" and equal(parse(result.value), parse(text))
            for result, text in zip(reply.results, expected, strict=False)  # none without a program
        ]
        return sum(passed) / len(expected)

    def __call__(self, completions, entry, arguments, expected, **_):
        """What GRPOTrainer calls: completions, and a list per column of the data set. A completion
        is a text, or a conversation whose last message is the answer."""
        texts = [one if isinstance(one, str) else one[-1]["content"] for one in completions]
        return list(self.pool.map(self.score, texts, entry, arguments, expected))

    async def verifiers(self, trace, data):
        """The score of a rollout of verifiers, whose task data have the three fields:

        class Write(vf.Task[WriteData, vf.State]):  # import verifiers.v1 as vf
            @vf.reward
            async def passes(self, trace) -> float:
                return await reward.verifiers(trace, self.data)
        """
        cases = data.entry, data.arguments, data.expected
        return await asyncio.to_thread(self.score, trace.last_reply, *cases)


TASKS = [
    {
        "prompt": "Write a Python function `top(xs, n)` that gives the n largest, largest first.",
        "entry": "top",
        "arguments": ["[3, 1, 2], 2", "[], 3", "[5, 5, 1], 1"],
        "expected": ["[3, 2]", "[]", "[5]"],
    }
]
ANSWERS = [
    "```python\ndef top(xs, n):\n    return sorted(xs, reverse=True)[:n]\n```",
    "```python\ndef top(xs, n):\n    return [max(xs)] * n\n```",
    "```python\nimport os\ndef top(xs, n):\n    os._exit(0)\n```",
    "It is easy to see.",
]


def train(reward, model="Qwen/Qwen2.5-Coder-0.5B-Instruct", **options):
    """A few steps of TRL; the columns of TASKS become arguments of the reward."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    settings = {
        "output_dir": "grpo",
        "max_steps": 3,
        "num_generations": 4,
        "report_to": "none",
        **options,
    }
    trainer = GRPOTrainer(
        model=str(model),
        reward_funcs=reward,
        args=GRPOConfig(**settings),
        train_dataset=Dataset.from_list(TASKS * 16),
    )
    trainer.train()
    return trainer


def main():
    with open_sandbox(load_config("cpu").sandbox) as client:
        reward = SandboxReward(client)
        if "--train" in sys.argv:
            train(reward, *sys.argv[2:3])
            return
        columns = {name: [TASKS[0][name]] * len(ANSWERS) for name in TASKS[0]}
        for answer, value in zip(ANSWERS, reward(completions=ANSWERS, **columns), strict=True):
            print(f"{value:.2f}  {answer.splitlines()[-2 if '```' in answer else 0].strip()}")


if __name__ == "__main__":
    main()
