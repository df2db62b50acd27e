"""Read rows, one at a time, from whatever format a file has."""

import contextlib
import zlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from common.errors import BadInput, BadRow
from common.rows import tables
from common.rows.files import LINE_ENDINGS, TABLE_ENDINGS, ending, input_files, known_formats
from common.rows.json_rows import READ_CHARS, open_text, scan_text
from common.rows.tables import scan_dataset_folder, scan_table


def read_rows(path: str | Path, split: str | None = None, allow_nan: bool = False) -> Iterator[dict]:
    """The rows of `path`; raises BadRow at the first one that is none."""
    for row in scan_rows(path, split, allow_nan):
        if isinstance(row, BadRow):
            raise row
        yield row


def scan_rows(path: str | Path, split: str | None = None, allow_nan: bool = False) -> Iterator[dict | BadRow]:
    """One item an input row, in order; a row that cannot be used comes as the BadRow that says why."""
    for file in input_files(path):
        count = 0
        with _named(file, lambda: f" after row {count - 1}" if count else ""):  # noqa: B023
            for row in _scan_file(file, split, allow_nan):
                count += 1
                yield row


def rows_at(
    path: str | Path, places: Collection[int], split: str | None = None, allow_nan: bool = False
) -> dict[int, dict | BadRow]:
    """{place: row} of the rows at these places that there are; the others, bad ones too, are read past."""
    wanted = set(places)
    return {place: row for place, row in enumerate(scan_rows(path, split, allow_nan)) if place in wanted}


def _scan_file(file: Path, split: str | None, allow_nan: bool) -> Iterator[dict | BadRow]:
    if file.is_dir():
        return scan_dataset_folder(file, split)
    if split is not None:
        raise BadInput(f"{file}: has no splits; --split is for a dataset folder")
    if file.exists() and not file.is_file():
        raise BadInput(f"{file}: neither a file nor a folder; rows are read twice, so give a file")
    if file.name.endswith(LINE_ENDINGS):
        return scan_text(file, allow_nan)
    if file.name.endswith(TABLE_ENDINGS):
        return scan_table(file)
    raise BadInput(f"{file}: not a known format. {known_formats()}")


@contextlib.contextmanager
def _named(file: Path, place: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Whatever a decoder says of a broken file, said of that file."""
    try:
        yield
    except (OSError, EOFError, zlib.error, ValueError, OverflowError, pa.ArrowException) as error:
        problem = " ".join(str(error).split())
        expected = "dataset folder" if file.is_dir() else f"{ending(file)} file"
        raise BadInput(f"{file}: cannot be read{place()}: {problem}; expected a whole {expected}") from error


def schema_of(path: str | Path, split: str | None = None) -> pa.Schema | None:
    """The types of the columns of tables, for the writer of the next; None where a file is text, or they differ."""
    schemas = []
    for file in input_files(path):
        with _named(file):
            schemas.append(tables.schema_of(file, split))
    return tables.one_schema(schemas)


def count_rows(path: str | Path, split: str | None = None) -> int:
    """How many rows there are, as fast as the format tells: lines are counted, not parsed."""
    total = 0
    for file in input_files(path):
        with _named(file):
            if file.name.endswith(".parquet"):
                total += pq.read_metadata(file).num_rows
            elif file.name.endswith(LINE_ENDINGS[:3]):
                with open_text(file) as stream:
                    last = b"\n"
                    while chunk := stream.read(READ_CHARS):
                        total, last = total + chunk.count(b"\n"), chunk
                    total += not last.endswith(b"\n")
            else:
                total += sum(1 for _ in scan_rows(file, split))
    return total
