r"""Read and write rows (dicts) in the formats that fine-tuning data comes in, one row at a time.

    for row in read_rows("pages.jsonl.zst"): ...
    write_rows("kept.parquet", rows)

in   .json (an array, or one object a line), .jsonl .jsonl.gz .jsonl.zst, .parquet, .arrow, a Hugging Face dataset
     folder (save_to_disk), or a glob of these, read in name order, without what steps leave beside their outputs
out  the same; a path without an ending is a dataset folder. A file appears whole, synced, or not at all

Text survives: lines end at \n only, "05" stays "05", lone surrogates are kept as JSON escapes, NUL and U+2028 as
they are.
"""

import codecs
import contextlib
import errno
import fcntl
import glob
import gzip
import io
import json
import math
import os
import re
import shutil
import stat
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from common.errors import BadInput, BadRow, CommonError, OutputInUse

LINE_ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".json")
TABLE_ENDINGS = (".parquet", ".arrow")
BATCH_ROWS = 1000
READ_CHARS = 1 << 20
SHOWN_RAW = 2000  # characters of a bad row that its error keeps
# What a step leaves beside its output; a glob of outputs does not mean these.
SIDE_FILES = (".rejected.jsonl", ".manifest.json", ".done.json", ".answers.sqlite", ".lock", ".part")


# ---------------------------------------------------------------- reading


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


def _scan_file(file: Path, split: str | None, allow_nan: bool) -> Iterator[dict | BadRow]:
    if file.is_dir():
        return _scan_dataset_folder(file, split)
    if split is not None:
        raise BadInput(f"{file}: has no splits; --split is for a dataset folder")
    if file.exists() and not file.is_file():
        raise BadInput(f"{file}: neither a file nor a folder; rows are read twice, so give a file")
    if file.name.endswith(LINE_ENDINGS):
        return _scan_text(file, allow_nan)
    if file.name.endswith(TABLE_ENDINGS):
        return _scan_table(file)
    raise BadInput(f"{file}: not a known format. {known_formats()}")


