"""No row ever gets another row's answer, whatever comes over a connection that is used again."""

import asyncio
import gzip
import itertools
import json
import random
import socket

import pytest

from common.llm import client, connection
from common.llm.connection import Connections
from tests.common.raw_server import http, raw_server
from tests.common.scripted_server import completion

ROWS = 120


def pieces(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body, str(len(body)).encode()


async def twice_at_once(answer, write, older):
    write(answer + answer)


async def again_while_idle_or_busy(answer, write, older):
    write(answer)
    await asyncio.sleep(0.01)
    write(answer)


async def again_much_later(answer, write, older):
    write(answer)
    asyncio.get_running_loop().call_later(0.15, write, answer)


async def an_error_twice(answer, write, older):
    for _ in range(2):
        write(http({}, "500 Oops"))
        await asyncio.sleep(0.005)


async def nothing_of_use_twice(answer, write, older):
    for _ in range(2):
        write(http(b"<html>"))
        await asyncio.sleep(0.005)


async def an_older_one_first(answer, write, older):
    write(b"".join(older[-1:]) + answer)


async def an_older_one_instead(answer, write, older):
    write(older[-1] if older else answer)


async def length_too_short(answer, write, older):
    head, body, length = pieces(answer)
    write(head.replace(length, str(len(body) - 9).encode()) + b"\r\n\r\n" + body)


async def length_too_long(answer, write, older):
    head, body, length = pieces(answer)
    write(head.replace(length, str(len(body) + 40).encode()) + b"\r\n\r\n" + body)


async def cut_json(answer, write, older):
    write(http(pieces(answer)[1][:-20]))


LIES = [value for name, value in globals().items() if asyncio.iscoroutinefunction(value)]
IDS = {
    "unique": lambda number, _: {"id": f"chatcmpl-{number}"},
    "none": lambda *_: {},
    "one for all": lambda *_: {"id": "chatcmpl-1"},
    "a hundred": lambda _, rng: {"id": f"chatcmpl-{rng.randrange(100)}"},
}


# Which of its older answers a server sends again, nobody can tell whose answers have no ids of their own.
CASES = [(lie, ids) for lie in LIES for ids in IDS if ids == "unique" or lie is not an_older_one_instead]


@pytest.mark.parametrize("lie, ids", CASES, ids=lambda case: getattr(case, "__name__", case))
def test_an_answer_goes_to_the_row_that_asked(ask, lie, ids):
    rng, numbers, sent = random.Random(3), itertools.count(), {}

    async def respond(body, write):
        text = f"answer to {body['messages'][-1]['content']}"
        answer = http(completion(text, **IDS[ids](next(numbers), rng)))
        await asyncio.sleep(rng.random() / 200)
        if rng.random() < 0.1:
            await lie(answer, write, sent.get(write, []))
        else:
            sent.setdefault(write, []).append(answer)
            write(answer)

    with raw_server(respond) as url:
        rows = ask([f"q{number}" for number in range(ROWS)], url, "--concurrency", "8", "--request_timeout", "0.5")
    assert [row["response"] for row in rows] == [f"answer to q{number}" for number in range(ROWS)]


def test_where_the_server_repeats_the_id_it_is_sent_only_that_answer_is_taken(ask):
    """As vLLM does. Then not even an answer on a new connection, with an id never seen, is believed."""
    held = []

    async def respond(body, write):
        held.append((write, http(completion(body["messages"][-1]["content"], id=f"chatcmpl-{body['request_id']}-0"))))
        if len(held) == 2:  # on new connections, each gets the other's answer
            held[0][0](held[1][1])
            held[1][0](held[0][1])
        elif len(held) > 2:
            write(held[-1][1])

    with raw_server(respond) as url:
        rows = ask(["q0", "q1"], url, "--concurrency", "2")
    assert [row["response"] for row in rows] == ["q0", "q1"] and len(held) == 4
    assert ask.manifest()["llm"]["errors"] == {"APIResponseMixedUp": 2}


@pytest.mark.parametrize("ids, most", [("unique", 8), ("none", 200), ("one for all", 200)])
def test_connections_are_kept_where_ids_prove_answers_new(ask, monkeypatch, ids, most):
    made = []
    create = connection._Connector._create_connection

    async def counted(self, *args):
        made.append(1)
        return await create(self, *args)

    monkeypatch.setattr(connection._Connector, "_create_connection", counted)
    numbers = itertools.count()

    async def respond(body, write):
        write(http(completion(body["messages"][-1]["content"], **IDS[ids](next(numbers), None))))

    with raw_server(respond) as url:
        ask([f"q{number}" for number in range(100)], url, "--concurrency", "4")
    assert len(made) <= most and (len(made) > 90 or ids == "unique")


def test_the_last_ids_are_remembered_and_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(connection, "IDS_KEPT", 10)

    async def look():
        connections = Connections({}, 1)
        try:
            seen = [connections._seen(f"id{number}") for number in range(100)]
            again = [connections._seen(f"id{number}") for number in range(91, 100)]
            return seen, again, len(connections._ids) + len(connections._older_ids)
        finally:
            await connections.close()

    seen, again, kept = asyncio.run(look())
    assert not any(seen) and all(again) and kept <= 20


def test_what_an_id_proves():
    """Of a used connection only what no other answer had proves an answer new; of a new one nothing else is needed."""

    async def look():
        connections = Connections({}, 1)
        with connections.exchange() as exchange, connections.exchange() as other:
            cases = [("id1", False, True), ("id1", False, None), ("id1", True, False), ("id2", True, True)]
            cases += [(no_id, reused, False if reused else None) for no_id in (None, "", 5, []) for reused in (0, 1)]
            cases += [(f"chatcmpl-{exchange.tag}-0", True, True), (f"chatcmpl-{other.tag}", False, False)]
            for answer_id, reused, belongs in cases:
                exchange.reused, exchange.trusted = bool(reused), False
                assert connections.belongs(exchange, answer_id) is belongs
                assert exchange.trusted is (belongs is True)
        await connections.close()

    asyncio.run(look())


@pytest.mark.parametrize("length", [1000, 1001])
def test_an_answer_may_be_as_long_as_the_limit_and_a_run_of_longer_ones_says_so(ask, length):
    async def respond(body, write):
        write(http(json.dumps(completion("fine", id="a")).ljust(length).encode()))

    with raw_server(respond) as url:
        flags = ["--max_answer_mb", str(1000 / 2**20), "--model", "m"]
        if length == 1000:
            assert len(ask(["q"], url, *flags)) == 1
        else:
            with pytest.raises(client.ServerRefused, match="the answer is larger than 0.000953674 MB"):
                ask(["q"], url, *flags)


def test_an_answer_over_the_limit_ends_its_request_only(ask):
    async def respond(body, write):
        text = body["messages"][-1]["content"]
        write(http(completion("x" * 3_000_000 if text == "q1" else text, id=text)))

    with raw_server(respond) as url:
        rows = ask(["q0", "q1", "q2"], url, "--max_answer_mb", "2")
    assert [row["id"] for row in rows] == [0, 2]
    assert ask.rejected()[0]["reason"] == "the answer is larger than 2 MB (--max_answer_mb)"


def test_a_bomb_of_zeros_is_not_unpacked_whole(ask):
    bomb = gzip.compress(json.dumps(completion("0" * 50_000_000)).encode(), 9)

    async def respond(body, write):
        write(http(bomb, head="Content-Encoding: gzip\r\n") if body["messages"][-1]["content"] == "q1" else fine)

    fine = http(completion("fine", id="a"))
    with raw_server(respond) as url:
        assert len(ask(["q0", "q1"], url, "--max_answer_mb", "1")) == 1
    assert "larger than 1 MB" in ask.rejected()[0]["reason"]


CHUNK = b"8000\r\n" + b" " * 0x8000 + b"\r\n"


def test_an_endless_answer_ends_its_request_only(ask):
    async def respond(body, write):
        if body["messages"][-1]["content"] == "q1":
            write(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + 64 * (b"8000\r\n" + b" " * 0x8000 + b"\r\n")
            )
            await asyncio.sleep(1)
        else:
            write(http(completion("fine", id="a")))

    with raw_server(respond) as url:
        assert len(ask(["q0", "q1"], url, "--max_answer_mb", "1")) == 1


def test_a_server_that_takes_no_connection_is_called_so(ask, monkeypatch):
    """Its backlog is full: nothing refuses, nothing answers."""
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(client, "CONNECT_SECONDS", 0.2)
    with socket.socket() as server, socket.socket() as filler:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        filler.connect(server.getsockname())
        flags = ["--server_timeout", "0.5", "--model", "m"]
        with pytest.raises(client.ServerDown, match="APITimeoutError: no connection in 0.2 s"):
            ask(["q"], f"http://127.0.0.1:{server.getsockname()[1]}/v1", *flags)


def test_an_answer_that_comes_byte_by_byte_is_given_up_in_time_and_asked_again(ask):
    """However little is missing, and although something comes all the time."""
    requests = itertools.count()

    async def respond(body, write):
        answer = http(completion("whole", id=f"id-{body['request_id']}"))
        if next(requests):
            write(answer)
            return
        for byte in range(len(answer)):
            write(answer[byte : byte + 1])
            await asyncio.sleep(0.02)

    with raw_server(respond) as url:
        (row,) = ask(["q"], url, "--request_timeout", "0.5")
    assert row["response"] == "whole" and ask.manifest()["llm"]["errors"] == {"APITimeoutError": 1}
    assert ask.manifest()["seconds"] < 3
