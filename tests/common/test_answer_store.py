"""The store keeps every answer it was given, once, whoever is killed."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from common.errors import BadInput, CommonError
from common.llm.store import AnswerStore


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def put_all(store: AnswerStore, numbers: range) -> None:
    async def at_once() -> None:
        await asyncio.gather(*(store.put([(key(number), {"text": str(number)})]) for number in numbers))

    asyncio.run(at_once())


def test_what_is_put_is_found_also_by_another_process_view(tmp_path):
    store, other = AnswerStore(tmp_path / "s.sqlite"), AnswerStore(tmp_path / "s.sqlite")
    put_all(store, range(1000))
    assert [other.get(key(number)) for number in range(1000)] == [{"text": str(number)} for number in range(1000)]
    assert other.get(key(1000)) is None


def test_the_first_answer_stands(tmp_path):
    store = AnswerStore(tmp_path / "s.sqlite")
    asyncio.run(store.put([(key(1), {"text": "first"})]))
    asyncio.run(store.put([(key(1), {"text": "second"})]))
    assert store.get(key(1)) == {"text": "first"}


def test_surrogates_and_nul_survive(tmp_path):
    store = AnswerStore(tmp_path / "s.sqlite")
    asyncio.run(store.put([(key(1), {"text": "a\ud83d\x00\u2028中"})]))
    assert store.get(key(1)) == {"text": "a\ud83d\x00\u2028中"}


def test_without_a_path_nothing_is_kept():
    store = AnswerStore(None)
    asyncio.run(store.put([(key(1), {"text": "x"})]))
    assert store.get(key(1)) is None
    store.close()


def test_killed_while_writing_all_that_was_said_to_be_committed_is_there(tmp_path):
    code = f"""
        import asyncio, sys
        from common.llm.store import AnswerStore
        store = AnswerStore({str(tmp_path / "s.sqlite")!r})
        async def put(number):
            await store.put([(number.to_bytes(16, "big"), {{"text": str(number)}})])
            sys.stdout.write(f"{{number}}\\n")
            sys.stdout.flush()
        async def main():
            for first in range(0, 10**9, 64):
                await asyncio.gather(*map(put, range(first, first + 64)))
        asyncio.run(main())
    """
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
        committed = [int(process.stdout.readline()) for _ in range(700)]
        process.send_signal(signal.SIGKILL)
        committed += [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        store = AnswerStore(tmp_path / "s.sqlite")
        assert all(store.get(key(number)) == {"text": str(number)} for number in committed)
        store.close()


def test_a_store_of_another_layout_or_a_folder_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "s.sqlite") as database:
        database.execute("PRAGMA user_version=99")
    with pytest.raises(BadInput, match="layout 99"):
        AnswerStore(tmp_path / "s.sqlite")
    os.mkdir(tmp_path / "folder")
    with pytest.raises(CommonError, match="cannot be used as answer store"):
        AnswerStore(tmp_path / "folder")
