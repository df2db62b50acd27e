"""The stand-in as a process of its own: the protocol through the openai SDK, every fault, the parse marks."""

import asyncio
import collections
import contextlib
import http.client
import json
import random
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
from hypothesis import given, settings
from hypothesis import strategies as st

from augcon import standin as augcon_standin
from common.errors import CommonError
from common.llm.standin import __main__ as server
from common.llm.standin import prompts, quoting, standin_server
from common.llm.standin.answers import complete
from common.llm.standin.rules import answer, load_rules
from webr import standin as webr_standin

RULES = load_rules()
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


# ---- the parse marks of the methods


EN = "The river rises in the north. It feeds four towns, and their mills. In 1969 a dam was built. Boats still pass."
ZH = "长江是中国最长的河流，全长约6300公里。它发源于青藏高原，注入东海。流域内有许多大城市。人口也很多。"
ES = "El río nace en el norte. Alimenta cuatro pueblos y sus molinos. En 1969 se construyó una presa. Los barcos pasan."
PT = (
    "O rio nasce no norte. Ele alimenta quatro vilas e os moinhos. Em 1969 foi feita uma barragem. Os barcos não param."
)
TEXTS = {"en": EN, "zh": ZH, "es": ES, "pt": PT}
PAGE = st.text(min_size=1, max_size=300)
SEEDS = st.integers(0, 2**32)


def rule(user, system="", seed=0):
    return answer(RULES, user, system, random.Random(seed))


@pytest.mark.parametrize("language", TEXTS)
def test_language_is_kept(language):
    assert prompts.language_of(TEXTS[language]) == language
    assert prompts.language_of(rule(TEXTS[language])) == language


def test_converter_cleans_and_refuses():
    question = "【题文】一根3\\n4米的绳子，　剪去一半，还剩多少米？"
    question = "【题文】一根3\\n4米的绳子，　剪去一半，还剩多少米？"
    solution = "【分析】除以2。【解答】解：3\\n4÷2，=3\\n8\n答：3/8米。【点评】考查分数。"
    problem = f"请改写成 [问题] 与 [答案]。\n[题目]\n{question}\n[答案]\n{solution}"
    assert rule(problem) == "[问题]\n一根3/4米的绳子， 剪去一半，还剩多少米？\n\n[答案]\n解：3/4÷2=3/8\n答：3/8米。"
    assert rule("[题目]\nWhat is 1+1?\n[答案]\n2") == "这不是一道中文数学题。"
    assert rule("[题目]\n天空为什么是蓝的？\n[答案]\n因为散射。") == "这不是一道中文数学题。"
    assert rule("[题目]\n一共有几个？\n[答案]\n") == "存在语法错误。"


@given(PAGE, PAGE, SEEDS)
def test_converter_always_parses(question, solution, seed):
    answer = rule(f"[题目]\n{question}\n[答案]\n{solution}", seed=seed)
    refused = answer in ("这不是一道中文数学题。", "存在语法错误。")
    assert refused or re.fullmatch(r"\[问题\]\n.+?\n\n\[答案\]\n.+", answer, re.DOTALL)


SHOTS = (
    "Ask about the context, then cut it in two.\n\n---\n\nContext: A b c. D e f.\nQuestion: What is b?\n"
    "Context 1: A b c.\nContext 2: D e f.\n\n---\n\n"
)


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("cue", ["Question:", ""])
def test_context_split(language, cue):
    answer = rule(f"{SHOTS}Context: {TEXTS[language]}\n{cue}")
    question, first, second = re.fullmatch(r"(.+?)\s+Context 1: (.+)\s+Context 2: (.+)", answer, re.DOTALL).groups()
    assert question.startswith("Question:") == (not cue)
    assert "".join((first + second).split()) == "".join(TEXTS[language].split())
    assert first.strip()[-1] in ".。" and 0.25 < len(first) / len(TEXTS[language]) < 0.75
    assert prompts.language_of(question.removeprefix("Question:")) == language


