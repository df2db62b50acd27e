"""Which failure is a row's, which the server's, which the account's; and that each run can be brought to its end."""

import asyncio
import json
import threading

import pytest

from common.errors import BadInput, CommonError, QuotaSpent, ServerDown, ServerRefused
from common.llm import client
from common.llm.store import AnswerStore
from tests.common.scripted_server import ScriptedServer, completion, ok, scripted_server
from tests.common.test_llm import ask, echo, quick_retries  # noqa: F401

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
def test_a_row_that_is_refused_while_others_are_answered_is_set_aside(ask, status, row, concurrency):  # noqa: F811
    reply = (status, {"error": {"message": "not this one"}}, {"Location": "/elsewhere"})
    with scripted_server(failing(f"q{row}", reply=reply)) as server:
        for _ in range(2):
            rows = ask(WHOLE, server.url, "--concurrency", concurrency)
            assert prompts(rows) == [question for question in WHOLE if question != f"q{row}"]
            (rejected,) = ask.rejected()
            assert rejected["index"] == row and str(status) in rejected["reason"]
        assert len(server.bodies) == 7  # the others were paid once


def test_the_first_row_to_be_refused_waits_for_word_of_the_others(ask):  # noqa: F811
    others = asyncio.Event()

    async def reply(body, number):
        if body["messages"][-1]["content"] == "q0":
            return 403, {}, {}
        await asyncio.sleep(0.1)
        others.set()
        return echo(body, number)

    with scripted_server(reply) as server:
        assert len(ask(WHOLE, server.url)) == 5


def test_many_rows_may_be_refused_where_the_server_still_answers_what_it_answered(ask, monkeypatch):  # noqa: F811
    monkeypatch.setattr(client, "REFUSALS", 8)
    bad = [f"bad{number}" for number in range(30)]
    with scripted_server(failing(*bad, reply=(403, {}, {}))) as server:
        for paid in (1, 0):
            before = len(server.bodies)
            assert prompts(ask(["good", *bad], server.url, "--concurrency", "1")) == ["good"]
            looked = len(server.bodies) - before - paid - len(bad)
            assert 1 <= looked <= 5 and len(ask.rejected()) == 30


@pytest.mark.parametrize("reply", [(500, {}, {}), (200, "<html>", {}), (429, {}, {}), None], ids=str)
def test_a_row_that_always_fails_is_set_aside_though_nobody_else_is_left(ask, monkeypatch, reply):  # noqa: F811
    monkeypatch.setattr(client, "MAX_TRIES", 6)
    with scripted_server(failing("q2", reply=reply)) as server:
        for _ in range(2):  # the second run finds the others in the store
            assert len(ask(WHOLE, server.url, "--server_timeout", "20")) == 5
            assert ask.rejected()[0]["index"] == 2
            assert ask.rejected()[0]["reason"].startswith("not answered in ")


# ---------------------------------------------------------------- the server's fault


@pytest.mark.parametrize("reply", [(500, {}, {}), (503, {}, {}), (200, "{", {}), None], ids=str)
def test_where_nobody_is_answered_any_more_no_row_is_blamed(ask, monkeypatch, reply):  # noqa: F811
    monkeypatch.setattr(client, "MAX_TRIES", 5)
    with scripted_server(lambda body, number: echo(body, number) if number < 3 else reply) as server:
        with pytest.raises(ServerDown, match="run again to go on"):
            ask(WHOLE, server.url, "--server_timeout", "1", "--concurrency", "2")
    assert not (ask.folder / "out.jsonl.rejected.jsonl").exists()


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_key_or_model_that_is_lost_on_the_way_ends_the_run(ask, status):  # noqa: F811
    questions = [f"q{number}" for number in range(60)]
    lost = (status, {"error": {"message": "no more"}}, {})
    with scripted_server(lambda body, number: echo(body, number) if number < 10 else lost) as server:
        with pytest.raises(ServerDown, match=f"refuses now what it answered before; the last: .*{status} no more"):
            ask(questions, server.url, "--concurrency", "4")
    with scripted_server(echo) as server:
        assert len(ask(questions, server.url)) == 60 and len(server.bodies) == 50


