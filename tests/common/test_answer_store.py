"""The store keeps every answer it was given, once, whoever is killed."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from common.errors import BadInput, CommonError
from common.llm.protocol import is_stored_text
from common.llm.store import LAYOUT, AnswerStore


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


# ---------------------------------------------------------------- damage


def keep(number: int) -> dict:
    return {"text": f"answer {number} " * 30, "finish_reason": "stop", "in": 3, "out": 2}


def filled(path, count: int = 400) -> bytes:
    store = AnswerStore(path)

    async def put() -> None:
        await store.put([(key(number), keep(number)) for number in range(count)])

    asyncio.run(put())
    store.close()
    return path.read_bytes()


@pytest.mark.parametrize("seed", range(30))
def test_whatever_bits_flip_no_answer_is_wrong_and_most_are_kept(tmp_path, capsys, seed):
    path = tmp_path / "s.sqlite"
    content = bytearray(filled(path))
    rng = random.Random(seed)
    for _ in range(1 if seed % 2 else 20):
        content[rng.randrange(100, len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    store = AnswerStore(path)
    found = [store.get(key(number)) for number in range(400)]
    asyncio.run(store.put([(key(number), keep(number)) for number, answer in enumerate(found) if answer is None]))
    assert all(answer in (None, keep(number)) for number, answer in enumerate(found))
    again = [store.get(key(number)) for number in range(400)]
    assert all(answer in (None, keep(number)) for number, answer in enumerate(again)) and again.count(None) < 4
    store.close()
    aside = tmp_path / "s.sqlite.damaged"
    assert aside.exists() == ("set aside as s.sqlite.damaged" in capsys.readouterr().err)
    if aside.exists():
        assert aside.read_bytes() == content


@pytest.mark.parametrize("page", [2, 5, 20])
def test_around_a_lost_page_answers_are_kept(tmp_path, capsys, page):
    path = tmp_path / "s.sqlite"
    content = bytearray(filled(path))
    content[page * 4096 : (page + 1) * 4096] = os.urandom(4096)
    path.write_bytes(content)
    store = AnswerStore(path)
    kept = sum(store.get(key(number)) is not None for number in range(400))
    kept = sum(store.get(key(number)) == keep(number) for number in range(400))
    assert kept > 380 or page == 2
    assert (
        f"set aside as s.sqlite.damaged, {kept:,} answers in it could be read and are kept" in capsys.readouterr().err
    )
    assert (tmp_path / "s.sqlite.damaged").read_bytes() == content
    store.close()


def test_a_file_cut_short_is_set_aside_and_read_as_far_as_it_goes(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("common.llm.store.UNREADABLE", 2000)
    path = tmp_path / "s.sqlite"
    content = filled(path)
    for number in range(2):
        path.write_bytes(content[: len(content) * 2 // 3])
        store = AnswerStore(path)
        found = [store.get(key(number)) for number in range(400)]
        store.close()
        assert all(answer in (None, keep(number)) for number, answer in enumerate(found))
        assert "set aside as s.sqlite.damaged" in capsys.readouterr().err
    assert (tmp_path / "s.sqlite.damaged1").exists()


@pytest.mark.parametrize(
    "stored",
    [b"", b"{", b"null", b"[]", b"\xff", b'{"text": "x"}', b'{"text": 3, "finish_reason": "stop"}', "text", 5, 1.5]
    + [b"[" * 10**5, b'{"text": "x", "finish_reason": "stop", "in": "12"}', b'{"text": "a"}\n00000000'],
)
def test_a_stored_answer_that_is_none_is_asked_again_and_replaced(tmp_path, stored):
    path = tmp_path / "s.sqlite"
    filled(path, 3)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE answers SET answer = ? WHERE key = ?", (stored, key(1)))
    store = AnswerStore(path, is_stored_text)
    assert store.get(key(1)) is None and store.get(key(0)) == keep(0)
    assert asyncio.run(store.put([(key(1), keep(1))])) == [keep(1)]
    assert store.get(key(1)) == keep(1)
    store.close()


def test_an_answer_under_another_key_is_none(tmp_path):
    filled(tmp_path / "s.sqlite", 2)
    with sqlite3.connect(tmp_path / "s.sqlite") as database:
        (other,) = database.execute("SELECT answer FROM answers WHERE key = ?", (key(0),)).fetchone()
        database.execute("UPDATE answers SET answer = ? WHERE key = ?", (other, key(1)))
    assert AnswerStore(tmp_path / "s.sqlite").get(key(1)) is None


def test_answers_of_the_layout_without_checksums_are_read(tmp_path):
    with sqlite3.connect(tmp_path / "s.sqlite") as database:
        database.execute("CREATE TABLE answers (key BLOB PRIMARY KEY, answer BLOB NOT NULL)")
        database.execute("INSERT INTO answers VALUES (?, ?)", (key(1), b'{"text":"old","finish_reason":"stop"}'))
        database.execute("PRAGMA user_version=1")
    store = AnswerStore(tmp_path / "s.sqlite", is_stored_text)
    assert store.get(key(1))["text"] == "old"
    asyncio.run(store.put([(key(2), keep(2))]))
    assert store.get(key(2)) == keep(2)


@pytest.mark.parametrize("what", ["tables", "a table of our name", "text"])
def test_a_file_of_somebody_else_is_refused_and_left_as_it_is(tmp_path, what):
    path = tmp_path / "s.sqlite"
    if what == "text":
        path.write_text("notes " * 100)
    else:
        with sqlite3.connect(path) as database:
            database.execute(f"CREATE TABLE {'answers' if what != 'tables' else 'books'} (title TEXT)")
    before = path.read_bytes()
    with pytest.raises(BadInput, match="database of something else|cannot be used as answer store"):
        AnswerStore(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_who_comes_second_gets_what_stands(tmp_path):
    one, two = AnswerStore(tmp_path / "s.sqlite"), AnswerStore(tmp_path / "s.sqlite")
    assert asyncio.run(one.put([(key(1), {"text": "a"}), (key(2), {"text": "b"})])) == [{"text": "a"}, {"text": "b"}]
    assert asyncio.run(two.put([(key(2), {"text": "c"}), (key(3), {"text": "d"})])) == [{"text": "b"}, {"text": "d"}]


def test_nobody_else_can_read_it(tmp_path):
    filled(tmp_path / "s.sqlite", 3)
    store = AnswerStore(tmp_path / "s.sqlite")
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    store.close()


def test_identities_are_remembered(tmp_path):
    store = AnswerStore(tmp_path / "s.sqlite")
    assert store.identity_of("m") is None
    store.remember_identity("m", "one")
    store.remember_identity("m", "two")
    assert AnswerStore(tmp_path / "s.sqlite").identity_of("m") == "two"
    nowhere = AnswerStore(None)
    nowhere.remember_identity("m", "x")
    assert nowhere.identity_of("m") is None


# ---------------------------------------------------------------- the file


def put(store: AnswerStore, *numbers: int) -> list[dict]:
    async def within_seconds() -> list[dict]:
        return await asyncio.wait_for(store.put([(key(number), keep(number)) for number in numbers]), 10)

    return asyncio.run(within_seconds())


def test_its_folder_is_made_and_closed_it_is_one_file(tmp_path):
    path = tmp_path / "new" / "folder" / "s.sqlite"
    for _ in range(2):
        store = AnswerStore(path)
        assert put(store) == [] and put(store, 1, 2) == [keep(1), keep(2)]
        store.close()
        assert list(path.parent.iterdir()) == [path]
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (LAYOUT,)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)  # readers and a writer at once


def test_an_empty_file_becomes_a_store(tmp_path):
    (tmp_path / "s.sqlite").touch(0o640)
    store = AnswerStore(tmp_path / "s.sqlite")
    assert put(store, 1) == [keep(1)] == [store.get(key(1))]
    assert (tmp_path / "s.sqlite").stat().st_mode & 0o777 == 0o640  # it is not ours to say who reads it
    store.close()


def test_what_the_layout_before_held_is_marked_as_of_this_one(tmp_path):
    with sqlite3.connect(tmp_path / "s.sqlite") as database:
        database.execute("CREATE TABLE answers (key BLOB PRIMARY KEY, answer BLOB NOT NULL)")
        database.execute("PRAGMA user_version=1")
    AnswerStore(tmp_path / "s.sqlite").close()
    with sqlite3.connect(tmp_path / "s.sqlite") as database:
        assert database.execute("PRAGMA user_version").fetchone() == (LAYOUT,)


def test_what_cannot_be_stored_or_read_is_said_and_then_it_goes_on(tmp_path, monkeypatch):
    path = tmp_path / "s.sqlite"
    store = AnswerStore(path)
    put(store, 1)
    store._useless.add(object())  # what SQLite fails on in the middle of a commit
    with pytest.raises(CommonError, match="s.sqlite: an answer could not be stored: .*; run again to go on"):
        put(store, 2)
    assert put(store, 3) == [keep(3)]
    assert [store.get(key(number)) is not None for number in (1, 2, 3)] == [True, False, True]

    class Unreadable:
        def execute(self, *query: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(store, "_reader", Unreadable())
    with pytest.raises(CommonError, match="s.sqlite: cannot be read: disk I/O error; run again to go on"):
        store.get(key(1))
    monkeypatch.undo()
    store.close()
    assert list(tmp_path.iterdir()) == [path]  # a disk that fails is no damage of the file