@contextlib.contextmanager
def _named(file: Path, place: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Whatever a decoder says of a broken file, said of that file."""
    try:
        yield
    except (OSError, EOFError, zlib.error, ValueError, OverflowError, pa.ArrowException) as error:
        raise BadInput(f"{file}: cannot be read{place()}: {error}") from error


def count_rows(path: str | Path, split: str | None = None) -> int:
    """How many rows there are, as fast as the format tells: lines are counted, not parsed."""
    total = 0
    for file in input_files(path):
        with _named(file):
            if file.name.endswith(".parquet"):
                total += pq.read_metadata(file).num_rows
            elif file.name.endswith(LINE_ENDINGS[:3]):
                with _open_text(file) as stream:
                    total += sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(READ_CHARS), b""))  # noqa: B023
            else:
                total += sum(1 for _ in scan_rows(file, split))
    return total


def input_files(path: str | Path) -> list[Path]:
    """The files `path` names: itself, or the sorted matches of a glob."""
    try:
        if Path(path).exists():
            return [Path(path)]
    except OSError as error:  # a name too long, a folder one may not look into
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
    matches = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]
    matches = [match for match in matches if not match.name.endswith(SIDE_FILES)]
    if not matches:
        raise BadInput(f"{path}: no such file. Give a file, a dataset folder or a quoted glob. {known_formats()}")
    return matches


def known_formats() -> str:
    return f"Known: {' '.join(LINE_ENDINGS + TABLE_ENDINGS)}, or a Hugging Face dataset folder."


def _scan_text(path: Path, allow_nan: bool) -> Iterator[dict | BadRow]:
    decoder = _RowDecoder(allow_nan)
    with _open_text(path) as stream:
        if path.name.endswith(".json") and _first_byte(stream) == b"[":
            yield from _scan_array(stream, str(path), decoder)
        else:
            yield from _scan_lines(stream, str(path), decoder)


def _open_text(path: Path) -> IO[bytes]:
    if path.name.endswith(".gz"):
        return gzip.open(path, "rb")
    if path.name.endswith(".zst"):
        return io.BufferedReader(pa.input_stream(str(path), compression="zstd"), READ_CHARS)
    return open(path, "rb")


def _first_byte(stream: IO[bytes]) -> bytes:
    head = stream.peek(4096)  # a plain or gzip file: both are buffered
    return head.removeprefix(codecs.BOM_UTF8).lstrip()[:1]


class _RowDecoder(json.JSONDecoder):
    """Says in `problem` what JSON leaves open and would be lost or not come back; the text is read to its end."""

    def __init__(self, allow_nan: bool) -> None:
        self.problem: str | None = None
        strict = {} if allow_nan else {"parse_constant": self._no_constant, "parse_float": self._finite}
        super().__init__(object_pairs_hook=self._unique_keys, **strict)

    def raw_decode(self, text: str, idx: int = 0) -> tuple[Any, int]:
        self.problem = None
        return super().raw_decode(text, idx)

    def row(self, value: Any) -> dict:
        if self.problem:
            raise ValueError(self.problem)
        if not isinstance(value, dict):
            raise ValueError(f'found a {type(value).__name__} where an object like {{"key": "value"}} was expected')
        return value

    def _unique_keys(self, pairs: list[tuple[str, Any]]) -> dict:
        row = dict(pairs)
        if len(row) < len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))
            self.problem = f"key {twice!r} stands twice"
        return row

    def _no_constant(self, name: str) -> None:
        self.problem = f"{name} is not JSON"

    def _finite(self, text: str) -> float:
        number = float(text)
        if math.isinf(number):
            self.problem = f"{text} is too large for a number"
        return number


def _scan_lines(stream: IO[bytes], path: str, decoder: _RowDecoder) -> Iterator[dict | BadRow]:
    index = 0
    for number, line in enumerate(stream, 1):
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if not line.strip():
            continue
        try:
            yield decoder.row(decoder.decode(line.decode()))
        except UnicodeDecodeError as error:
            problem = f"not UTF-8 at byte {error.start} of the line"
            yield BadRow(path, index, problem, line[:SHOWN_RAW].decode(errors="backslashreplace"), number)
        except (ValueError, RecursionError) as error:
            raw = line[: 4 * SHOWN_RAW].decode(errors="replace")[:SHOWN_RAW]
            yield BadRow(path, index, _json_problem(error, "one JSON object a line"), raw, number)
        index += 1


def _json_problem(error: Exception, expected: str, start: int = 0) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON ({error.msg.removesuffix(' at')} at character {error.pos - start}); expected {expected}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error)


_SPACE = re.compile(r"[ \t\r\n]*")
_NOT_UTF8 = re.compile("[\udc80-\udcff]")  # what surrogateescape makes of such bytes; JSON itself never holds these


def _scan_array(stream: IO[bytes], path: str, decoder: _RowDecoder) -> Iterator[dict | BadRow]:
    """The elements of one JSON array, decoded as they arrive: memory holds one element and one chunk."""
    read = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="").read
    text, at, line, ended = "", 0, 1, False

    def more() -> None:
        nonlocal text, at, line, ended
        line += text.count("\n", 0, at)
        # Doubling keeps re-reading of one very long element linear.
        chunk = read(max(READ_CHARS, len(text) - at))
        text, at, ended = text[at:] + chunk, 0, not chunk

    def next_mark() -> str:
        nonlocal at
        while True:
            at = _SPACE.match(text, at).end()
            if at < len(text) or ended:
                return text[at : at + 1]
            more()

    def fail(problem: str) -> BadInput:
        return BadInput(f"{path}, line {line + text.count(chr(10), 0, at)} (row {index}): {problem}")

    index = 0
    next_mark()
    at += 1  # the opening bracket
    while (mark := next_mark()) != "]":
        if index:
            if mark != ",":
                raise fail("the file ends inside the array; is it cut off?" if not mark else "expected , or ]")
            at += 1
            next_mark()
        while True:
            try:
                value, end = decoder.raw_decode(text, at)
            except (ValueError, RecursionError) as error:
                if ended or not _may_go_on(error, text):
                    raise fail(_json_problem(error, "an array of objects", at)) from None
            else:
                if end < len(text) or ended:
                    break
            more()
        try:
            if not text.isascii() and (wrong := _NOT_UTF8.search(text, at, end)):
                raise ValueError(f"not UTF-8 at character {wrong.start() - at} of the row")
            yield decoder.row(value)
        except ValueError as error:
            row_line = line + text.count("\n", 0, at)
            yield BadRow(path, index, str(error), text[at : min(end, at + SHOWN_RAW)], row_line)
        at = end
        index += 1
    at += 1
    if next_mark():
        raise fail("more text after the end of the array")


def _may_go_on(error: Exception, text: str) -> bool:
    """Whether the text may be good JSON that is cut short; only then is more of it read."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.msg.startswith("Unterminated string") or error.pos > len(text) - len("-Infinity, \\ud83d\\ude00")


def _scan_table(path: Path) -> Iterator[dict]:
    if path.name.endswith(".parquet"):
        # Without the two options pyarrow holds the whole file, or a whole group of rows.
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=READ_CHARS) as table:
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