def test_a_server_lost_near_the_end_blames_no_row(ask):  # noqa: F811
    lost = (404, {"error": {"message": "no more"}}, {})
    with scripted_server(lambda body, number: echo(body, number) if number < 10 else lost) as server:
        with pytest.raises(ServerDown):
            ask([f"q{number}" for number in range(16)], server.url, "--concurrency", "1")


def test_an_outage_is_not_counted_as_a_rows_failure(ask, monkeypatch):  # noqa: F811
    """More failures than a row is allowed, but all while nobody was answered."""
    monkeypatch.setattr(client, "MAX_TRIES", 4)
    monkeypatch.setattr(client, "SILENT_TRIES", 1000)

    def reply(body, number):
        return echo(body, number) if number < 1 or number > 60 else None

    with scripted_server(reply) as server:
        assert len(ask(WHOLE, server.url, "--concurrency", "3")) == 6
        assert len(server.bodies) > 60


def test_slow_answers_are_waited_for_while_another_row_meets_429(ask):  # noqa: F811
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


def test_a_server_that_hangs_ends_the_run(ask):  # noqa: F811
    async def hang(body, number):
        await asyncio.Event().wait()

    with scripted_server(hang) as server:
        with pytest.raises(ServerDown, match="no answer in 0.2 s"):
            ask(WHOLE, server.url, "--server_timeout", "0.5", "--request_timeout", "0.2")


def test_an_answer_after_failures_starts_the_clock_anew(ask):  # noqa: F811
    """Fails for longer than --server_timeout in all, never at a stretch."""

    async def reply(body, number):
        await asyncio.sleep(0.06)
        return echo(body, number) if number % 4 == 3 else (500, {}, {})

    with scripted_server(reply) as server:
        assert len(ask(WHOLE, server.url, "--server_timeout", "0.7", "--concurrency", "1")) == 6
        assert len(server.bodies) == 24


@pytest.mark.parametrize("status", [202, 204, 206, 304, 408, 409, 425, 429, 500, 502, 503, 504, 520])
def test_what_may_pass_is_tried_again(ask, status):  # noqa: F811
    with scripted_server(lambda body, number: (status, "", {}) if number < 2 else echo(body, number)) as server:
        assert len(ask(["q"], server.url)) == 1 and len(server.bodies) == 3


def test_a_server_that_rests_is_left_alone(ask, monkeypatch):  # noqa: F811
    """After its first failure the other one gets everything, for as long as that one rests."""
    monkeypatch.setattr(client, "FIRST_WAIT", 30)
    monkeypatch.setattr(client, "LONGEST_WAIT", 60)
    monkeypatch.setattr(client.LLMClient, "_wait", lambda *_, **__: asyncio.sleep(0))
    with scripted_server(lambda *_: (503, {}, {})) as busy, scripted_server(echo) as well:
        ask([f"q{number}" for number in range(30)], f"{busy.url},{well.url}", "--concurrency", "2")
        assert len(busy.bodies) <= 2 and len(well.bodies) == 30


def test_what_is_answered_is_in_flight_no_longer(ask):  # noqa: F811
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
def test_money_that_is_spent_ends_the_run_and_no_row_is_set_aside(ask, status, error, answered):  # noqa: F811
    with scripted_server(
        lambda body, number: echo(body, number) if number < answered else (status, {"error": error}, {})
    ) as server:
        with pytest.raises(QuotaSpent, match="no money or quota left.*run again to go on") as end:
            ask(WHOLE, server.url, "--concurrency", "1")
        assert end.value.exit_code == 75 and len(server.bodies) == answered + 1
    assert not list(ask.folder.glob("out.jsonl*.jsonl"))
    with scripted_server(echo) as server:
        assert len(ask(WHOLE, server.url)) == 6 and len(server.bodies) == 6 - answered


# ---------------------------------------------------------------- odd replies


def choice(**more):
    return {"index": 0, "message": {"content": "fine"}, "finish_reason": "stop"} | more


