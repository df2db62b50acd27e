"""The stand-in as a process of its own: the protocol through the openai SDK, every fault, the parse marks."""

import asyncio
import collections
import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import aiohttp
import openai
import pytest

from common.errors import CommonError
from common.llm.standin import __main__ as server
from common.llm.standin import standin_server
from common.llm.standin.answers import complete
from tests.common.standin_texts import RULES

ROOT = Path(__file__).resolve().parents[2]
QUESTION = [
    {"role": "user", "content": "Tides are made by the moon. The sun helps a little. Why are there tides twice a day?"}
]


@pytest.fixture(scope="module")
def base_url():
    with standin_server() as url:
        yield url


@pytest.fixture(scope="module")
def client(base_url):
    with openai.OpenAI(base_url=base_url, api_key="none", max_retries=0) as sdk:
        yield sdk


def post(base_url, body, path="/chat/completions"):
    """(status, headers, body) as they came, without the SDK."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(base_url + path, raw), timeout=5) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def chat_body(**fields):
    return {"model": "stand-in", "messages": QUESTION, **fields}


def said(base_url, **fields):
    return json.loads(post(base_url, chat_body(**fields))[2])["choices"][0]


# ---- the protocol


def test_models_and_health(client, base_url):
    (model,) = client.models.list().data
    assert (model.id, model.max_model_len) == ("stand-in", 131072)
    assert client.models.retrieve("stand-in").id == "stand-in"
    with urllib.request.urlopen(base_url.removesuffix("/v1") + "/health") as response:
        assert response.status == 200


def test_chat(client):
    answer = client.chat.completions.create(model="stand-in", messages=QUESTION, temperature=0)
    assert answer.model == "stand-in"
    assert answer.choices[0].finish_reason == "stop"
    assert "Tides are made by the moon" in answer.choices[0].message.content
    assert answer.usage.prompt_tokens == -(-len(QUESTION[0]["content"]) // 4)
    assert answer.usage.completion_tokens == -(-len(answer.choices[0].message.content) // 4)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_content_parts_and_system_message(client):
    parts = [{"type": "text", "text": QUESTION[0]["content"]}]
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}]
    answer = client.chat.completions.create(model="stand-in", messages=messages, temperature=0)
    assert "Tides are made by the moon" in answer.choices[0].message.content


def test_completions_of_several_prompts_and_samples(client):
    answer = client.completions.create(
        model="stand-in",
        prompt=["One is one. Two is two.", "海水有潮汐。月亮很远。"],
        n=2,
        max_tokens=99,
        temperature=0,
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert answer.choices[0].text == answer.choices[1].text != answer.choices[2].text == answer.choices[3].text
    assert "海水有潮汐" in answer.choices[2].text


def test_completions_default_to_sixteen_tokens(client):
    answer = client.completions.create(model="stand-in", prompt=QUESTION[0]["content"])
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 16)


def test_max_tokens_cuts(client):
    whole = (
        client.chat.completions.create(model="stand-in", messages=QUESTION, temperature=0).choices[0].message.content
    )
    cut = client.chat.completions.create(model="stand-in", messages=QUESTION, temperature=0, max_tokens=5)
    assert cut.choices[0].finish_reason == "length"
    assert cut.choices[0].message.content == whole[:20]
    assert cut.usage.completion_tokens == 5


@pytest.mark.parametrize("stop", ["moon", ["nowhere", "moon"], ["made", "moon"]])
def test_stop(client, stop):
    answer = client.chat.completions.create(model="stand-in", messages=QUESTION, temperature=0, stop=stop)
    text = answer.choices[0].message.content
    assert text and not any(word in text for word in ([stop] if isinstance(stop, str) else stop))
    assert answer.choices[0].finish_reason == "stop"


def test_same_body_same_bytes_over_a_restart(base_url):
    bodies = [chat_body(temperature=1, seed=seed, n=3) for seed in range(5)]
    first = [post(base_url, body)[2] for body in bodies]
    with standin_server() as other:
        assert [post(other, body)[2] for body in bodies] == first


def test_wording_varies_with_seed_and_sample_only_when_sampling(base_url):
    assert len({said(base_url, temperature=1, seed=seed)["message"]["content"] for seed in range(10)}) > 1
    assert len({said(base_url, temperature=0, seed=seed)["message"]["content"] for seed in range(10)}) == 1
    samples = json.loads(post(base_url, chat_body(temperature=1, n=10))[2])["choices"]
    assert len({choice["message"]["content"] for choice in samples}) > 1


def test_streams(client):
    whole = client.chat.completions.create(model="stand-in", messages=QUESTION, temperature=0)
    chunks = list(
        client.chat.completions.create(
            model="stand-in", messages=QUESTION, temperature=0, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage == whole.usage
    pieces = client.completions.create(model="stand-in", prompt="A sea. A moon.", stream=True, max_tokens=50)
    assert "".join(piece.choices[0].text for piece in pieces)


def test_json_on_request(client):
    def ask(response_format):
        answer = client.chat.completions.create(model="stand-in", messages=QUESTION, response_format=response_format)
        return json.loads(answer.choices[0].message.content)

    assert set(ask({"type": "json_object"})) == {"answer"}
    schema = {
        "type": "object",
        "properties": {
            "question": {"type": "string", "maxLength": 10},
            "kind": {"enum": ["a", "b"]},
            "score": {"type": "integer", "minimum": 3, "maximum": 5},
            "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}, "minItems": 2},
            "good": {"type": "boolean"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "$defs": {"part": {"type": "object", "properties": {"text": {"type": "string"}}}},
    }
    filled = ask({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    assert filled["kind"] == "a" and filled["score"] == 3 and filled["good"] is True
    assert len(filled["question"]) <= 10 and len(filled["parts"]) == 2 and filled["parts"][0]["text"] == filled["note"]


ENDLESS = {"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"properties": {"a": {"$ref": "#/$defs/a"}}}}}
BAD_BODIES = [
    (b"", 400),
    (b"{", 400),
    (b"[]", 400),
    (b"\xff\xfe", 400),
    ({}, 400),
    ({"model": "stand-in"}, 400),
    ({"model": 3, "messages": QUESTION}, 400),
    ({"model": "gpt", "messages": QUESTION}, 404),
    (chat_body(messages=[]), 400),
    (chat_body(messages="hello"), 400),
    (chat_body(messages=[{"role": "user"}]), 400),
    (chat_body(messages=[{"role": "clown", "content": "hello"}]), 400),
    (chat_body(messages=[{"role": "user", "content": [{"type": "image"}]}]), 400),
    (chat_body(temperature="hot"), 400),
    (chat_body(temperature=3), 400),
    (chat_body(max_tokens=0), 400),
    (chat_body(max_tokens=True), 400),
    (chat_body(n=0), 400),
    (chat_body(seed="x"), 400),
    (chat_body(stop=[1]), 400),
    (chat_body(response_format="json"), 400),
    (chat_body(response_format={"type": "json_schema", "json_schema": 3}), 400),
    (chat_body(response_format={"type": "json_schema", "json_schema": {"schema": {"properties": 3}}}), 400),
    (chat_body(response_format={"type": "json_schema", "json_schema": {"schema": ENDLESS}}), 400),
    (chat_body(stream=True, stream_options=3), 400),
]


@pytest.mark.parametrize("body, status", BAD_BODIES)
def test_bad_requests_get_openai_errors(base_url, body, status):
    found, _, raw = post(base_url, body)
    error = json.loads(raw)["error"]
    assert found == status
    assert error["message"] and error["type"] == "invalid_request_error"


def test_sdk_raises_its_own_errors(client):
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.chat.completions.create(model="gpt", messages=QUESTION)
    with pytest.raises(openai.BadRequestError, match="prompt"):
        client.completions.create(model="stand-in", prompt=[[1, 2, 3]])
    with pytest.raises(openai.NotFoundError, match="Unknown request URL"):
        client.embeddings.create(model="stand-in", input="x")


def test_context_length():
    with standin_server(max_model_len=50) as url:
        ok, _, _ = post(url, chat_body(max_tokens=20))
        status, _, raw = post(url, chat_body(max_tokens=50))
        assert (ok, status) == (200, 400)
        assert json.loads(raw)["error"]["code"] == "context_length_exceeded"
        assert post(url, chat_body(messages=[{"role": "user", "content": "long " * 50}]))[0] == 400


def test_a_thousand_at_once(base_url, tmp_path):
    async def ask(session, number):
        body = chat_body(
            messages=[{"role": "user", "content": f"Number {number} is a number. It is not {number + 1}."}]
        )
        async with session.post(base_url + "/chat/completions", json=body) as response:
            return str(number) in (await response.json())["choices"][0]["message"]["content"]

    async def ask_all():
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            return await asyncio.gather(*(ask(session, number) for number in range(1024)))

    assert all(asyncio.run(ask_all()))


# ---- the process


def test_sigterm_ends_it_at_once_even_while_it_hangs():
    command = [sys.executable, "-m", "common.llm.standin", "--fault_hang", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        address = process.stdout.readline().split("//")[1].split("/")[0].split(":")
        with socket.create_connection((address[0], int(address[1]))) as connection:
            connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
            started = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == -signal.SIGTERM
            assert time.monotonic() - started < 1


def test_start_failure_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(CommonError, match="did not start"), standin_server(port=taken.getsockname()[1]):
            raise AssertionError("the port was taken")


@pytest.mark.parametrize(
    "flags", [["--fault_429", "1.5"], ["--faults", "0.8", "--fault_500", "0.3"], ["--fault_empty", "x"]]
)
def test_impossible_shares_are_refused(flags, capsys):
    with pytest.raises(SystemExit):
        server.parse_args(flags)
    assert "share" in capsys.readouterr().err


# ---- the faults


def test_429_and_500():
    with standin_server(fault_429=1, retry_after=7) as url:
        status, headers, raw = post(url, chat_body())
        assert (status, headers["Retry-After"]) == (429, "7")
        assert json.loads(raw)["error"]["type"] == "rate_limit_error"
        with openai.OpenAI(base_url=url, api_key="x", max_retries=0) as sdk, pytest.raises(openai.RateLimitError):
            sdk.completions.create(model="stand-in", prompt="x")
    with standin_server(fault_500=1) as url:
        assert post(url, chat_body())[0] == 500


def test_drop_comes_before_and_in_the_middle_of_an_answer():
    async def ask(url):
        async with aiohttp.ClientSession() as session:
            try:
                async with session.post(url + "/chat/completions", json=chat_body()) as response:
                    await response.read()
            except aiohttp.ClientPayloadError:
                return "in the middle"
            except aiohttp.ClientConnectionError:
                return "before"
        return "answered"

    async def ask_often(url):
        return [await ask(url) for _ in range(20)]

    with standin_server(fault_drop=1) as url:
        assert set(asyncio.run(ask_often(url))) == {"in the middle", "before"}


def test_hang_ends_with_the_client_or_after_its_time():
    with standin_server(fault_hang=1) as url, pytest.raises(openai.APITimeoutError):
        openai.OpenAI(base_url=url, api_key="x", max_retries=0, timeout=0.3).completions.create(
            model="stand-in", prompt="x"
        )
    with standin_server(fault_hang=1, hang_seconds=0.1) as url, pytest.raises(ConnectionError):
        post(url, chat_body())


def test_status_200_with_cut_json_or_html():
    with standin_server(fault_truncated_json=1) as url:
        for _ in range(5):
            status, headers, raw = post(url, chat_body())
            assert status == 200 and len(raw) == int(headers["Content-Length"])
            with pytest.raises(ValueError):
                json.loads(raw)
    with standin_server(fault_html=1) as url:
        status, headers, raw = post(url, chat_body())
        assert (status, headers.get_content_type(), raw[:6]) == (200, "text/html", b"<html>")


def content_fault(name, share=1.0, **fields):
    raw, _ = complete("/v1/chat/completions", json.dumps(chat_body(**fields)).encode(), 9999, {name: share}, RULES)
    choice = json.loads(raw)["choices"][0]
    return choice["message"]["content"], choice["finish_reason"]


def test_content_faults():
    spanish = [{"role": "user", "content": "¿Qué es la célula?"}]
    assert content_fault("refusal")[0].startswith("I'm sorry")
    assert content_fault("refusal", messages=spanish)[0].startswith("Lo siento")
    assert content_fault("empty") == ("", "stop")
    assert "tides" not in content_fault("garbage")[0].lower()
    whole, _ = content_fault("length", share=0.0, temperature=0)
    assert content_fault("length", temperature=0) == (whole[: len(whole) // 2], "length")


def test_content_faults_by_their_flags():
    with standin_server(fault_refusal=0.25, fault_empty=0.25, fault_garbage=0.25, fault_length=0.25) as url:
        choices = [said(url, temperature=0, seed=seed) for seed in range(60)]
    texts = [choice["message"]["content"] for choice in choices if choice["finish_reason"] == "stop"]
    refused = [text for text in texts if text.startswith("I'm sorry")]
    assert min(len(refused), texts.count(""), 60 - len(texts), len(texts) - len(refused) - texts.count("")) >= 5


def test_content_faults_follow_from_the_body_and_protocol_faults_from_the_arrival():
    bodies = [chat_body(seed=seed, temperature=0) for seed in range(200)]
    with standin_server(fault_empty=0.3) as one, standin_server(fault_empty=0.3) as other:
        empty = [said_of(one, body) == "" for body in bodies]
        assert empty[::-1] == [said_of(other, body) == "" for body in bodies[::-1]]
        assert 30 < sum(empty) < 90
    with standin_server(fault_500=0.3, fault_seed=1) as one, standin_server(fault_500=0.3, fault_seed=1) as other:
        failed = [post(one, chat_body())[0] for _ in range(200)]
        assert failed == [post(other, chat_body())[0] for _ in range(200)]
        assert 30 < failed.count(500) < 90


def said_of(base_url, body):
    return json.loads(post(base_url, body)[2])["choices"][0]["message"]["content"]


def test_mixed_faults_are_spread_evenly_and_logged(tmp_path):
    log = tmp_path / "requests.log"
    with standin_server(faults=0.6, hang_seconds=0.001, log_path=log) as url:
        for number in range(300):
            with contextlib.suppress(OSError, http.client.HTTPException):
                post(url, chat_body(seed=number))
    lines = [line.split() for line in log.read_text().splitlines()]
    counts = collections.Counter(status for _, status in lines)
    assert len(lines) == len({digest for digest, _ in lines}) == 300
    assert set(counts) == {"200", *server.PROTOCOL_FAULTS}
    assert all(10 <= counts[fault] <= 60 for fault in server.PROTOCOL_FAULTS)


def test_log_shows_repeats_and_delay_waits(tmp_path):
    log = tmp_path / "requests.log"
    with standin_server(log_path=log, delay=0.2, jitter=0.05) as url:
        started = time.monotonic()
        for _ in range(2):
            post(url, chat_body())
        assert time.monotonic() - started >= 0.4
        assert len(log.read_text().splitlines()) == 2  # written before the answer is sent
    assert len(set(log.read_text().splitlines())) == 1


def test_who_gives_up_waiting_is_not_answered(tmp_path):
    log = tmp_path / "requests.log"
    with standin_server(log_path=log, delay=0.3) as url:
        with openai.OpenAI(base_url=url, api_key="x", max_retries=0, timeout=0.1) as sdk:
            with pytest.raises(openai.APITimeoutError):
                sdk.completions.create(model="stand-in", prompt="given up")
        assert post(url, chat_body())[0] == 200
    assert len(log.read_text().splitlines()) == 1


def test_lone_surrogates_come_back(base_url):
    text = json.loads(post(base_url, chat_body(messages=[{"role": "user", "content": "a \ud800 b"}]))[2])
    assert "\ud800" in text["choices"][0]["message"]["content"]


# ---- the dummy server of the client's benchmark


def test_dummy_server_answers_requests_however_they_are_cut():
    script = ROOT / "tests" / "bench" / "dummy_server.py"
    with subprocess.Popen([sys.executable, script, "--latency", "0.01"], stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().split()[-1]
            with openai.OpenAI(base_url=url, api_key="x", max_retries=0) as sdk:
                assert sdk.models.list().data[0].id == "dummy"
                assert sdk.chat.completions.create(model="dummy", messages=QUESTION).choices[0].message.content
            port = int(url.split(":")[2].split("/")[0])
            body = json.dumps(chat_body()).encode()
            request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (
                len(body),
                body,
            )
            for cut in (1, 20, len(request) - len(body) - 2, len(request) - 1, len(request)):
                with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as answers:
                    for _ in range(2):
                        connection.sendall(request[:cut])
                        connection.sendall(request[cut:])
                        assert answers.readline().startswith(b"HTTP/1.1 200")
                        length = int(re.search(rb"Content-Length: (\d+)", b"".join(iter(answers.readline, b"\r\n")))[1])
                        assert json.loads(answers.read(length))["choices"]
        finally:
            process.terminate()
