"""Rows as tables: parquet, arrow, and the dataset folders of Hugging Face (save_to_disk)."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from common.errors import BadInput
from common.rows.files import known_formats, write_text

BATCH_ROWS = 1000
READ_BYTES = 1 << 20


def scan_table(path: Path) -> Iterator[dict]:
    if path.name.endswith(".parquet"):
        # Without the two options pyarrow holds the whole file, or a whole group of rows.
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=READ_BYTES) as table:
            for batch in table.iter_batches(batch_size=BATCH_ROWS):
                yield from batch.to_pylist()
        return
    with pa.OSFile(str(path)) as source:
        random_access = source.read(6) == b"ARROW1"
        source.seek(0)
        reader = pa.ipc.open_file(source) if random_access else pa.ipc.open_stream(source)
        batches = map(reader.get_batch, range(reader.num_record_batches)) if random_access else reader
        for batch in batches:
            for start in range(0, batch.num_rows, BATCH_ROWS):
                yield from batch.slice(start, BATCH_ROWS).to_pylist()


def scan_dataset_folder(path: Path, split: str | None) -> Iterator[dict]:
    if (path / "dataset_dict.json").exists():
        splits = _saved(path / "dataset_dict.json", "splits")
        if split is None and len(splits) == 1:
            split = splits[0]
        if split not in splits:
            raise BadInput(f"{path}: name one of its splits with --split: {', '.join(splits)}")
        path = path / split
    elif split is not None and split != (only := _saved(path / "state.json", "_split")):
        raise BadInput(f"{path}: is one split, {only!r}, not {split!r}")
    for file in _saved(path / "state.json", "_data_files"):
        yield from scan_table(path / file["filename"])


def _saved(file: Path, key: str) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))[key]
    except FileNotFoundError:
        raise BadInput(
            f"{file.parent}: a folder, but not a saved dataset (no {file.name}). {known_formats()}"
        ) from None
    except (ValueError, LookupError, TypeError):
        raise BadInput(f"{file}: does not describe a saved dataset (no {key!r})") from None


class TableFile:
    """Parquet, Arrow stream or dataset folder. A column's type is known only at the end, so batches wait in an
    unnamed temporary file, and are cast to the type that fits them all when it is written out."""

    def __init__(self, part: Path, allow_nan: bool, kind: str) -> None:
        self._part, self._kind = part, kind
        self._rows: list[dict] = []
        self._spool = tempfile.TemporaryFile(dir=part.parent)
        self._sizes: list[int] = []
        self._schema = pa.schema([])

    def write(self, row: dict) -> None:
        self._rows.append(row)
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
            if self._kind == "folder":
                self._part.mkdir()
            with open(self._part / "data-00000-of-00001.arrow" if self._kind == "folder" else self._part, "wb") as file:
                writer = (pq.ParquetWriter if self._kind == "parquet" else pa.ipc.new_stream)(file, self._schema)
                with writer:
                    for size in self._sizes:
                        table = pa.ipc.open_stream(self._spool.read(size)).read_all()
                        parts = [self._schema.empty_table(), table]
                        writer.write_table(pa.concat_tables(parts, promote_options="permissive").combine_chunks())
                file.flush()
                os.fsync(file.fileno())
            if self._kind == "folder":
                self._write_dataset_state()

    def _write_dataset_state(self) -> None:
        state = {
            "_data_files": [{"filename": "data-00000-of-00001.arrow"}],
            "_fingerprint": "0" * 16,
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": "train",
        }
        write_text(self._part / "state.json", json.dumps(state, indent=2))
        write_text(self._part / "dataset_info.json", json.dumps({"citation": "", "description": "", "license": ""}))