DEEP = "[" * 100_000 + "]" * 100_000
ODD = {
    "usage is text": completion("fine", usage={"prompt_tokens": "12", "completion_tokens": "3"}),
    "usage is a list": completion("fine", usage=[1]),
    "usage is odd": completion("fine", usage={"prompt_tokens": None, "completion_tokens": {"a": 1}}),
    "usage is no number": '{"choices": [{"text": "fine"}], "usage": {"prompt_tokens": NaN, "completion_tokens": 1e99}}',
    "usage is huge": completion("fine", usage={"prompt_tokens": 10**30, "completion_tokens": -5}),
    "usage is true": completion("fine", usage={"prompt_tokens": True}),
    "reason is NaN": '{"choices": [{"text": "fine", "finish_reason": NaN}]}',
    "reason is a dict": {"choices": [choice(finish_reason={"a": 1})]},
    "no index": {"choices": [{"text": "fine"}]},
    "id is a number": completion("fine", id=5),
    "id is a list": completion("fine", id=[]),
}
USELESS = {
    "index is text": {"choices": [choice(index=0), choice(index="1")]},
    "index is a list": {"choices": [choice(index=[])]},
    "choices are texts": {"choices": ["fine"]},
    "message is text": {"choices": [{"message": "fine"}]},
    "message is null": {"choices": [{"message": None}]},
    "content is a list": {"choices": [choice(message={"content": ["fine"]})]},
    "a list": [completion("fine")],
    "a text": '"fine"',
    "deep": DEEP,
    "deep choices": '{"choices": ' + DEEP + "}",
    "long number": '{"choices": [{"text": "a", "index": ' + "9" * 5000 + "}]}",
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_reply_with_a_text_is_taken_and_can_be_taken_again(ask, name):  # noqa: F811
    with scripted_server(lambda *_: (200, ODD[name], {})) as server:
        for _ in range(2):
            assert [row["response"] for row in ask(["q"], server.url)] == ["fine"]
        assert len(server.bodies) == 1
    assert ask.manifest()["counts"].get("tokens in", 0) in (0, 3)


@pytest.mark.parametrize("name", USELESS)
def test_a_useless_reply_is_asked_for_again(ask, name):  # noqa: F811
    with scripted_server(lambda body, number: (200, USELESS[name], {}) if number < 2 else ok("fine")) as server:
        assert len(ask(["q"], server.url)) == 1 and len(server.bodies) == 3


@pytest.mark.parametrize("status", [400, 403, 500])
@pytest.mark.parametrize("said", [DEEP, '{"error": ' + DEEP + "}", "x" * 10**6, '{"error": [1]}', "\x00", "null", "3"])
def test_odd_errors_are_errors(ask, status, said):  # noqa: F811
    with scripted_server(lambda body, n: (status, said, {}) if n == 1 else echo(body, n)) as server:
        assert len(ask(["a", "b", "c"], server.url, "--concurrency", "1")) == (3 if status == 500 else 2)


@pytest.mark.parametrize(
    "value",
    ["Mon, 99999999999999999999 Jan 2026 00:00:00 GMT", "-5", "nan", "inf", "", "Thu, 01 Jan 1970 0:00"],
)
def test_odd_retry_after(ask, monkeypatch, value):  # noqa: F811
    monkeypatch.setattr("common.llm.responses.LONGEST_RETRY_AFTER", 0.01)
    with scripted_server(lambda body, n: (429, {}, {"Retry-After": value}) if n == 0 else echo(body, n)) as server:
        assert len(ask(["q"], server.url)) == 1


# ---------------------------------------------------------------- addresses, redirects, keys


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(ask, status):  # noqa: F811
    with scripted_server(echo) as other, scripted_server(lambda *_: (status, "", {"Location": other.url})) as server:
        with pytest.raises(ServerRefused, match=f"{status} redirects to http://.*, which is not followed"):
            ask(WHOLE, server.url)
        assert other.bodies == []


@pytest.mark.parametrize(
    "url",
    ["http://[zz]/v1", f"http://{'a' * 300}/v1", "http://h:99999/v1", "http://h:0/v1", "http:///v1", "ftp://h/v1"]
    + ["http://h/v1?sig=abcdef", "http://h/v1#x", ",", "http://a..b/v1"],
)
def test_odd_addresses_are_named(ask, url):  # noqa: F811
    with pytest.raises(BadInput, match="not a server address|ends with its path|no server named"):
        ask(["q"], url, "--model", "m")


def test_a_key_from_a_file_may_end_with_a_line(ask, monkeypatch):  # noqa: F811
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abc-def\n")
    with scripted_server(echo) as server:
        assert len(ask(["q"], server.url)) == 1
    assert server.headers[0]["Authorization"] == "Bearer sk-abc-def"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abc\ndef")
    with pytest.raises(BadInput, match="OPENAI_API_KEY holds a line break") as end:
        ask(["q"], server.url)
    assert "def" not in str(end.value)


@pytest.mark.parametrize("key", ["kurz12", "sk-verysecret123456", 'with"quotes\\and more'])
@pytest.mark.parametrize(
    "reply",
    [
        lambda key: (200, {"error": {"message": f"your key {key} is bad"}}, {}),
        lambda key: (400, {"error": {"message": f"your key {key} is bad"}}, {}),
        lambda key: (403, f"bad {key}", {}),
        lambda key: (200, completion(f"it is {key}", reason=key), {}),
        lambda key: (200, completion("x", reason="length") | {"model": key}, {}),
    ],
)
def test_a_key_that_the_server_says_back_is_written_nowhere(ask, monkeypatch, key, reply):  # noqa: F811
    monkeypatch.setenv("OPENAI_API_KEY", key)
    monkeypatch.setattr(client, "MAX_TRIES", 2)
    with scripted_server(lambda body, _: reply(key) if "b" in str(body["messages"]) else ok("fine")) as server:
        ask(["a", "b"], server.url, "--concurrency", "1")
    for path in ask.folder.iterdir():
        for spelling in (key, json.dumps(key)[1:-1]):
            assert spelling.encode() not in path.read_bytes(), path


def test_the_password_of_an_address_is_written_nowhere(ask):  # noqa: F811
    with scripted_server(lambda body, n: (500, f"no {body['messages'][0]['content']} for p@ss:word", {})) as server:
        url = server.url.replace("http://", "user:p%40ss%3Aword@")
        with pytest.raises(CommonError) as end:
            ask(["q"], url, "--server_timeout", "0.2", "--model", "m")
    for spelling in ("p%40ss", "p@ss"):
        assert spelling not in str(end.value)
        for path in ask.folder.iterdir():
            assert spelling.encode() not in path.read_bytes(), path


# ---------------------------------------------------------------- what the model is


def test_a_model_trained_anew_in_the_same_folder_is_asked_anew(ask):  # noqa: F811
    model = ask.folder / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    with scripted_server(echo) as server:
        for content, asked in ((b"one", 1), (b"one", 1), (b"two", 2)):
            (model / "model.safetensors").write_bytes(content)
            ask(["q"], server.url, "--model", model)
            assert len(server.bodies) == asked
    assert ask.manifest()["llm"]["model_identity"].startswith("model ")


def test_a_server_that_names_another_root_is_asked_anew(ask, monkeypatch):  # noqa: F811
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


def test_identical_rows_are_paid_once_and_a_rerun_gives_the_same(ask):  # noqa: F811
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


def test_what_another_run_stored_first_is_what_is_given_out(ask, monkeypatch):  # noqa: F811
    put = AnswerStore.put

    async def overtaken(store, answers):
        other = AnswerStore(store.path)
        await put(other, [(key, answer | {"text": "of the other run"}) for key, answer in answers])
        other.close()
        return await put(store, answers)

    monkeypatch.setattr(AnswerStore, "put", overtaken)
    with scripted_server(echo) as server:
        assert [row["response"] for row in ask(["q"], server.url)] == ["of the other run"]


def test_a_request_that_fails_for_one_is_asked_by_the_next(ask):  # noqa: F811
    with scripted_server(lambda *_: (400, {}, {})) as server:
        with pytest.raises(ServerRefused):
            ask(["same", "same", "same"], server.url)
        assert len(server.bodies) == 3
