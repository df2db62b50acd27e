"""Odd replies, addresses, redirects and keys: named, asked again, or told to nobody."""

import json

import pytest

from common.errors import BadInput, CommonError, ServerRefused
from common.llm import client
from tests.common.scripted_server import completion, echo, ok, scripted_server

WHOLE = [f"q{number}" for number in range(6)]


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
def test_an_odd_reply_with_a_text_is_taken_and_can_be_taken_again(ask, name):
    with scripted_server(lambda *_: (200, ODD[name], {})) as server:
        for _ in range(2):
            assert [row["response"] for row in ask(["q"], server.url)] == ["fine"]
        assert len(server.bodies) == 1
    assert ask.manifest()["counts"].get("tokens in", 0) in (0, 3)


@pytest.mark.parametrize("name", USELESS)
def test_a_useless_reply_is_asked_for_again(ask, name):
    with scripted_server(lambda body, number: (200, USELESS[name], {}) if number < 2 else ok("fine")) as server:
        assert len(ask(["q"], server.url)) == 1 and len(server.bodies) == 3


@pytest.mark.parametrize("status", [400, 403, 500])
@pytest.mark.parametrize("said", [DEEP, '{"error": ' + DEEP + "}", "x" * 10**6, '{"error": [1]}', "\x00", "null", "3"])
def test_odd_errors_are_errors(ask, status, said):
    with scripted_server(lambda body, n: (status, said, {}) if n == 1 else echo(body, n)) as server:
        assert len(ask(["a", "b", "c"], server.url, "--concurrency", "1")) == (3 if status == 500 else 2)


@pytest.mark.parametrize(
    "value",
    ["Mon, 99999999999999999999 Jan 2026 00:00:00 GMT", "-5", "nan", "inf", "", "Thu, 01 Jan 1970 0:00"],
)
def test_odd_retry_after(ask, monkeypatch, value):
    monkeypatch.setattr("common.llm.responses.LONGEST_RETRY_AFTER", 0.01)
    with scripted_server(lambda body, n: (429, {}, {"Retry-After": value}) if n == 0 else echo(body, n)) as server:
        assert len(ask(["q"], server.url)) == 1


# ---------------------------------------------------------------- addresses, redirects, keys


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(ask, status):
    with scripted_server(echo) as other, scripted_server(lambda *_: (status, "", {"Location": other.url})) as server:
        with pytest.raises(ServerRefused, match=f"{status} redirects to http://.*, which is not followed"):
            ask(WHOLE, server.url)
        assert other.bodies == []


@pytest.mark.parametrize(
    "url",
    ["http://[zz]/v1", f"http://{'a' * 300}/v1", "http://h:99999/v1", "http://h:0/v1", "http:///v1", "ftp://h/v1"]
    + ["http://h/v1?sig=abcdef", "http://h/v1#x", ",", "http://a..b/v1"],
)
def test_odd_addresses_are_named(ask, url):
    with pytest.raises(BadInput, match="not a server address|ends with its path|no server named"):
        ask(["q"], url, "--model", "m")


def test_a_key_from_a_file_may_end_with_a_line(ask, monkeypatch):
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
def test_a_key_that_the_server_says_back_is_written_nowhere(ask, monkeypatch, key, reply):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    monkeypatch.setattr(client, "MAX_TRIES", 2)
    with scripted_server(lambda body, _: reply(key) if "b" in str(body["messages"]) else ok("fine")) as server:
        ask(["a", "b"], server.url, "--concurrency", "1")
    for path in ask.folder.iterdir():
        for spelling in (key, json.dumps(key)[1:-1]):
            assert spelling.encode() not in path.read_bytes(), path


def test_the_password_of_an_address_is_written_nowhere(ask):
    with scripted_server(lambda body, n: (500, f"no {body['messages'][0]['content']} for p@ss:word", {})) as server:
        url = server.url.replace("http://", "user:p%40ss%3Aword@")
        with pytest.raises(CommonError) as end:
            ask(["q"], url, "--server_timeout", "0.2", "--model", "m")
    for spelling in ("p%40ss", "p@ss"):
        assert spelling not in str(end.value)
        for path in ask.folder.iterdir():
            assert spelling.encode() not in path.read_bytes(), path
