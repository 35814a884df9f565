"""A run ends in time wherever it is, and says at its end what it came to."""

import json
import re
import shlex
from pathlib import Path


def test_the_time_limit_ends_a_seeding_that_would_go_on_for_hours(train, tmp_path):
    """All its proposals are one batch: the limit is looked at while tokens are sampled."""
    many = {"seeding.proposals": 10**5, "seeding.batch": 10**5}
    endless = {"seeding.tasks": 10**6, "buffer.capacity": 10**6} | many
    limit = {"run.dir": tmp_path, "run.name": "one", "run.time_limit_minutes": 0.02}
    shown = train(**endless, **limit)
    assert "verdict: nothing was learnt: no step was finished." in shown
    assert not (tmp_path / "one" / "metrics.jsonl").read_text()


def test_a_short_run_is_no_success_and_its_model_is_of_use(train, tmp_path):
    shown = train(**{"run.dir": tmp_path / "my runs", "run.name": "one", "run.steps": 1})
    said = " ".join(shown.split())  # lines are broken at the console's width
    short = r"too short to learn: 1 step\. A step took \d+:\d\d here"
    assert re.search(rf"verdict: ({short}|nothing was learnt in 1 step: )", said)
    typed = shown[shown.index("a plain Hugging Face folder") :].splitlines()[1:]
    chat, serve, push, export = (shlex.split(line, comments=True) for line in typed if line)
    model = Path(chat[-1])
    assert model == tmp_path / "my runs" / "one" / "checkpoints" / "step-1" / "model"
    assert json.loads((model / "config.json").read_text())["model_type"] == "llama"
    assert serve[-1] == push[-1] == str(model)
    assert export[-3:] == ["export", str(tmp_path / "my runs" / "one"), "DIR"]


def test_what_was_exported_loads_in_transformers(train, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    train(**{"run.dir": tmp_path, "run.name": "one", "run.steps": 1})
    train("export", str(tmp_path / "one"), str(tmp_path / "model"))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    said = tokenizer.apply_chat_template([{"role": "user", "content": "2 + 2?"}], tokenize=False)
    ids = tokenizer(said, return_tensors="pt").input_ids
    assert model.generate(ids, max_new_tokens=3, do_sample=False).shape[1] > ids.shape[1]
    assert (tmp_path / "model" / "README.md").read_text().startswith("---\nlicense: other\n")
