"""Which failure is a row's, which the server's, which the account's; and that each run can be brought to its end."""

import asyncio
import threading

import pytest

from common.errors import QuotaSpent, ServerDown, ServerRefused
from common.llm import client
from common.llm.store import AnswerStore
from tests.common.scripted_server import ScriptedServer, echo, ok, scripted_server

WHOLE = [f"q{number}" for number in range(6)]


def failing(*questions, reply):
    """Everybody is answered but these."""
    return lambda body, number: reply if body["messages"][-1]["content"] in questions else echo(body, number)


def prompts(rows):
    return [row["prompt"] for row in rows]


# ---------------------------------------------------------------- one row's fault


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 405, 413, 418, 422, 451])
@pytest.mark.parametrize("row", [0, 5])
@pytest.mark.parametrize("concurrency", ["1", "4"])
def test_a_row_that_is_refused_while_others_are_answered_is_set_aside(ask, status, row, concurrency):
    reply = (status, {"error": {"message": "not this one"}}, {"Location": "/elsewhere"})
    with scripted_server(failing(f"q{row}", reply=reply)) as server:
        for _ in range(2):
            rows = ask(WHOLE, server.url, "--concurrency", concurrency)
            assert prompts(rows) == [question for question in WHOLE if question != f"q{row}"]
            (rejected,) = ask.rejected()
            assert rejected["index"] == row and str(status) in rejected["reason"]
        assert len(server.bodies) == 7  # the others were paid once


def test_the_first_row_to_be_refused_waits_for_word_of_the_others(ask):
    others = asyncio.Event()

    async def reply(body, number):
        if body["messages"][-1]["content"] == "q0":
            return 403, {}, {}
        await asyncio.sleep(0.1)
        others.set()
        return echo(body, number)

    with scripted_server(reply) as server:
        assert len(ask(WHOLE, server.url)) == 5


def test_many_rows_may_be_refused_where_the_server_still_answers_what_it_answered(ask, monkeypatch):
    monkeypatch.setattr(client, "REFUSALS", 8)
    bad = [f"bad{number}" for number in range(30)]
    with scripted_server(failing(*bad, reply=(403, {}, {}))) as server:
        for paid in (1, 0):
            before = len(server.bodies)
            assert prompts(ask(["good", *bad], server.url, "--concurrency", "1")) == ["good"]
            looked = len(server.bodies) - before - paid - len(bad)
            assert 1 <= looked <= 5 and len(ask.rejected()) == 30


@pytest.mark.parametrize("reply", [(500, {}, {}), (200, "<html>", {}), (429, {}, {}), None], ids=str)
def test_a_row_that_always_fails_is_set_aside_though_nobody_else_is_left(ask, monkeypatch, reply):
    monkeypatch.setattr(client, "MAX_TRIES", 6)
    with scripted_server(failing("q2", reply=reply)) as server:
        for _ in range(2):  # the second run finds the others in the store
            assert len(ask(WHOLE, server.url, "--server_timeout", "20")) == 5
            assert ask.rejected()[0]["index"] == 2
            assert ask.rejected()[0]["reason"].startswith("not answered in ")


# ---------------------------------------------------------------- the server's fault


@pytest.mark.parametrize("reply", [(500, {}, {}), (503, {}, {}), (200, "{", {}), None], ids=str)
def test_where_nobody_is_answered_any_more_no_row_is_blamed(ask, monkeypatch, reply):
    monkeypatch.setattr(client, "MAX_TRIES", 5)
    with scripted_server(lambda body, number: echo(body, number) if number < 3 else reply) as server:
        with pytest.raises(ServerDown, match="run again to go on"):
            ask(WHOLE, server.url, "--server_timeout", "1", "--concurrency", "2")
    assert not (ask.folder / "out.jsonl.rejected.jsonl").exists()


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_key_or_model_that_is_lost_on_the_way_ends_the_run(ask, status):
    questions = [f"q{number}" for number in range(60)]
    lost = (status, {"error": {"message": "no more"}}, {})
    with scripted_server(lambda body, number: echo(body, number) if number < 10 else lost) as server:
        with pytest.raises(ServerDown, match=f"refuses now what it answered before; the last: .*{status} no more"):
            ask(questions, server.url, "--concurrency", "4")
    with scripted_server(echo) as server:
        assert len(ask(questions, server.url)) == 60 and len(server.bodies) == 50


