"""The client as somebody meets it who imports it from a package: defaults, contexts, refusals."""

from __future__ import annotations

import asyncio
import doctest
import gc
import tempfile
from pathlib import Path

import pytest

import azr_fast
import azr_fast.sandbox
from azr_fast.errors import UserError
from azr_fast.sandbox import AsyncClient, Client, Limits, canonical_arguments, parse

SQUARE = "def f(x): return x * x"
DRAW = "import random\nprint(random.random())"
PACKAGES = str(Path(pytest.__file__).parents[1])


def test_the_example_of_the_package_is_true():
    assert doctest.testmod(azr_fast.sandbox) == doctest.TestResults(failed=0, attempted=5)


def test_the_package_has_a_version_and_is_typed():
    assert azr_fast.__version__.split(".")[0].isdigit()
    assert (Path(azr_fast.__file__).parent / "py.typed").exists()


@pytest.fixture
def temp_folder(monkeypatch):
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(folder)


def test_a_client_of_its_own_leaves_nothing_behind(temp_folder):
    with Client() as client:
        assert list(temp_folder.iterdir())
        assert client.limits == Limits(2000, 512 << 20, 1 << 20)
        assert client.call(SQUARE, "f", ["3", "12"]).results[1].value == "144"
    assert list(temp_folder.iterdir()) == []
    client.close()  # a second time


def test_a_client_that_nobody_closes_ends_its_daemon(temp_folder):
    client = Client()
    assert client.run("print(1)").stdout == b"1\n"
    del client
    gc.collect()
    assert list(temp_folder.iterdir()) == []


def test_an_async_client_of_its_own(temp_folder):
    async def ask():
        async with AsyncClient() as client:
            replies = [client.call(SQUARE, "f", [str(n)]) for n in range(20)]
            values = [parse(reply.results[0].value) for reply in await asyncio.gather(*replies)]
            return values, (await client.run("print(input())", "said")).stdout

    assert asyncio.run(ask()) == ([n * n for n in range(20)], b"said\n")
    assert list(temp_folder.iterdir()) == []


@pytest.mark.parametrize("text", ["12", "", b"12"])
def test_one_text_where_a_list_is_meant_is_refused(client, text):
    with pytest.raises(TypeError, match=r"arguments is a list with a text for each call"):
        client.call(SQUARE, "f", text)


@pytest.mark.parametrize("one", [12, [3, 1], ("a",), None, b"12"])
def test_arguments_that_are_no_text_are_refused_with_the_remedy(client, one):
    with pytest.raises(TypeError, match=r"canonical_arguments does"):
        client.call(SQUARE, "f", ["1", one])
    with pytest.raises(TypeError, match=r"canonical_arguments does"):
        asyncio.run(AsyncClient(client.path).call(SQUARE, "f", [one]))


def test_a_tuple_of_texts_is_a_list_too(client):
    texts = tuple(canonical_arguments([n]) for n in (2, 3))
    assert [result.value for result in client.call(SQUARE, "f", texts).results] == ["4", "9"]


def test_a_seed_is_the_state_of_random(client):
    draws = [client.run(DRAW, seed=seed).stdout for seed in (7, 7, 8)]
    assert draws[0] == draws[1] != draws[2]
    drawn = [client.call("import random\ndef f(): return random.random()", "f", [""], seed=7)]
    assert f"{drawn[0].results[0].value}\n".encode() == draws[0]


def test_imports_of_a_daemon_of_its_own():
    with Client(path=PACKAGES, pools="letters=1:string,pluggy") as client:
        assert client.run("import pluggy; print(1)", pool="letters").stdout == b"1\n"
        assert {"letters", "default"} == pools(client)
    with Client() as client:
        assert client.run("import pluggy").type == "ModuleNotFoundError"


def pools(client):
    zygotes = [one for name, one in client.info()["zygotes"].items() if name != "zygotes"]
    return {zygote.partition(",")[0].removeprefix("pool=") for zygote in zygotes}


@pytest.mark.parametrize("option", ["path", "preload", "pools"])
def test_imports_are_refused_for_a_daemon_that_runs_already(sandbox, option):
    with pytest.raises(UserError, match=f"start that azr-sandboxd with --{option}"):
        Client(sandbox.path, **{option: "x"})
    with pytest.raises(UserError, match=f"{option} is the daemon's own option"):
        AsyncClient(sandbox.path, **{option: "x"})