@given(st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), min_size=2, max_size=400))
def test_cut_in_two_covers_the_text_with_shorter_parts(text):
    text = " ".join(text.split())
    if len(text) >= 2:
        first, second = augcon_standin.cut_in_two(text)
        assert 0 < len(first) < len(text) and 0 < len(second) < len(text)
        assert "".join((first + second).split()) == "".join(text.split())


def test_context_tree_ends_and_its_questions_differ():
    questions, contexts = [], [ZH * 3]
    while contexts:
        context = contexts.pop()
        answer = rule(f"{SHOTS}Context: {context}\nQuestion:", seed=len(questions))
        question, first, second = re.fullmatch(r"(.+?)\s+Context 1: (.+)\s+Context 2: (.+)", answer, re.DOTALL).groups()
        questions.append(question)
        contexts += [part.strip() for part in (first, second) if len(part) > 20]
    assert len(set(questions)) >= 8


def test_answers_from_context():
    block = f"Context: {EN}\nQuestion: When was the dam built?\nAnswer:"
    assert "In 1969 a dam was built." in rule(f"Context: A.\nQuestion: B?\nAnswer: C.\n\n---\n\n{block}")
    reasoned = rule(f"Context: A.\nQuestion: B?\nReasoning: R.\nAnswer: C.\n\n---\n\n{block[:-7]}Reasoning:")
    assert re.fullmatch(r'The context says: ".+"\nAnswer: .*In 1969.*', reasoned)


@pytest.mark.parametrize(
    "wish, yes, no",
    [
        ("Reply yes or no.", "Yes", "No"),
        ("只回答“是”或“否”。", "是", "否"),
        ("Responda sí o no.", "Sí", "No"),
        ("Responda sim ou não.", "Sim", "Não"),
    ],
)
def test_yes_or_no(wish, yes, no):
    language = {"Yes": "en", "是": "zh", "Sí": "es", "Sim": "pt"}[yes]
    text = TEXTS[language]
    frame = f"{wish}\n\nContext: {text}\nQuestion: ?\nReference answer: {text[:40]}\nModel answer: "
    assert rule(frame + text[:30]) == yes
    assert rule(frame + "xyzzy plugh") == no