def _scan_dataset_folder(path: Path, split: str | None) -> Iterator[dict]:
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
        yield from _scan_table(path / file["filename"])


def _saved(file: Path, key: str) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))[key]
    except FileNotFoundError:
        raise BadInput(
            f"{file.parent}: a folder, but not a saved dataset (no {file.name}). {known_formats()}"
        ) from None
    except (ValueError, LookupError, TypeError):
        raise BadInput(f"{file}: does not describe a saved dataset (no {key!r})") from None


# ---------------------------------------------------------------- writing


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
        _check_target(self.path)
        self.part = self.path.with_name(self.path.name + ".part")
        self.count = 0
        self._allow_nan = allow_nan

    def __enter__(self) -> "RowWriter":
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _take_lock(self.path)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        try:
            _restore(self.path)
            _remove(self.part)
            self._file = _FORMATS[_ending(self.path)](self.part, self._allow_nan)
        except BaseException as error:
            _drop_lock(self._lock, self.path)
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
                _remove(self.part)
        except OSError as failed:
            _remove(self.part)
            raise cannot_write(self.path, failed) from failed
        except (ValueError, TypeError, pa.ArrowException) as failed:
            _remove(self.part)
            raise CommonError(f"{self.path}: cannot be written: {failed}") from failed
        finally:
            _drop_lock(self._lock, self.path)


def _check_target(path: Path) -> None:
    if _ending(path) not in _FORMATS:
        raise BadInput(f"{path}: cannot write this format. {known_formats()}")
    if Path.cwd().is_relative_to(path):
        raise BadInput(f"{path}: holds the folder you are in; choose another output")
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise cannot_write(path, error) from error
    folder = _ending(path) == ""
    if folder and not (path / "state.json").exists() and not (path.is_dir() and not any(path.iterdir())):
        raise BadInput(f"{path}: exists and is not a dataset folder; choose another output")
    if not folder and not stat.S_ISREG(mode):
        raise BadInput(f"{path}: exists and is not a file; choose another output")
    if not mode & stat.S_IWUSR or not os.access(path, os.W_OK):
        raise BadInput(f"{path}: is read-only; remove it or choose another output")


def _ending(path: Path) -> str:
    for ending in LINE_ENDINGS + TABLE_ENDINGS:
        if path.name.endswith(ending):
            return ending
    return path.suffix


def cannot_write(path: Path, error: OSError) -> CommonError:
    advice = "free some space and run again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "nothing was changed"
    return CommonError(f"{path}: cannot be written: {error.strerror or error}; {advice}")


def replace_synced(part: Path, path: Path) -> None:
    """Rename `part` to `path` and make that durable. A dataset folder in the way is moved aside first."""
    if path.is_dir():
        os.rename(path, _aside(path))
        os.rename(part, path)
        _remove(_aside(path))
    else:
        os.replace(part, path)
    _sync(path.parent)