def test_a_server_lost_near_the_end_blames_no_row(ask):
    lost = (404, {"error": {"message": "no more"}}, {})
    with scripted_server(lambda body, number: echo(body, number) if number < 10 else lost) as server:
        with pytest.raises(ServerDown):
            ask([f"q{number}" for number in range(16)], server.url, "--concurrency", "1")


def test_an_outage_is_not_counted_as_a_rows_failure(ask, monkeypatch):
    """More failures than a row is allowed, all but the last while nobody was answered."""
    monkeypatch.setattr(client, "MAX_TRIES", 4)
    monkeypatch.setattr(client, "SILENT_TRIES", 1000)
    failed_after = set()

    def reply(body, number):
        if 1 <= number <= 60:
            return None
        question = body["messages"][-1]["content"]
        if number > 61 and question in WHOLE[1:4] and question not in failed_after:
            failed_after.add(question)
            return 500, {}, {}
        return echo(body, number)

    with scripted_server(reply) as server:
        assert len(ask(WHOLE, server.url, "--concurrency", "3")) == 6 and failed_after
        assert len(server.bodies) > 60


def test_slow_answers_are_waited_for_while_another_row_meets_429(ask):
    answered = threading.Event()

    async def reply(body, number):
        if body["messages"][-1]["content"] == "q0":
            await asyncio.sleep(1.2)
            answered.set()
        elif not answered.is_set():
            return 429, {}, {}
        return echo(body, number)

    with scripted_server(reply) as server:
        assert len(ask(["q0", "q1"], server.url, "--server_timeout", "0.3")) == 2


def test_a_server_that_hangs_ends_the_run(ask):
    async def hang(body, number):
        await asyncio.Event().wait()

    with scripted_server(hang) as server:
        with pytest.raises(ServerDown, match="no answer in 0.2 s"):
            ask(WHOLE, server.url, "--server_timeout", "0.5", "--request_timeout", "0.2")


def test_an_answer_after_failures_starts_the_clock_anew(ask):
    """Fails for longer than --server_timeout in all, never at a stretch."""

    async def reply(body, number):
        await asyncio.sleep(0.06)
        return echo(body, number) if number % 4 == 3 else (500, {}, {})

    with scripted_server(reply) as server:
        assert len(ask(WHOLE, server.url, "--server_timeout", "0.7", "--concurrency", "1")) == 6
        assert len(server.bodies) == 24


@pytest.mark.parametrize("status", [202, 204, 206, 304, 408, 409, 425, 429, 500, 502, 503, 504, 520])
def test_what_may_pass_is_tried_again(ask, status):
    with scripted_server(lambda body, number: (status, "", {}) if number < 2 else echo(body, number)) as server:
        assert len(ask(["q"], server.url)) == 1 and len(server.bodies) == 3


def test_a_server_that_rests_is_left_alone(ask, monkeypatch):
    """After its first failure the other one gets everything, for as long as that one rests."""
    monkeypatch.setattr(client, "FIRST_WAIT", 30)
    monkeypatch.setattr(client, "LONGEST_WAIT", 60)
    monkeypatch.setattr(client.LLMClient, "_wait", lambda *_, **__: asyncio.sleep(0))
    with scripted_server(lambda *_: (503, {}, {})) as busy, scripted_server(echo) as well:
        ask([f"q{number}" for number in range(30)], f"{busy.url},{well.url}", "--concurrency", "2")
        assert len(busy.bodies) <= 2 and len(well.bodies) == 30


def test_what_is_answered_is_in_flight_no_longer(ask):
    """The server that answers more quickly gets more."""

    async def slow(body, number):
        await asyncio.sleep(0.05)
        return echo(body, number)

    with scripted_server(slow) as one, scripted_server(echo) as two:
        ask([f"q{number}" for number in range(80)], f"{one.url},{two.url}", "--concurrency", "4")
        assert len(two.bodies) > 2 * len(one.bodies)


