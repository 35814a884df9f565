"""`azr-fast` as the documented commands run it here: what trains does a step of a tiny model.

The words are those that are printed; only those below are added, for which a real run would need
hours, or a real model.
"""

import os
import sys

from azr_fast.cli.main import main

TINY = {
    "model.name": os.environ["AZR_DOCS_MODEL"],
    "model.dtype": "float32",
    "rollout.engine": "transformers",
    "rollout.max_new_tokens": "8",
    "rollout.max_prompt_tokens": "3000",
    "game.kinds": "deduction",
    "play.proposals": "2",
    "play.solves": "2",
    "play.price_samples": "2",
    "seeding.tasks": "0",
    "sandbox.zygotes": "2",
    "run.steps": "1",
}


def adapted(words):
    """The same command, made small."""
    if words[:1] == ["train"] and "--dry-run" not in words and "--help" not in words:
        keys = {"run.steps": "2"} if "--resume" in words else TINY
        return [*words, *(word for key, value in keys.items() for word in (f"--{key}", value))]
    if words[:1] == ["export"] and "--step" in words:
        words[words.index("--step") + 1] = "1"  # the step of the run that is there
    return words


if __name__ == "__main__":
    typed = sys.argv[1:]
    code = main(adapted(typed))
    sys.exit(0 if typed == ["doctor"] and code == 1 else code)  # this machine may lack something
