"""Answers and verdicts of evaluations, an answer a row, in Parquet files that are written once.

What an evaluation has so far is written every few seconds as a file of its own, whole or not at
all, and all files of a benchmark are read together. A row is found by what its answer depends on:
the digest of the weights, the engine's version, the ids of the prompt, the sampling and the seed.
An answer is therefore never sampled twice, and never taken for that of other weights.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from azr_fast.errors import UserError
from azr_fast.evaluate.extras import load_extra

FORMAT = 1
_FLUSH_SECONDS = 10.0
_MANY_FILES = 32  # beyond which they become one when a store is opened


@dataclass(frozen=True, slots=True)
class Row:
    """One answer. `key` is what it depends on, `turns` all that the model said, whole."""

    key: str
    benchmark: str
    form: str
    item: str
    cluster: str
    sample: int
    model: str  # the name it was evaluated by
    weights: str  # digest
    engine: str
    sampling: str
    seed: int
    turns: list[str]
    truncated: bool
    tokens: int
    status: str
    code: str
    evidence: str
    judged: str  # digest of what the verdict was given by
    created: float = field(default_factory=time.time)

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return self.status == "passed"


class Store:
    """The rows of a folder. `add` them; `flush` and `close` write what is not yet on the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows: dict[str, Row] = {}
        self._new: list[Row] = []
        self._since = time.monotonic()
        paths = sorted(folder.glob("*.parquet"))
        for path in paths:
            for row in _read(path):
                self._take(row)
        if len(paths) > _MANY_FILES:
            self._write(list(self._rows.values()))
            for path in paths:
                path.unlink(missing_ok=True)  # another evaluation may do the same

    def get(self, key: str) -> Row | None:
        """The newest row of that key."""
        return self._rows.get(key)

    def rows(self) -> list[Row]:
        """All rows, the newest of each key."""
        return list(self._rows.values())

    def add(self, row: Row) -> None:
        """Keep a row, in the place of an older one of its key; on the disk within seconds."""
        self._take(row)
        self._new.append(row)
        if time.monotonic() - self._since > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write new rows. Raises UserError where the disk is full or the folder not writable."""
        self._since = time.monotonic()
        if self._new:
            self._write(self._new)
            self._new = []

    def _take(self, row: Row) -> None:
        known = self._rows.get(row.key)
        if known is None or known.created <= row.created:
            self._rows[row.key] = row

    def _write(self, rows: Sequence[Row]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns()}-{os.getpid()}.parquet"
        write_rows(self.folder / name, rows)


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """A Parquet file of rows that is there whole or not at all. Raises UserError."""
    arrow, parquet = load_extra("pyarrow"), load_extra("pyarrow.parquet")
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        table = arrow.Table.from_pylist([asdict(row) for row in rows], _schema(arrow))
        with partial.open("wb") as file:
            parquet.write_table(table, file, compression="zstd", write_page_checksum=True)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "the disk is full: free some space" if full else f"{error}: mend its permissions"
        raise UserError(
            f"cannot write {path} ({why}, or name another --store); what was written before stays, "
            "and the same command goes on from it"
        ) from None


def _read(path: Path) -> list[Row]:
    arrow, parquet = load_extra("pyarrow"), load_extra("pyarrow.parquet")
    try:
        table = parquet.read_table(path, page_checksum_verification=True)
        found = int((table.schema.metadata or {}).get(b"azr_format", b"0"))
        if found > FORMAT:
            raise UserError(
                f"{path} has format {found}, this azr-fast reads format {FORMAT}: use the "
                "azr-fast that wrote it, or name another --store"
            )
        if not table.schema.equals(_schema(arrow)):
            raise TypeError(f"its columns are {', '.join(map(str, table.schema))}")
        return [Row(**row) for row in table.to_pylist()]
    except FileNotFoundError:  # another evaluation made one file of many meanwhile
        return []
    except (OSError, ValueError, TypeError, NotImplementedError, LookupError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{path} is damaged ({str(error).partition(chr(10))[0][:200]}): delete it, and what "
            "it held is evaluated again"
        ) from None


def _schema(arrow: Any) -> Any:
    kinds = {
        str: arrow.string(), int: arrow.int64(), bool: arrow.bool_(), float: arrow.float64(),
        list[str]: arrow.list_(arrow.string()),
    }  # fmt: skip
    hints = get_type_hints(Row)
    columns = [(one.name, kinds[hints[one.name]]) for one in fields(Row)]
    return arrow.schema(columns, metadata={"azr_format": str(FORMAT)})


def digest_of(*parts: object) -> str:
    """A digest of plain data."""
    words = json.dumps(parts, sort_keys=True)
    return hashlib.blake2b(words.encode(), digest_size=20).hexdigest()


def weights_digest(folder: Path) -> str:
    """A digest of a model folder: its weights, its config and what ends an answer."""
    digest = hashlib.sha256()
    named = [folder / "config.json", folder / "generation_config.json"]
    for path in [*named, *sorted(folder.glob("*.safetensors"))]:
        if path.is_file():
            with path.open("rb") as file:
                digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
