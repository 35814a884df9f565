import random

import pytest

FORMS = ["full", "compact"]
PROGRAM = "def f(zebra, k):\n    quagga = sorted(zebra)\n    return [v * k for v in quagga]"
PAIRS = [
    ("[11, 7], 3", "[21, 33]"),
    ("[13, 5], 9", "[45, 117]"),
    ("[919], 8", "[7352]"),
    ("[823], 6", "[4938]"),
]


@pytest.fixture(params=FORMS)
def make(request, make_player):
    return lambda **keys: make_player(prompts=request.param, **keys)


def draw(player, kind, count, buffer, rng):
    return player.game.sources(kind, count, buffer, rng)


@pytest.fixture
def filled(buffer, play):
    for kind in ("deduction", "abduction"):
        for n in range(20):
            buffer.add(play.triplet(kind, f"def f(x):\n    return x * {n}", f"{n}", f"{n * n}"), 0)
    return buffer


@pytest.mark.parametrize(("kind", "hidden"), [("deduction", "output"), ("abduction", "input")])
def test_a_triplet_solver_never_sees_what_it_must_find(make, play, kind, hidden):
    task = play.triplet(kind, PROGRAM, "[8111, 8117], 97", "[786767, 787349]")
    text = make().solve_prompt(task).told()
    assert task.payload[hidden] not in text
    assert {"input", "output"} - {hidden} == {
        n for n in ("input", "output") if task.payload[n] in text
    }
    assert PROGRAM in text


def test_an_induction_solver_sees_half_of_the_pairs_and_the_message_only(make, play):
    task = play.induction(PROGRAM, PAIRS, "what about okapis?")
    text = make().solve_prompt(task).told()
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
    assert "return '$input {program} %s $$'" in make().solve_prompt(task).told()


@pytest.mark.parametrize("kind", ["deduction", "abduction"])
def test_a_proposer_is_shown_k_distinct_references_of_its_kind(make, filled, rng, kind):
    player = make(references=5)
    (source,) = draw(player, kind, 1, filled, rng)
    assert source.kind == kind
    assert len({reference.key for reference in source.references}) == 5
    assert {reference.kind for reference in source.references} == {kind}
    text = player.proposal_prompt(source).told()
    for reference in source.references:
        assert reference.payload["program"] in text
        assert reference.payload["input"] in text


def test_an_empty_buffer_still_gives_prompts(make, buffer, rng):
    for kind in ("deduction", "abduction", "induction"):
        player = make()
        sources = draw(player, kind, 3, buffer, rng)
        assert [source.kind for source in sources] == [kind] * 3
        assert all(player.proposal_prompt(source).messages for source in sources)


def test_induction_is_about_one_program_of_either_buffer(make, filled, rng):
    player = make()
    sources = draw(player, "induction", 100, filled, rng)
    about = [reference for source in sources for reference in source.references]
    assert len(about) == 100
    assert {reference.kind for reference in about} == {"deduction", "abduction"}
    assert len({reference.key for reference in about}) > 10
    for source, reference in zip(sources, about, strict=True):
        assert reference.payload["program"] in player.proposal_prompt(source).told()


@pytest.mark.parametrize("kind", ["deduction", "abduction", "induction"])
def test_prompts_are_shared_in_runs_and_repeat_with_the_seed(make, filled, kind):
    player = make(references_shared_by=4)

    def prompts(seed):
        sources = draw(player, kind, 10, filled, random.Random(seed))
        return [player.proposal_prompt(source).told() for source in sources]

    one = prompts(1)
    assert [one.index(prompt) for prompt in one] == [0] * 4 + [4] * 4 + [8] * 2
    assert one == prompts(1)
    assert one != prompts(2)


def test_references_are_drawn_uniformly(make, filled):
    sources = draw(make(references=1), "deduction", 2000, filled, random.Random(0))
    drawn = [source.references[0].payload["input"] for source in sources]
    counts = [drawn.count(str(n)) for n in range(20)]
    assert min(counts) > 50  # 100 expected, standard deviation 10
    assert max(counts) < 150


def test_a_prefill_and_what_a_model_writes_after_it_add_up(make, play, rng, buffer):
    player = make(pairs=4)
    for kind in ("deduction", "abduction"):
        (source,) = draw(player, kind, 1, buffer, rng)
        text = play.blocks(input="7", python="def f(x):\n    return x * 3")
        whole = {
            "<think>\n": f"<think>\nEasy.</think>\n<answer>{text}</answer>",
            "```input\n": text,
        }
        prefill = player.proposal_prompt(source).prefill
        assert player.propose(source, whole[prefill]).code == "ok"


def test_a_compact_induction_proposal_starts_with_the_input_that_is_known(
    make_player, play, buffer, rng
):
    player = make_player(prompts="compact", pairs=3)
    buffer.add(play.triplet("abduction", "def f(x):\n    return x * 2", "[6]", "[6, 6]"), 0)
    (source,) = draw(player, "induction", 1, buffer, rng)
    text = player.proposal_prompt(source).prefill + "7\n'a'\n```message\nMore of it.\n```"
    task = player.propose(source, text).task
    assert task.payload["pairs"] == [["[6]", "[6, 6]"], ["7", "14"], ["'a'", "'aa'"]]


def test_worked_examples_of_the_compact_form_pass_their_own_checks(make_player, buffer, rng):
    """What is held up as a model answer must be one, in the format that is parsed."""
    player = make_player(prompts="compact", pairs=4)
    for kind in ("deduction", "abduction", "induction"):
        (source,) = draw(player, kind, 1, buffer, rng)
        prompt = player.proposal_prompt(source)
        worked = prompt.messages[1].content
        judgement = player.propose(source, worked)
        # The worked inputs of induction fit the worked program, not the one that is asked about.
        assert judgement.code == ("error" if kind == "induction" else "ok")
        assert worked.startswith(prompt.prefill.split("\n")[0])


def test_the_modules_that_reject_a_program_are_named_in_the_full_form(make_player, buffer, rng):
    player = make_player(forbidden_modules=("wombat",))
    (source,) = draw(player, "deduction", 1, buffer, rng)
    assert "wombat" in player.proposal_prompt(source).told()
