"""Rows that outlive kills, are found by what they depend on, and are refused where damaged."""

import random
from dataclasses import replace

import pytest

from azr_fast.errors import UserError
from azr_fast.evaluate.store import Row, Store, digest_of, weights_digest, write_rows

ROW = Row(
    key="k", benchmark="b", form="direct", item="i", cluster="b/i", sample=0, model="m", weights="w",
    engine="e", sampling="{}", seed=0, turns=["ü", ""], truncated=False, tokens=3, status="passed",
    code="ok", evidence="", judged="j", created=1.0,
)  # fmt: skip


def test_rows_come_back_as_they_were(tmp_path):
    store = Store(tmp_path / "b")
    store.add(ROW)
    store.flush()
    assert Store(tmp_path / "b").get("k") == ROW
    assert Store(tmp_path / "b").rows() == [ROW]


def test_what_was_not_flushed_yet_is_all_that_a_kill_takes(tmp_path):
    store = Store(tmp_path)
    store.add(ROW)
    store.flush()
    store.add(replace(ROW, key="other"))
    (tmp_path / ".1-2.parquet.partial").write_bytes(b"half")  # a file that a kill cut off
    assert [row.key for row in Store(tmp_path).rows()] == ["k"]


def test_the_newest_row_of_a_key_counts(tmp_path):
    store = Store(tmp_path)
    store.add(replace(ROW, code="newest", created=2.0))
    store.flush()
    store.add(ROW)
    store.flush()
    assert Store(tmp_path).get("k").code == "newest"


def test_many_files_become_one(tmp_path):
    store = Store(tmp_path)
    for number in range(40):
        store.add(replace(ROW, key=str(number)))
        store.flush()
    again = Store(tmp_path)
    assert len(list(tmp_path.glob("*.parquet"))) == 1
    assert len(again.rows()) == len(Store(tmp_path).rows()) == 40


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all"])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "1-1.parquet").write_bytes(content)
    with pytest.raises(UserError, match=r"1-1\.parquet is damaged .*: delete it, and what it held"):
        Store(tmp_path)


def test_no_bit_that_turned_over_goes_unseen(tmp_path, seed):
    rows = [
        replace(ROW, key=f"k{n}", item=f"i{n}", turns=["said " * 20 + str(n)]) for n in range(9)
    ]
    file = tmp_path / "1-1.parquet"
    write_rows(file, rows)
    good, rng, told = file.read_bytes(), random.Random(seed), 0
    for _ in range(300):
        bad = bytearray(good)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        file.write_bytes(bad)
        try:
            assert Store(tmp_path).rows() == rows  # nothing that counts was hit
        except UserError:
            told += 1
    assert told > 100


def test_two_evaluations_may_make_one_file_of_many_at_once(tmp_path, monkeypatch):
    store = Store(tmp_path)
    for number in range(40):
        store.add(replace(ROW, key=str(number)))
        store.flush()
    first = next(tmp_path.glob("*.parquet"))
    write = Store._write

    def while_another_does(self, rows):
        write(self, rows)
        first.unlink()

    monkeypatch.setattr(Store, "_write", while_another_does)
    assert len(Store(tmp_path).rows()) == 40
    (tmp_path / "gone.parquet").symlink_to(tmp_path / "nowhere")
    assert len(Store(tmp_path).rows()) == 40


def test_a_file_with_other_columns_is_named(tmp_path):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "x.parquet")
    with pytest.raises(UserError, match=r"x\.parquet is damaged"):
        Store(tmp_path)


def test_a_file_of_a_newer_version_is_refused(tmp_path, monkeypatch):
    from azr_fast.evaluate import store

    monkeypatch.setattr(store, "FORMAT", 2)
    write_rows(tmp_path / "x.parquet", [ROW])
    monkeypatch.setattr(store, "FORMAT", 1)
    with pytest.raises(UserError, match="has format 2, this azr-fast reads format 1"):
        Store(tmp_path)


def test_a_full_disk_is_told_and_leaves_no_half_file(tmp_path, monkeypatch):
    import errno
    import os

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="the disk is full: free some space"):
        write_rows(tmp_path / "x.parquet", [ROW])
    assert list(tmp_path.iterdir()) == []


def test_weights_have_a_digest_of_what_they_are_and_not_of_where(tmp_path):
    def folder(name, weights=b"w", config=b"{}"):
        made = tmp_path / name
        made.mkdir()
        (made / "model.safetensors").write_bytes(weights)
        (made / "config.json").write_bytes(config)
        return weights_digest(made)

    first = folder("a")
    assert first == folder("b")
    assert first != folder("c", weights=b"v")
    assert first != folder("d", config=b'{"eos_token_id": 2}')


def test_digests_tell_all_parts_apart():
    parts = ["w", "e", [1, 2], "s", 0, 0]
    digests = {digest_of(*parts)}
    for place, other in enumerate(["v", "f", [12], "t", 1, 1]):
        digests.add(digest_of(*parts[:place], other, *parts[place + 1 :]))
    assert len(digests) == 7
