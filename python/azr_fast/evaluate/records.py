"""Reading a benchmark's records: from a file as its authors publish it, or from the hub."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from azr_fast.errors import UserError
from azr_fast.evaluate.benchmark import Benchmark, Record
from azr_fast.evaluate.extras import load_extra
from azr_fast.policy.library import told
from azr_fast.types import Task

_REMEDY = "give the file as the authors publish it (JSON, JSON lines, either with .gz, or Parquet)"


def load_tasks(benchmark: Benchmark, file: Path | None, limit: int = 0) -> list[Task]:
    """The tasks of a file, or the benchmark's own, or the hub's: the first `limit`; 0: all.

    Raises UserError for a file that cannot be read, holds no record, or has records of another
    form than the benchmark's.
    """
    where = str(file or (benchmark.hub.path if benchmark.hub else benchmark.name))
    records = read_file(file) if file else benchmark.records() or _from_hub(benchmark)
    tasks = []
    for number, record in enumerate(records, start=1):
        tasks.append(_task(benchmark, record, f"{where}, record {number}"))
        if len(tasks) == limit:
            break
    if not tasks:
        raise UserError(f"{where} has no record: {_REMEDY}")
    return _told_apart(tasks)


def read_file(path: Path) -> Iterator[Record]:
    """The records of a file, by what it holds and not by its name. Raises UserError."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if magic == b"PAR1":
            yield from _parquet(path)
            return
        with gzip.open(path) if magic[:2] == b"\x1f\x8b" else path.open("rb") as stream:
            yield from _json(path, stream)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is damaged ({error}): get it again") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; check the path") from None


def _json(path: Path, stream: IO[bytes] | gzip.GzipFile) -> Iterator[Record]:
    """JSON lines, or one array of objects."""
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        if number == 1 and line.lstrip().startswith(b"["):
            yield from _objects(_parsed(line + stream.read(), str(path)), str(path))
            return
        yield from _objects([_parsed(line, f"{path}, line {number}")], f"{path}, line {number}")


def _parsed(text: bytes, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or brackets without end
        raise UserError(f"{where} is not JSON: {_REMEDY}") from None


def _objects(values: Iterable[Any], where: str) -> Iterator[Record]:
    for value in values:
        if not isinstance(value, dict):
            raise UserError(f"{where} is no object with fields: {_REMEDY}")
        yield value


def _parquet(path: Path) -> Iterator[Record]:
    parquet = load_extra("pyarrow.parquet")
    with told(f"cannot read {path}", "get it again"):
        for batch in parquet.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()


def _from_hub(benchmark: Benchmark) -> Iterable[Record]:
    if benchmark.hub is None:
        raise UserError(f"{benchmark.name} is not on the hub: give its records by --data FILE")
    datasets = load_extra("datasets")
    hub = benchmark.hub
    remedy = f"check the network, or give its records by --data {benchmark.name}=FILE"
    with told(f"cannot get {hub.path} from the hub", remedy):
        found: Iterable[Record] = datasets.load_dataset(hub.path, hub.name, split=hub.split)
    return found


def _task(benchmark: Benchmark, record: Record, where: str) -> Task:
    try:
        return benchmark.task(record)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        fault = f"no field {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"{where} is no record of {benchmark.name} ({fault}; it has {', '.join(record)}): "
            f"its records have {benchmark.fields}"
        ) from None


def _told_apart(tasks: Sequence[Task]) -> list[Task]:
    """Items that have the same name are numbered."""
    seen: dict[str, int] = {}
    apart = []
    for task in tasks:
        seen[task.key] = count = seen.get(task.key, 0) + 1
        name = task.key if count == 1 else f"{task.key}#{count}"
        apart.append(Task(task.kind, name, task.payload))
    return apart