PROFILE_WISHES = {
    "en": "Describe the author of this page in at most 30 words.",
    "zh": "请用不超过30个字描述这篇文章的作者。",
    "es": "Describa al autor de la página en un máximo de 30 palabras.",
    "pt": "Descreva o autor da página em no máximo 30 palavras.",
}
REWRITE_WISHES = {
    "en": "As this author, write a request to rewrite the page, in at most 100 words.",
    "zh": "以作者身份写一个改写网页的请求，不超过100字。",
    "es": "Escriba una petición para reescribir la página, en 100 palabras como máximo.",
    "pt": "Escreva um pedido para reescrever a página, em no máximo 100 palavras.",
}
ASK_WISHES = {
    "en": "Which question would this text be a great answer to? At most 50 words.",
    "zh": "推测这段文字最可能回答的问题，不超过50字。",
    "es": "Escriba la pregunta a la que este texto responde, en 50 palabras como máximo.",
    "pt": "Escreva a pergunta à qual este texto responde, em no máximo 50 palavras.",
}
LAYOUTS = [
    "{wish}\n\n{text}",
    "{text}\n\n{wish}",
    "{wish}\n\n<page>\n{text}\n</page>",
    "### Page\n{text}\n\n### Task\n{wish}",
    "{wish}\n\nText:\n{text}",
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("language", TEXTS)
def test_webr_profile_request_and_question(language, layout):
    text = TEXTS[language]
    profile, request, question = (
        rule(layout.format(wish=wishes[language], text=text)) for wishes in (PROFILE_WISHES, REWRITE_WISHES, ASK_WISHES)
    )
    frames = webr_standin
    assert any(opening_of(frame) in profile for frame in frames.PROFILES[language])
    assert len(profile.split()) <= 30 and (language != "zh" or len(profile) <= 40)
    assert request.startswith(frames.REWRITES[language].partition("{")[0]) and len(request.split()) <= 50
    assert question[-1] in "?？" and len(question.split()) <= 50
    assert any(" ".join(phrase.split()) in question for phrase in quoting.clauses(text, language))


def opening_of(frame):
    return frame.partition("{")[0]


def test_webr_refinement_uses_page_and_draft_and_sometimes_leads_in():
    prompt = f"Improve the draft answer.\n\n### Page\n{EN}\n\n### Question\nWhat about the dam?\n\n"
    prompt += "### Draft answer\nIt was made of stone.\n"
    answers = [rule(prompt, seed=seed) for seed in range(20)]
    assert all("1969 a dam was built" in answer and "It was made of stone" in answer for answer in answers)
    assert 0 < sum(answer.startswith("Here is") for answer in answers) < 20


SCORE = re.compile(r"PUNTUACIÓN EDUCATIVA[:\s]*([\d\.]+)")
EDU = "Evalúe de 0 a 5.\n\nExtracto:\n{}\n\nTras examinarlo, termine con «PUNTUACIÓN EDUCATIVA: <puntos>»."
LABELS = (
    "DOMINIOS:\n- Educación: escuelas\n- Salud: médicos\nCASOS DE USO:\n- Tutoría STEM: clases\n"
    "- Telemedicina: consultas\n\nTexto: {}\n\nFormato:\nDOMINIO: <lista>\nCASOS DE USO: <lista>"
)


@given(PAGE, SEEDS)
def test_edu_score_parses(text, seed):
    assert SCORE.search(rule(EDU.format(text), seed=seed))[1] in "012345"


def test_edu_score_tells_lessons_from_advertisements():
    lesson = (
        "La célula es la unidad de la vida. Los alumnos estudian la teoría en la escuela, por ejemplo con ejercicios."
    )
    advertisement = "Compra ya: ofertas, precio con descuento, suscríbete y acepta cookies."
    scores = [int(SCORE.search(rule(EDU.format(text)))[1]) for text in (lesson, ES, advertisement)]
    assert scores == sorted(scores, reverse=True) and scores[0] >= 3 and scores[-1] == 0


@given(PAGE)
def test_edu_labels_parse_and_come_from_the_prompt(text):
    domains, use_cases = re.fullmatch(r"DOMINIO: (.+)\nCASOS DE USO: (.+)", rule(LABELS.format(text))).groups()
    assert set(domains.split(", ")) <= {"Educación", "Salud", "Sin coincidencia"}
    assert set(use_cases.split(", ")) <= {"Tutoría STEM", "Telemedicina"}


def test_edu_labels_follow_the_text():
    assert "Salud" in rule(LABELS.format("La telemedicina mejora la salud.")).split("\n")[0]


JUDGE_LAYOUTS = [
    "[Question]\n{q}\n\n[The Start of Assistant 1's Answer]\n{a}\n\n[The End of Assistant 1's Answer]\n\n"
    "[The Start of Assistant 2's Answer]\n{b}\n\n[The End of Assistant 2's Answer]\n\n"
    "[System]\nRate each on a scale of 1 to 10.",
    "Score both answers from 1 to 10 on the first line.\n\nQuestion: {q}\n\nAnswer 1:\n{a}\n\nAnswer 2:\n{b}\n",
    "请给两个回答各打1到10分。\n\n问题：{q}\n\n回答1：\n{a}\n\n回答2：\n{b}\n",
]


@pytest.mark.parametrize("layout", JUDGE_LAYOUTS)
def test_judge_scores_both_orders_alike(layout):
    good, bad = "The moon pulls the sea, and so the tides come twice a day, on both sides of the earth.", "No idea."
    first = rule(layout.format(q="Why are there tides?", a=good, b=bad))
    second = rule(layout.format(q="Why are there tides?", a=bad, b=good))
    scores, reverse = ([int(word) for word in text.split("\n")[0].split(" ")] for text in (first, second))
    assert scores == reverse[::-1] and scores[0] > scores[1]
    assert all(1 <= score <= 10 for score in scores) and first.split("\n\n")[1]


@settings(max_examples=200)
@given(st.text(max_size=500), st.text(max_size=100), SEEDS)
def test_any_prompt_gets_an_answer_and_always_the_same(user, system, seed):
    answer = rule(user, system, seed)
    assert answer.strip() and answer == rule(user, system, seed)


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