def _aside(folder: Path) -> Path:
    return folder.with_name(folder.name + ".old.part")


def _restore(folder: Path) -> None:
    """Tidy up after a run that was killed between the two renames of a folder."""
    if _aside(folder).exists() and not folder.exists():
        os.rename(_aside(folder), folder)
    _remove(_aside(folder))


def write_text(path: Path, text: str) -> None:
    """A small file, whole and synced."""
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        replace_synced(part, path)
    except OSError as error:
        raise cannot_write(path, error) from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _take_lock(path: Path) -> int:
    lock = path.with_name(path.name + ".lock")
    while True:
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == os.stat(lock).st_ino:
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise OutputInUse(f"{path}: another run is writing it; wait for that one or stop it") from None
        except FileNotFoundError:
            pass  # the run that held it has just ended and removed it: take a new one
        os.close(descriptor)


def _drop_lock(descriptor: int, path: Path) -> None:
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    os.close(descriptor)


def _plain(value: Any) -> Any:
    """What parquet and arrow hold and JSON does not: times as ISO text, decimals as their digits."""
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"a {type(value).__name__} has no form in JSON; write .parquet instead")


_ENCODERS = {
    (ascii_only, nan): json.JSONEncoder(ensure_ascii=ascii_only, allow_nan=nan, default=_plain).encode
    for ascii_only in (False, True)
    for nan in (False, True)
}


def dump_row(row: Any, allow_nan: bool = False) -> bytes:
    """One JSON text in UTF-8, no line end. A row with lone surrogates, which UTF-8 lacks, is written in ASCII."""
    try:
        return _ENCODERS[False, allow_nan](row).encode()
    except UnicodeEncodeError:
        return _ENCODERS[True, allow_nan](row).encode()


class _TextFile:
    """JSON lines, or with `array` a JSON array with one row a line; `squeeze` wraps the file in a compressor."""

    def __init__(
        self, part: Path, allow_nan: bool, array: bool = False, squeeze: Callable[[IO[bytes]], Any] | None = None
    ) -> None:
        self._part, self._raw = part, open(part, "wb", buffering=1 << 20)
        self._file = squeeze(self._raw) if squeeze else self._raw
        self._allow_nan, self._array, self._first = allow_nan, array, True

    def write(self, row: dict) -> None:
        line = dump_row(row, self._allow_nan)
        if self._array:
            self._file.write((b"[\n" if self._first else b",\n") + line)
            self._first = False
        else:
            self._file.write(line + b"\n")

    def close(self, complete: bool) -> None:
        try:
            if complete and self._array:
                self._file.write(b"[]\n" if self._first else b"\n]\n")
            self._file.close()
            self._raw.close()
            if complete:
                _sync(self._part)
        except OSError:
            if complete:
                raise
        finally:
            with contextlib.suppress(OSError):  # a full disk refuses the rest once more; the error above has said so
                self._raw.close()


class _TableFile:
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


def _gzip(raw: IO[bytes]) -> gzip.GzipFile:
    return gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6)  # no name, no date: same bytes


def _zstd(raw: IO[bytes]) -> pa.CompressedOutputStream:
    return pa.CompressedOutputStream(pa.PythonFile(raw, mode="w"), "zstd")


_FORMATS: dict[str, Callable[[Path, bool], Any]] = {
    ".jsonl": _TextFile,
    ".json": lambda part, nan: _TextFile(part, nan, array=True),
    ".jsonl.gz": lambda part, nan: _TextFile(part, nan, squeeze=_gzip),
    ".jsonl.zst": lambda part, nan: _TextFile(part, nan, squeeze=_zstd),
    ".parquet": lambda part, nan: _TableFile(part, nan, "parquet"),
    ".arrow": lambda part, nan: _TableFile(part, nan, "arrow"),
    "": lambda part, nan: _TableFile(part, nan, "folder"),
}
