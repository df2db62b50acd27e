"""Rows as tables: parquet, arrow, and the dataset folders of Hugging Face (save_to_disk).

A column has one type: beside 0.5 a 1 comes back as 1.0, and a key that a row lacks as None. What one type cannot hold
unchanged is refused: two types, whole numbers that a float would round. `schema_of` one table keeps the types for the
next, where 1 is otherwise a number of 64 bits, and a map a list of pairs of two types.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from common.errors import BadInput, BadRow
from common.rows.atomic import DATA_FILE, MARK
from common.rows.files import SHOWN_RAW, known_formats

BATCH_ROWS = 1000
READ_BYTES = 1 << 20
SMALLEST, LARGEST = -(1 << 63), (1 << 63) - 1
NOT_FOR_PYTHON = (ValueError, OverflowError, pa.ArrowException)  # raised for what arrow holds and Python does not
STREAM_ENDS = (b"\xff\xff\xff\xff\0\0\0\0", b"\0\0\0\0")  # of an arrow stream, today and before 2019


def scan_table(path: Path) -> Iterator[dict | BadRow]:
    count = 0
    for batch in _parquet_batches(path) if path.name.endswith(".parquet") else _arrow_batches(path):
        for start in range(0, batch.num_rows, BATCH_ROWS):
            piece = batch.slice(start, BATCH_ROWS)
            try:
                rows = piece.to_pylist()
            except NOT_FOR_PYTHON:
                rows = _one_by_one(piece, str(path), count)
            yield from rows
            count += piece.num_rows


def _one_by_one(piece: pa.RecordBatch, path: str, first: int) -> Iterator[dict | BadRow]:
    for at in range(piece.num_rows):
        row, problems = {}, []
        for name, column in zip(piece.schema.names, piece.columns, strict=True):
            try:
                row[name] = column[at].as_py()
            except NOT_FOR_PYTHON as error:
                problems.append(f"{name!r} cannot be read: {error}; expected UTF-8, and times before the year 10000")
        yield BadRow(path, first + at, problems[0], str(row)[:SHOWN_RAW]) if problems else row


def _parquet_batches(path: Path) -> Iterator[pa.RecordBatch]:
    # Without the two options pyarrow holds the whole file, or a whole group of rows.
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=READ_BYTES) as table:
        _check_names(table.schema_arrow)
        yield from table.iter_batches(batch_size=BATCH_ROWS)


def _arrow_batches(path: Path) -> Iterator[pa.RecordBatch]:
    with pa.OSFile(str(path)) as source:
        reader = _arrow_reader(source)
        _check_names(reader.schema)
        if isinstance(reader, pa.ipc.RecordBatchFileReader):
            yield from map(reader.get_batch, range(reader.num_record_batches))
            return
        end = source.tell()
        for batch in reader:
            end = source.tell()
            yield batch
        # pyarrow takes a stream that is cut between two batches for a whole one.
        source.seek(end)
        if source.read() not in STREAM_ENDS:
            raise ValueError("the stream has no end mark; is the file cut off?")


def _arrow_reader(source: pa.OSFile) -> pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader:
    random_access = source.read(6) == b"ARROW1"
    source.seek(0)
    return pa.ipc.open_file(source) if random_access else pa.ipc.open_stream(source)


def _check_names(schema: pa.Schema) -> None:
    if twice := [name for at, name in enumerate(schema.names) if name in schema.names[:at]]:
        raise ValueError(f"column {twice[0]!r} is there twice")


def scan_dataset_folder(path: Path, split: str | None) -> Iterator[dict | BadRow]:
    folder, count = _folder_of_split(path, split), 0
    for file in _data_files(folder):
        for row in scan_table(file):
            count += 1
            yield row
    # Only we note the count: datasets leaves in dataset_info.json the one from before a filter.
    expected = _saved(folder, "state.json", "_rows", int | None, None)
    if expected not in (count, None):
        raise BadInput(f"{path}: {count:,} rows in its files, expected {expected:,}; is one cut off?")


def _folder_of_split(path: Path, split: str | None) -> Path:
    if (path / "dataset_dict.json").exists():
        splits = [_plain_name(path / "dataset_dict.json", name) for name in _saved(path, "dataset_dict.json", "splits")]
        if split is None and len(splits) == 1:
            split = splits[0]
        if split not in splits:
            raise BadInput(f"{path}: name one of its splits with --split: {', '.join(splits)}")
        return path / split
    if split is not None and split != (only := _saved(path, "state.json", "_split", str | None)):
        raise BadInput(f"{path}: is one split, {only!r}, not {split!r}")
    return path


def _data_files(folder: Path) -> list[Path]:
    files = _saved(folder, "state.json", "_data_files")
    names = [file.get("filename") if isinstance(file, dict) else file for file in files]
    return [folder / _plain_name(folder / "state.json", name) for name in names]


def schema_of(path: Path, split: str | None = None) -> pa.Schema | None:
    """The types of the columns of a table; None for a file of text."""
    if path.is_dir():
        return one_schema(schema_of(file) for file in _data_files(_folder_of_split(path, split)))
    if path.is_file() and path.name.endswith(".parquet"):
        return pq.read_schema(path)
    if path.is_file() and path.name.endswith(".arrow"):
        with pa.OSFile(str(path)) as source:
            return _arrow_reader(source).schema
    return None


def one_schema(schemas: Iterable[pa.Schema | None]) -> pa.Schema | None:
    """Of several tables; None where a table has none, or one column has types that do not go together."""
    schemas = list(schemas)
    try:
        return None if None in schemas else pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException:
        return None


def _saved(folder: Path, name: str, key: str, kind: Any = list, default: Any = ...) -> Any:
    try:
        saved = json.loads((folder / name).read_text(encoding="utf-8"))
        found = saved[key] if default is ... else saved.get(key, default)
        if not isinstance(found, kind):
            raise TypeError
        return found
    except FileNotFoundError:
        raise BadInput(f"{folder}: a folder, but not a saved dataset (no {name}). {known_formats()}") from None
    except (ValueError, LookupError, TypeError, RecursionError):
        raise BadInput(f"{folder / name}: does not describe a saved dataset (no {key!r} as expected)") from None


def _plain_name(file: Path, name: Any) -> str:
    """A dataset consists of files inside its folder."""
    if not isinstance(name, str) or name in ("", ".", "..") or "/" in name:
        raise BadInput(f"{file}: names {name!r} where the plain name of a file in this folder was expected")
    return name


class TableFile:
    """Parquet, Arrow stream or dataset folder. A column's type is known only at the end, so batches wait in an
    unnamed temporary file, and are cast to the type that fits them all when it is written out."""

    def __init__(self, part: Path, kind: str, schema: pa.Schema | None) -> None:
        self._part, self._kind = part, kind
        self._types = {field.name: field.type for field in schema or ()}
        self._rows: list[dict] = []
        self._count = 0
        self._spool = tempfile.TemporaryFile(dir=part.parent)
        self._sizes: list[int] = []
        self._schema = pa.schema([])

    def encode(self, row: dict) -> dict:
        try:
            for key, value in row.items():
                _check_value(key)
                _check_value(value)
        except UnicodeEncodeError:
            raise ValueError(f"{key!r} holds half a surrogate pair, which UTF-8 lacks; .jsonl holds it") from None
        except OverflowError:
            if key not in self._types:
                raise ValueError(f"{key!r} holds a number of more than 64 bits; .jsonl holds it") from None
            self.encode({name: other for name, other in row.items() if name != key})
        return row

    def add(self, row: dict) -> None:
        self._rows.append(row)
        self._count += 1
        if len(self._rows) == BATCH_ROWS:
            self._spool_batch()

    def _spool_batch(self) -> None:
        columns = dict.fromkeys(key for row in self._rows for key in row)
        if not columns:
            raise ValueError("rows without any key; .jsonl holds them")
        table = pa.table({key: self._column(key) for key in columns})
        self._schema = pa.unify_schemas([self._schema, table.schema], promote_options="permissive")
        buffer = pa.BufferOutputStream()
        with pa.ipc.new_stream(buffer, table.schema) as stream:
            stream.write_table(table)
        self._sizes.append(self._spool.write(buffer.getvalue()))
        self._rows.clear()

    def _column(self, key: str) -> pa.Array:
        values = [row.get(key) for row in self._rows]
        if key in self._types:
            try:
                column = pa.array(values, type=self._types[key])
                back = column.to_pylist()
                if back == values or repr(back) == repr(values):  # arrow itself drops halves and keys; NaN is not NaN
                    return column
            except (pa.ArrowException, TypeError, OverflowError):
                pass  # a value that this type does not hold: another may
        try:
            return pa.array(values)
        except (pa.ArrowException, UnicodeEncodeError, OverflowError) as error:
            raise ValueError(f"column {key!r}: {error}; .jsonl holds any mixture") from error

    def close(self, complete: bool) -> None:
        with self._spool:
            if not complete:
                return
            if self._rows:
                self._spool_batch()
            self._spool.seek(0)
            with open(self._part / DATA_FILE if self._kind == "folder" else self._part, "wb") as file:
                writer = (pq.ParquetWriter if self._kind == ".parquet" else pa.ipc.new_stream)(file, self._schema)
                with writer:
                    for size in self._sizes:
                        table = pa.ipc.open_stream(self._spool.read(size)).read_all()
                        parts = [self._schema.empty_table(), table]
                        writer.write_table(pa.concat_tables(parts, promote_options="permissive").combine_chunks())
            if self._kind == "folder":
                self._write_dataset_state()

    def _write_dataset_state(self) -> None:
        state = MARK | {
            "_data_files": [{"filename": DATA_FILE}],
            "_fingerprint": "0" * 16,
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_rows": self._count,
            "_split": "train",
        }
        info = {"citation": "", "description": "", "license": ""}
        for name, content in (("state.json", state), ("dataset_info.json", info)):
            (self._part / name).write_text(json.dumps(content, indent=2), encoding="utf-8")


def _check_value(value: Any) -> None:
    kind = type(value)
    if kind is str:
        if not value.isascii():
            value.encode()
    elif kind is int:
        if not SMALLEST <= value <= LARGEST:
            raise OverflowError
    elif kind is list or kind is tuple:
        for inner in value:
            _check_value(inner)
    elif kind is dict:
        for key, inner in value.items():
            _check_value(key)
            _check_value(inner)
