"""Write rows: a file appears whole and synced, or not at all."""

import os
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from common.errors import BadInput, CommonError, UnwritableRow
from common.rows.atomic import Replacement, cannot_write, saying
from common.rows.files import LINE_ENDINGS, ROW_ENDINGS, ending, known_formats
from common.rows.json_rows import TextFile, gzipped, zstd
from common.rows.tables import TableFile


def write_rows(path: str | Path, rows: Iterable[dict], allow_nan: bool = False, schema: pa.Schema | None = None) -> int:
    """Write all rows to `path`, or nothing; returns how many."""
    with RowWriter(path, allow_nan, schema) as writer:
        for row in rows:
            writer.write(row)
    return writer.count


class RowWriter:
    """`with RowWriter(path) as writer: writer.write(row)`: the file appears whole when the block ends well.

    While it is open it holds `<path>.lock`, so a second writer of the same file stops, and writes `<path>.part`.
    `allow_nan` lets text files hold NaN; in a table, columns named in `schema` have its types.
    """

    def __init__(self, path: str | Path, allow_nan: bool = False, schema: pa.Schema | None = None) -> None:
        real = Path(os.path.realpath(path))
        if ending(real) not in ("", *ROW_ENDINGS):
            raise BadInput(f"{path}: cannot write this format. {known_formats()}")
        self._replacement = Replacement(real, folder=ending(real) == "")
        self.path, self.count, self._allow_nan, self._schema = real, 0, allow_nan, schema

    def __enter__(self) -> "RowWriter":
        self._replacement.begin()
        try:
            with saying(self.path):
                self._file = self._open(self._replacement.part)
        except BaseException:
            self._replacement.drop()
            raise
        return self

    def _open(self, part: Path) -> TextFile | TableFile:
        kind = ending(self.path)
        if kind in LINE_ENDINGS:
            squeeze = {".jsonl.gz": gzipped, ".jsonl.zst": zstd}.get(kind)
            return TextFile(part, self._allow_nan, array=kind == ".json", squeeze=squeeze)
        return TableFile(part, kind or "folder", self._schema)

    def write(self, *rows: dict) -> None:
        """Write all of these rows, or none of them: UnwritableRow names one that this format cannot hold."""
        encoded = []
        try:
            for row in rows:
                encoded.append(self._file.encode(row))
        except (ValueError, TypeError, RecursionError) as error:
            raise UnwritableRow(str(self.path), self.count + len(encoded), str(error)) from error
        try:
            for row in encoded:
                self._file.add(row)
                self.count += 1
        except OSError as error:
            raise cannot_write(self.path, error) from error
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