# ---------------------------------------------------------------- the account's fault


@pytest.mark.parametrize(
    "status, error",
    [
        (402, {"message": "Insufficient Balance"}),
        (429, {"message": "You exceeded your current quota", "code": "insufficient_quota"}),
        (429, {"message": "You exceeded your current quota", "type": "insufficient_quota"}),
        (403, {"message": "no", "code": "Arrearage"}),
    ],
)
@pytest.mark.parametrize("answered", [0, 3])
def test_money_that_is_spent_ends_the_run_and_no_row_is_set_aside(ask, status, error, answered):
    with scripted_server(
        lambda body, number: echo(body, number) if number < answered else (status, {"error": error}, {})
    ) as server:
        with pytest.raises(QuotaSpent, match="no money or quota left.*run again to go on") as end:
            ask(WHOLE, server.url, "--concurrency", "1")
        assert end.value.exit_code == 75 and len(server.bodies) == answered + 1
    assert not list(ask.folder.glob("out.jsonl*.jsonl"))
    with scripted_server(echo) as server:
        assert len(ask(WHOLE, server.url)) == 6 and len(server.bodies) == 6 - answered


# ---------------------------------------------------------------- what the model is


def test_a_model_trained_anew_in_the_same_folder_is_asked_anew(ask):
    model = ask.folder / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    with scripted_server(echo) as server:
        for content, asked in ((b"one", 1), (b"one", 1), (b"two", 2)):
            (model / "model.safetensors").write_bytes(content)
            ask(["q"], server.url, "--model", model)
            assert len(server.bodies) == asked
    assert ask.manifest()["llm"]["model_identity"].startswith("model ")


def test_a_server_that_names_another_root_is_asked_anew(ask, monkeypatch):
    def served(root):
        monkeypatch.setattr(ScriptedServer, "models", (200, {"data": [{"id": "scripted", "root": root, "created": 5}]}))

    served("org/one")
    with scripted_server(echo) as server:
        ask(["q"], server.url)
        monkeypatch.setattr(ScriptedServer, "models", (500, {}))
        ask(["q"], server.url, "--model", "scripted")  # the store remembers
        assert len(server.bodies) == 1
        served("org/two")
        ask(["q"], server.url)
        assert len(server.bodies) == 2
    ask(["q"], "http://127.0.0.1:9/v1", "--model", "scripted", "--server_timeout", "0.1")  # nor is a server needed


# ---------------------------------------------------------------- one request a key


def test_identical_rows_are_paid_once_and_a_rerun_gives_the_same(ask):
    """A server that says something else each time, asked for the same by many rows at once."""

    async def other_each_time(body, number):
        await asyncio.sleep(0.01)
        return ok(f"answer {number}")

    questions = [f"q{number % 5}" for number in range(50)]
    with scripted_server(other_each_time) as server:
        rows = ask(questions, server.url, "--temperature", "1")
        assert len(server.bodies) == 5
        assert ask(questions, server.url, "--temperature", "1") == rows and len(server.bodies) == 5
    assert all(len({row["response"] for row in rows if row["prompt"] == f"q{number}"}) == 1 for number in range(5))


def test_what_another_run_stored_first_is_what_is_given_out(ask, monkeypatch):
    put = AnswerStore.put

    async def overtaken(store, answers):
        other = AnswerStore(store.path)
        await put(other, [(key, answer | {"text": "of the other run"}) for key, answer in answers])
        other.close()
        return await put(store, answers)

    monkeypatch.setattr(AnswerStore, "put", overtaken)
    with scripted_server(echo) as server:
        assert [row["response"] for row in ask(["q"], server.url)] == ["of the other run"]


def test_a_request_that_fails_for_one_is_asked_by_the_next(ask):
    with scripted_server(lambda *_: (400, {}, {})) as server:
        with pytest.raises(ServerRefused):
            ask(["same", "same", "same"], server.url)
        assert len(server.bodies) == 3
