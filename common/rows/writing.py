"""Write rows: a file appears whole and synced, or not at all."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from common.errors import BadInput, CommonError, UnwritableRow
from common.rows.atomic import Replacement, saying
from common.rows.files import ending, known_formats
from common.rows.json_rows import TextFile, gzipped, zstd
from common.rows.tables import TableFile


def write_rows(path: str | Path, rows: Iterable[dict], allow_nan: bool = False) -> int:
    """Write all rows to `path`, or nothing; returns how many."""
    with RowWriter(path, allow_nan=allow_nan) as writer:
        for row in rows:
            writer.write(row)
    return writer.count


class RowWriter:
    """`with RowWriter(path) as writer: writer.write(row)`: the file appears whole when the block ends well.

    While it is open it holds `<path>.lock`, so a second writer of the same file stops, and writes `<path>.part`.
    """

    def __init__(self, path: str | Path, allow_nan: bool = False) -> None:
        real = Path(os.path.realpath(path))
        self._format = _FORMATS.get(ending(real))
        if self._format is None:
            raise BadInput(f"{path}: cannot write this format. {known_formats()}")
        self._replacement = Replacement(real, folder=ending(real) == "")
        self.path, self.count, self._allow_nan = real, 0, allow_nan

    def __enter__(self) -> "RowWriter":
        self._replacement.begin()
        try:
            with saying(self.path):
                self._file = self._format(self._replacement.part, self._allow_nan)
        except BaseException:
            self._replacement.drop()
            raise
        return self

    def write(self, *rows: dict) -> None:
        """Write all of these rows, or none of them: UnwritableRow names one that this format cannot hold."""
        encoded = []
        for row in rows:
            try:
                encoded.append(self._file.encode(row))
            except (ValueError, TypeError, RecursionError) as error:
                raise UnwritableRow(self.path, self.count + len(encoded), str(error)) from error
        try:
            with saying(self.path):
                for line in encoded:
                    self._file.add(line)
                    self.count += 1
        except (ValueError, TypeError, pa.ArrowException) as error:
            raise CommonError(f"{self.path}: row {self.count} cannot be written: {error}") from error

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        self.close(keep=kind is None)

    def close(self, keep: bool) -> None:
        """Put the file in its place, or leave no trace of it."""
        try:
            with saying(self.path):
                self._file.close(complete=keep)
        except BaseException as failed:
            self._replacement.drop()
            if isinstance(failed, ValueError | TypeError | pa.ArrowException):
                raise CommonError(f"{self.path}: cannot be written: {failed}") from failed
            raise
        if keep:
            self._replacement.keep()
        else:
            self._replacement.drop()


_FORMATS: dict[str, Callable[[Path, bool], Any]] = {
    ".jsonl": TextFile,
    ".json": lambda part, nan: TextFile(part, nan, array=True),
    ".jsonl.gz": lambda part, nan: TextFile(part, nan, squeeze=gzipped),
    ".jsonl.zst": lambda part, nan: TextFile(part, nan, squeeze=zstd),
    ".parquet": lambda part, nan: TableFile(part, nan, "parquet"),
    ".arrow": lambda part, nan: TableFile(part, nan, "arrow"),
    "": lambda part, nan: TableFile(part, nan, "folder"),
}
