"""Files of records: the formats of the authors, and what is refused by name."""

import gzip
import json

import pytest

from azr_fast.errors import UserError
from azr_fast.evaluate.data import data_files
from azr_fast.evaluate.records import load_tasks, read_file
from azr_fast.evaluate.registry import benchmark_names, find_benchmark, find_benchmarks

from .records import HUMANEVAL, cruxeval

RECORDS = [cruxeval(item="sample_0"), cruxeval(item="sample_1", given="'ü', 1", output="'ü'")]


def as_lines(records):
    return "\n".join(map(json.dumps, records)).encode()


def as_parquet(records, path):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), path)


@pytest.mark.parametrize("form", ["lines", "blank lines", "array", "gzip", "parquet"])
def test_every_format_gives_the_same_records_whatever_the_file_is_called(tmp_path, form):
    path = tmp_path / "data.bin"
    texts = {
        "lines": as_lines(RECORDS),
        "blank lines": b"\n" + as_lines(RECORDS) + b"\n\n",
        "array": json.dumps(RECORDS, indent=1).encode(),
        "gzip": gzip.compress(as_lines(RECORDS)),
    }
    if form == "parquet":
        as_parquet(RECORDS, path)
    else:
        path.write_bytes(texts[form])
    assert list(read_file(path)) == RECORDS


@pytest.fixture
def benchmark(tools):
    return find_benchmark("cruxeval-o")(tools)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no record: give the file as the authors publish it"),
        (b"[]", "has no record"),
        (b"# Benchmarks\n", "line 1 is not JSON"),
        (b"\xff\xfe\x00", "line 1 is not JSON"),
        (b'{"a": 1', "line 1 is not JSON"),
        (b"[1, 2]", "is no object with fields"),
        (b"17\n", "line 1 is no object with fields"),
        (
            json.dumps(HUMANEVAL).encode(),
            "record 1 is no record of cruxeval-o (no field 'code'; it has task_id, prompt",
        ),
        (gzip.compress(as_lines(RECORDS))[:-9], "is damaged"),
        (b"PAR1 and no more", "cannot read"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_line(tmp_path, benchmark, content, said):
    path = tmp_path / "data.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError) as refused:
        load_tasks(benchmark, path)
    assert said in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_told(tmp_path, benchmark):
    with pytest.raises(
        UserError, match=r"cannot read .*: No such file or directory; check the path"
    ):
        load_tasks(benchmark, tmp_path / "none.jsonl")


def test_a_limit_takes_the_first_items_and_reads_no_more(benchmark, lines):
    path = lines([RECORDS[0], {"no": "record"}])
    assert [task.key for task in load_tasks(benchmark, path, 1)] == ["sample_0"]


def test_items_of_one_name_are_told_apart(benchmark, lines):
    path = lines([RECORDS[0]] * 3)
    assert [task.key for task in load_tasks(benchmark, path)] == [
        "sample_0",
        "sample_0#2",
        "sample_0#3",
    ]


def test_each_benchmark_may_have_its_file():
    names = ["cruxeval-o", "humaneval-plus"]
    found = data_files(["a=b.jsonl", "humaneval+=c=d.jsonl"], names)
    assert {name: str(path) for name, path in found.items()} == {
        "": "a=b.jsonl",
        "humaneval-plus": "c=d.jsonl",
    }
    with pytest.raises(UserError, match="two files are given for cruxeval-o"):
        data_files(["cruxeval-o=a", "cruxeval-o=b"], names)


def test_an_unknown_benchmark_or_form_is_named_with_those_that_are_there():
    with pytest.raises(
        UserError, match=r"no benchmark 'cruxevel' is installed: the nearest is 'cruxeval"
    ):
        find_benchmark("cruxevel")
    with pytest.raises(UserError, match="gsm8k has no form 'direct': its forms are reasoning"):
        find_benchmarks(["gsm8k"], "direct")


def test_all_that_come_along_can_be_loaded():
    found = [find_benchmark(name) for name in benchmark_names()]
    assert {one.name for one in found} >= {
        "cruxeval-i",
        "humaneval-plus",
        "aime24",
        "livecodebench",
    }
    assert all(one.fields and all(length > 0 for length in one.forms.values()) for one in found)
