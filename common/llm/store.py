"""Every answer a server gave, in one SQLite file, so that no request is paid for twice.

The key is a hash of all that determines the answer, nothing of the row or the run it was asked for. WAL mode: a run
killed at any moment loses only what was not yet committed, and several runs on one machine may share a store.
"""

import asyncio
import json
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common.errors import BadInput, CommonError
from common.llm.options import LLMOptions
from common.rows import dump_row
from common.step import Step

LAYOUT = 1


def store_path(step: Step, options: LLMOptions) -> str | None:
    if options.no_store:
        return None
    path = options.store_path or f"{step.output}.answers.sqlite"
    if os.path.realpath(path) in map(os.path.realpath, (step.output, *step.inputs)):
        raise BadInput(f"{path}: is input or output, not an answer store; choose another --store_path")
    return path


class AnswerStore:
    """`get` looks an answer up, `await put` returns when it is committed. Without a path nothing is kept."""

    def __init__(self, path: str | Path | None) -> None:
        self.path = path
        self._pending: list[tuple[bytes, bytes]] = []
        self._committed: asyncio.Future | None = None  # of the batch that `_pending` will be
        self._flushing = False
        if path is None:
            return
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._writer = _connect(path)
            self._writer.execute("CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer BLOB NOT NULL)")
            layout = self._writer.execute("PRAGMA user_version").fetchone()[0]
            if layout not in (0, LAYOUT):
                raise BadInput(f"{path}: an answer store of layout {layout}; this version reads {LAYOUT}")
            self._writer.execute(f"PRAGMA user_version={LAYOUT}")
            self._reader = _connect(path)
        except (sqlite3.Error, OSError) as error:
            raise CommonError(f"{path}: cannot be used as answer store: {error}") from error
        self._thread = ThreadPoolExecutor(1, "answer-store")

    def get(self, key: bytes) -> dict | None:
        if self.path is None:
            return None
        found = self._reader.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        return json.loads(found[0]) if found else None

    async def put(self, answers: list[tuple[bytes, dict]]) -> None:
        if self.path is None:
            return
        loop = asyncio.get_running_loop()
        self._pending += [(key, dump_row(answer)) for key, answer in answers]
        self._committed = self._committed or loop.create_future()
        committed = self._committed
        if not self._flushing:
            self._flushing = True
            loop.create_task(self._flush(loop))
        await asyncio.shield(committed)

    async def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        """Group commit without waiting for a group: whoever comes while one batch is written is in the next."""
        while self._pending:
            batch, committed = self._pending, self._committed
            self._pending, self._committed = [], None
            try:
                await loop.run_in_executor(self._thread, self.write, batch)
            except CommonError as error:
                committed.set_exception(error)
                committed.exception()  # seen, also if those who waited are cancelled by now
            else:
                committed.set_result(None)
        self._flushing = False

    def write(self, batch: list[tuple[bytes, bytes]]) -> None:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?)", batch)
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise CommonError(f"{self.path}: an answer could not be stored: {error}; run again to go on") from error

    def close(self) -> None:
        if self.path is not None:
            self._thread.shutdown()
            self._reader.close()
            self._writer.close()


def _connect(path: str | Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=60, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")  # a power cut may cost the last answers, never the file
    connection.execute("PRAGMA cache_size=-65536")
    connection.execute("PRAGMA wal_autocheckpoint=25000")  # 100 MB: a random index page is synced once, not every time
    return connection
