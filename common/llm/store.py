"""Every answer a server gave, in one SQLite file, so that no request is paid for twice.

The key is a hash of all that determines the answer, nothing of the row or the run it was asked for. WAL mode: a run
killed at any moment loses only what was not yet committed, and several runs on one machine may share a store.

Each answer carries a checksum of itself and its key: what a failing disk changed is asked again, never believed. A file
that SQLite cannot read on is set aside as <name>.damaged, and what is readable in it goes into a new one.
"""

import asyncio
import contextlib
import json
import os
import sqlite3
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

from common.errors import BadInput, CommonError
from common.llm.options import LLMOptions
from common.rows import dump_row, input_files
from common.step import Step

LAYOUT = 2  # 1: answers without a checksum; 0: a new file
MAGIC = b"SQLite format 3\0"
PAGES_IN_WAL = 4000  # 16 MB: what a damaged write-ahead log can cost; more would make little faster
ROWS_OF_A_STATEMENT = 100  # an SQLite of before 2020 takes 499
UNREADABLE = 100_000  # rows in a row that cannot be read: the rest of the file cannot

Check = Callable[[dict], bool]


def store_path(step: Step, options: LLMOptions) -> str | None:
    """Where the answers of this run are kept: in no file that it reads, and not in its output."""
    if options.no_store:
        return None
    path = options.store_path or f"{step.output}.answers.sqlite"
    for file in (step.output, *(file for given in step.inputs for file in input_files(given))):
        with contextlib.suppress(OSError):  # one of them is not there yet
            if os.path.realpath(path) == os.path.realpath(file) or os.path.samefile(path, file):
                raise BadInput(f"{path}: is input or output, not an answer store; choose another --store_path")
    return path


class AnswerStore:
    """`get` looks an answer up, `await put` returns what stands there once it is committed. Without a path nothing is
    kept. `is_answer` says whether a stored row can be used; what cannot is asked again."""

    def __init__(self, path: str | Path | None, is_answer: Check = lambda answer: True) -> None:
        self.path = Path(path) if path is not None else None
        self._is_answer = is_answer
        self._pending: list[tuple[list[tuple[bytes, bytes]], asyncio.Future]] = []  # rows, and who waits for them
        self._flushing = False
        self._useless: set[bytes] = set()  # keys whose answer cannot be used
        self._repairing = threading.Lock()
        self._writer = self._reader = None
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
        except (sqlite3.Error, OSError) as error:
            if not _is_damage(error):
                raise CommonError(f"{path}: cannot be used as answer store: {error}") from error
            self._repair(error, None)
        self._thread = ThreadPoolExecutor(1, "answer-store")

    # ------------------------------------------------------------ answers

    def get(self, key: bytes) -> dict | None:
        if self.path is None:
            return None
        found = self._read("SELECT answer FROM answers WHERE key = ?", key)
        if found is None:
            return None
        answer = _unpacked(key, found)
        if answer is None or not self._is_answer(answer):
            self._useless.add(key)
            return None
        return answer

    async def put(self, answers: list[tuple[bytes, dict]]) -> list[dict]:
        """The answers that stand under these keys now: these, or those that another run was quicker to put there."""
        if self.path is None or not answers:
            return [answer for _, answer in answers]
        loop = asyncio.get_running_loop()
        committed = loop.create_future()
        self._pending.append(([(key, _packed(key, answer)) for key, answer in answers], committed))
        if not self._flushing:
            self._flushing = True
            loop.create_task(self._flush(loop))
        there_before = await committed
        return [(key in there_before and self.get(key)) or answer for key, answer in answers]

    async def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        """Group commit without waiting for a group: whoever comes while one batch is written is in the next."""
        while self._pending:
            waiting, useless = self._pending, self._useless
            self._pending, self._useless = [], set()
            batch = [row for rows, _ in waiting for row in rows]
            try:
                written = loop.run_in_executor(self._thread, self._write, batch, useless)
            except RuntimeError:  # closed by a run that ends, with answers still on their way
                for _, committed in waiting:
                    committed.cancel()
                continue
            written.add_done_callback(_seen)  # also where nobody waits any more
            await asyncio.wait([written])
            error = written.exception()
            for _, committed in waiting:
                committed.add_done_callback(_seen)
                if error and not committed.done():
                    committed.set_exception(error)
                elif not committed.done():
                    committed.set_result(written.result())
        self._flushing = False

    def _write(self, batch: list[tuple[bytes, bytes]], useless: set[bytes]) -> set[bytes]:
        """Commit them; the keys under which another answer stood before, which stays."""
        with self._repairing:
            writer = self._writer
        try:
            try:
                return _insert(writer, batch, useless)
            except sqlite3.Error as error:
                if _is_damage(error):
                    self._repair(error, writer)
                elif writer is self._writer:  # not closed by a repair
                    raise
                return _insert(self._writer, batch, useless)
        except sqlite3.Error as error:
            raise CommonError(f"{self.path}: an answer could not be stored: {error}; run again to go on") from error

    # ------------------------------------------------------------ what is known of the models

    def identity_of(self, model: str) -> str | None:
        """What `remember_identity` was told last."""
        return self._read("SELECT identity FROM models WHERE name = ?", model) if self.path is not None else None

    def remember_identity(self, model: str, identity: str) -> None:
        if self.path is not None and self.identity_of(model) != identity:
            self._writer.execute("INSERT OR REPLACE INTO models VALUES (?, ?)", (model, identity))

    # ------------------------------------------------------------ the file

    def _read(self, query: str, value: Any) -> Any:
        reader = self._reader
        try:
            found = reader.execute(query, (value,)).fetchone()
        except sqlite3.Error as error:
            if not _is_damage(error):
                raise CommonError(f"{self.path}: cannot be read: {error}; run again to go on") from error
            self._repair(error, reader)
            found = self._reader.execute(query, (value,)).fetchone()
        return found[0] if found else None

    def _open(self) -> None:
        _check_it_is_ours(self.path)
        with contextlib.suppress(FileExistsError):  # the answers to private texts are nobody else's
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, 0o600))
        self._writer = _connect(self.path)
        self._writer.execute("CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer BLOB NOT NULL)")
        self._writer.execute("CREATE TABLE IF NOT EXISTS models (name TEXT PRIMARY KEY, identity TEXT NOT NULL)")
        if self._writer.execute("PRAGMA user_version").fetchone()[0] != LAYOUT:
            self._writer.execute(f"PRAGMA user_version={LAYOUT}")
        self._reader = _connect(self.path)

    def _repair(self, error: sqlite3.Error, noticed_by: sqlite3.Connection | None) -> None:
        with self._repairing:
            if noticed_by not in (self._reader, self._writer):
                return  # the other thread was quicker
            for connection in filter(None, (self._reader, self._writer)):
                connection.close()
            aside = _set_aside(self.path)
            self._open()
            self._writer.execute("BEGIN")
            kept = 0
            for key, packed in _readable(aside):
                if _unpacked(key, packed) is not None:
                    kept += self._writer.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", (key, packed)).rowcount
            self._writer.execute("COMMIT")
        print(
            f"{self.path}: damaged ({error}); set aside as {aside.name}, {kept:,} answers in it could be read and are "
            "kept, the others are asked again",
            file=sys.stderr,
        )

    def close(self) -> None:
        if self.path is not None:
            self._thread.shutdown()
            self._reader.close()
            self._writer.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=60, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")  # a power cut may cost the last answers, never the file
    connection.execute("PRAGMA cache_size=-65536")
    connection.execute(f"PRAGMA wal_autocheckpoint={PAGES_IN_WAL}")
    return connection


