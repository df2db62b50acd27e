"""Write rows: a file appears whole and synced, or not at all."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from common.errors import CommonError
from common.rows.files import cannot_write, check_target, drop_lock, ending, remove, replace_synced, restore, take_lock
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
        self.path = Path(os.path.realpath(path))  # through a symlink: the link stays, its target is replaced
        check_target(self.path)
        self.part = self.path.with_name(self.path.name + ".part")
        self.count = 0
        self._allow_nan = allow_nan

    def __enter__(self) -> "RowWriter":
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = take_lock(self.path)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        try:
            restore(self.path)
            remove(self.part)
            self._file = _FORMATS[ending(self.path)](self.part, self._allow_nan)
        except BaseException as error:
            drop_lock(self._lock, self.path)
            if isinstance(error, OSError):
                raise cannot_write(self.path, error) from error
            raise
        return self

    def write(self, row: dict) -> None:
        try:
            self._file.write(row)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        except (ValueError, TypeError, RecursionError, pa.ArrowException) as error:
            raise CommonError(f"{self.path}: row {self.count} cannot be written: {error}") from error
        self.count += 1

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        self.close(keep=kind is None)

    def close(self, keep: bool) -> None:
        """Put the file in its place, or leave no trace of it."""
        try:
            self._file.close(complete=keep)
            if keep:
                replace_synced(self.part, self.path)
            else:
                remove(self.part)
        except OSError as failed:
            remove(self.part)
            raise cannot_write(self.path, failed) from failed
        except (ValueError, TypeError, pa.ArrowException) as failed:
            remove(self.part)
            raise CommonError(f"{self.path}: cannot be written: {failed}") from failed
        finally:
            drop_lock(self._lock, self.path)


_FORMATS: dict[str, Callable[[Path, bool], Any]] = {
    ".jsonl": TextFile,
    ".json": lambda part, nan: TextFile(part, nan, array=True),
    ".jsonl.gz": lambda part, nan: TextFile(part, nan, squeeze=gzipped),
    ".jsonl.zst": lambda part, nan: TextFile(part, nan, squeeze=zstd),
    ".parquet": lambda part, nan: TableFile(part, nan, "parquet"),
    ".arrow": lambda part, nan: TableFile(part, nan, "arrow"),
    "": lambda part, nan: TableFile(part, nan, "folder"),
}
