import random

import pytest

from azr_fast.config.schema import GameConfig
from azr_fast.games.azr import AzrGame
from azr_fast.selfplay.types import Role

FORMS = ["full", "compact"]
PROGRAM = "def f(zebra, k):\n    quagga = sorted(zebra)\n    return [v * k for v in quagga]"
PAIRS = [
    ("[11, 7], 3", "[21, 33]"),
    ("[13, 5], 9", "[45, 117]"),
    ("[919], 8", "[7352]"),
    ("[823], 6", "[4938]"),
]


@pytest.fixture(params=FORMS)
def make(request, client):
    return lambda **keys: AzrGame(GameConfig(prompts=request.param, **keys), client)


def text_of(prompt):
    return "\n".join(message.content for message in prompt.messages) + prompt.prefill


@pytest.fixture
def filled(buffer, play):
    for kind in ("deduction", "abduction"):
        for n in range(20):
            buffer.add(play.triplet(kind, f"def f(x):\n    return x * {n}", f"{n}", f"{n * n}"), 0)
    return buffer


@pytest.mark.parametrize(("kind", "hidden"), [("deduction", "output"), ("abduction", "input")])
def test_a_triplet_solver_never_sees_what_it_must_find(make, play, kind, hidden):
    task = play.triplet(kind, PROGRAM, "[8111, 8117], 97", "[786767, 787349]")
    prompt = make().solve_prompt(task)
    text = text_of(prompt)
    assert (prompt.kind, prompt.role, prompt.task) == (kind, Role.SOLVER, task)
    assert task.payload[hidden] not in text
    assert {"input", "output"} - {hidden} == {
        n for n in ("input", "output") if task.payload[n] in text
    }
    assert PROGRAM in text


def test_an_induction_solver_sees_half_of_the_pairs_and_the_message_only(make, play):
    task = play.induction(PROGRAM, PAIRS, "what about okapis?")
    text = text_of(make().solve_prompt(task))
    assert "what about okapis?" in text
    for arguments, output in PAIRS[:2]:
        assert arguments in text
        assert output in text
    for arguments, output in PAIRS[2:]:
        assert arguments not in text
        assert output not in text
    assert "zebra" not in text
    assert "quagga" not in text


def test_words_of_a_task_are_not_read_as_template_fields(make, play):
    task = play.triplet("deduction", "def f(x):\n    return '$input {program} %s $$'", "1", "'x'")
    assert "return '$input {program} %s $$'" in text_of(make().solve_prompt(task))


@pytest.mark.parametrize("kind", ["deduction", "abduction"])
def test_a_proposer_is_shown_k_distinct_references_of_its_kind(make, filled, rng, kind):
    (prompt,) = make(references=5).proposal_prompts(kind, 1, filled, rng)
    assert (prompt.kind, prompt.role) == (kind, Role.PROPOSER)
    assert len({reference.key for reference in prompt.references}) == 5
    assert {reference.kind for reference in prompt.references} == {kind}
    for reference in prompt.references:
        assert reference.payload["program"] in text_of(prompt)
        assert reference.payload["input"] in text_of(prompt)


def test_an_empty_buffer_still_gives_prompts(make, buffer, rng):
    for kind in ("deduction", "abduction", "induction"):
        prompts = make().proposal_prompts(kind, 3, buffer, rng)
        assert [prompt.kind for prompt in prompts] == [kind] * 3
        assert all(prompt.messages for prompt in prompts)


def test_induction_is_about_one_program_of_either_buffer(make, filled, rng):
    prompts = make().proposal_prompts("induction", 100, filled, rng)
    sources = [prompt.references for prompt in prompts]
    assert all(len(references) == 1 for references in sources)
    assert {kind for ((kind),) in ([(r.kind) for r in s] for s in sources)} == {
        "deduction",
        "abduction",
    }
    assert len({source[0].key for source in sources}) > 10
    for prompt in prompts:
        assert prompt.references[0].payload["program"] in text_of(prompt)


@pytest.mark.parametrize("kind", ["deduction", "abduction", "induction"])
def test_prompts_are_shared_in_runs_and_repeat_with_the_seed(make, filled, kind):
    game = make(references_shared_by=4)
    prompts = game.proposal_prompts(kind, 10, filled, random.Random(1))
    assert [prompts.index(prompt) for prompt in prompts] == [0] * 4 + [4] * 4 + [8] * 2
    assert prompts == game.proposal_prompts(kind, 10, filled, random.Random(1))
    assert prompts != game.proposal_prompts(kind, 10, filled, random.Random(2))


def test_references_are_drawn_uniformly(make, filled):
    game, rng = make(references=1), random.Random(0)
    drawn = [
        p.references[0].payload["input"]
        for p in game.proposal_prompts("deduction", 2000, filled, rng)
    ]
    counts = [drawn.count(str(n)) for n in range(20)]
    assert min(counts) > 50  # 100 expected, standard deviation 10
    assert max(counts) < 150


def test_a_prefill_and_what_a_model_writes_after_it_add_up(make, play, rng, buffer):
    game = make(pairs=4)
    for kind in ("deduction", "abduction"):
        (prompt,) = game.proposal_prompts(kind, 1, buffer, rng)
        text = play.blocks(input="7", python="def f(x):\n    return x * 3")
        whole = {
            "<think>\n": f"<think>\nEasy.</think>\n<answer>{text}</answer>",
            "```input\n": text,
        }
        assert game.gate(play.answer(prompt, whole[prompt.prefill])).code == "ok"


def test_a_compact_induction_proposal_starts_with_the_input_that_is_known(
    client, play, buffer, rng
):
    game = AzrGame(GameConfig(prompts="compact", pairs=3), client)
    buffer.add(play.triplet("abduction", "def f(x):\n    return x * 2", "[6]", "[6, 6]"), 0)
    (prompt,) = game.proposal_prompts("induction", 1, buffer, rng)
    text = prompt.prefill + "7\n'a'\n```message\nMore of it.\n```"
    task = game.gate(play.answer(prompt, text)).task
    assert task.payload["pairs"] == [["[6]", "[6, 6]"], ["7", "14"], ["'a'", "'aa'"]]


def test_worked_examples_of_the_compact_form_pass_their_own_checks(client, play, buffer, rng):
    """What is held up as a model answer must be one, in the format that is parsed."""
    game = AzrGame(GameConfig(prompts="compact", pairs=4), client)
    for kind in ("deduction", "abduction", "induction"):
        (prompt,) = game.proposal_prompts(kind, 1, buffer, rng)
        worked = prompt.messages[1].content
        judgement = game.gate(play.answer(prompt, worked))
        # The worked inputs of induction fit the worked program, not the one that is asked about.
        assert judgement.code == ("error" if kind == "induction" else "ok")
        assert worked.startswith(prompt.prefill.split("\n")[0])


def test_the_modules_that_reject_a_program_are_named_in_the_full_form(client, buffer, rng):
    game = AzrGame(GameConfig(forbidden_modules=("wombat",)), client)
    (prompt,) = game.proposal_prompts("deduction", 1, buffer, rng)
    assert "wombat" in text_of(prompt)