def _insert(writer: sqlite3.Connection, rows: list[tuple[bytes, bytes]], useless: set[bytes]) -> set[bytes]:
    there: set[bytes] = set()
    writer.execute("BEGIN IMMEDIATE")
    try:
        writer.executemany("DELETE FROM answers WHERE key = ?", [(key,) for key in useless])
        if _insert_new(writer, rows) < len(rows):
            for key, packed in rows:
                held = writer.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
                if held is None:  # neither let in nor there
                    raise sqlite3.DatabaseError("its index does not fit its rows")
                there |= {key} if held[0] != packed else set()
        writer.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            writer.execute("ROLLBACK")
        raise
    return there


def _insert_new(writer: sqlite3.Connection, rows: list[tuple[bytes, bytes]]) -> int:
    """How many of the keys were new. Many rows a statement: between two statements this thread waits for Python."""
    count = 0
    for start in range(0, len(rows), ROWS_OF_A_STATEMENT):
        some = rows[start : start + ROWS_OF_A_STATEMENT]
        places = ", ".join(["(?, ?)"] * len(some))
        count += writer.execute(f"INSERT OR IGNORE INTO answers VALUES {places}", [*chain(*some)]).rowcount
    return count


def _packed(key: bytes, answer: dict) -> bytes:
    text = dump_row(answer)
    return b"%b\n%08x" % (text, zlib.crc32(key + text))


def _unpacked(key: bytes, packed: Any) -> dict | None:
    """None where it is not what was put there."""
    if not isinstance(packed, bytes):
        return None
    text, line, checksum = packed.rpartition(b"\n")
    if not line:
        text = checksum  # layout 1
    elif checksum != b"%08x" % zlib.crc32(key + text):
        return None
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _check_it_is_ours(path: Path) -> None:
    """Nothing is changed in a file that is none of ours."""
    if not path.exists() or path.is_dir() or not path.stat().st_size:
        return  # a folder cannot be opened, which says enough
    with open(path, "rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise BadInput(
                f"{path}: cannot be used as answer store, it is a file of another kind; choose another --store_path"
            )
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=60)) as reader:
        layout = reader.execute("PRAGMA user_version").fetchone()[0]
        if layout > LAYOUT:
            raise BadInput(f"{path}: an answer store of layout {layout}; this version reads {LAYOUT}")
        tables = {name for (name,) in reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        columns = [column[1] for column in reader.execute("PRAGMA table_info(answers)")]
        if tables and columns != ["key", "answer"]:
            raise BadInput(f"{path}: a database of something else ({', '.join(sorted(tables))}), not an answer store")


def _seen(future: asyncio.Future) -> None:
    """What went wrong is told by the run, not once more by asyncio."""
    if not future.cancelled():
        future.exception()


def _is_damage(error: Exception) -> bool:
    """Not a full disk, a lock or a missing right: those are OperationalError."""
    return type(error) is sqlite3.DatabaseError


def _set_aside(path: Path) -> Path:
    """With its write-ahead log, which holds the last answers."""
    names = (path.with_name(f"{path.name}.damaged{number or ''}") for number in range(10**6))
    aside = next(name for name in names if not name.exists())
    for ending in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{ending}", f"{aside}{ending}")
    Path(f"{path}-shm").unlink(missing_ok=True)
    return aside


def _readable(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Keys and answers of a damaged file, row by row around what cannot be read."""
    query = "SELECT rowid, key, answer FROM answers WHERE rowid > ? ORDER BY rowid"
    last = failed = 0
    with contextlib.closing(sqlite3.connect(path)) as reader:
        while failed < UNREADABLE:
            try:
                for rowid, key, answer in reader.execute(query, (last,)):
                    last, failed = rowid, 0
                    yield key, answer
                return
            except sqlite3.Error:
                last, failed = last + 1, failed + 1
