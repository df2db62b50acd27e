"""The LLM layer against servers that lie, fail and die, run through eval/generate.py as a user runs it."""

import asyncio
import json
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from common.errors import BadInput, ServerDown, ServerRefused
from common.llm import (
    Request,
    client,
    in_order,
    llm_options,
    responses,
    work_rows,
)
from common.rows import read_rows
from common.step import Step, step_options
from eval import generate
from tests.common.llm_args import llm_args
from tests.common.scripted_server import ScriptedServer, completion, echo, ok, scripted_server

ROOT = Path(__file__).parent.parent.parent


pytestmark = pytest.mark.usefixtures("quick_retries")


# ---------------------------------------------------------------- order, identity, backpressure


def test_answers_stay_with_their_questions_in_input_order(ask):
    async def late_in_random_order(body, number):
        await asyncio.sleep(random.Random(number).random() / 20)
        return echo(body, number)

    with scripted_server(late_in_random_order) as server:
        rows = ask([f"q{number}" for number in range(200)], server.url, "--concurrency", "32")
    assert rows == [{"id": n, "prompt": f"q{n}", "response": f"answer to q{n}"} for n in range(200)]
    assert server.most_in_flight == 32


def test_one_slow_answer_delays_nobody_and_waits_on_disk(ask, monkeypatch):
    monkeypatch.setattr(in_order, "KEPT_IN_MEMORY", 5)
    others_done = asyncio.Event()

    async def first_comes_last(body, number):
        if body["messages"][0]["content"] == "q0":
            await others_done.wait()
        elif len(server.bodies) == 300:
            others_done.set()
        return echo(body, number)

    with scripted_server(first_comes_last) as server:
        rows = ask([f"q{number}" for number in range(300)], server.url, "--concurrency", "4")
    assert [row["response"] for row in rows] == [f"answer to q{number}" for number in range(300)]


def test_rows_are_read_only_as_answers_come(ask, monkeypatch):
    read = 0
    scan = generate.Step.scan

    def counting_scan(step):
        nonlocal read
        for item in scan(step):
            read += 1
            yield item

    monkeypatch.setattr(generate.Step, "scan", counting_scan)
    ahead = []

    def reply(body, number):
        ahead.append(read - number)
        return echo(body, number)

    with scripted_server(reply) as server:
        ask([f"q{number}" for number in range(500)], server.url, "--concurrency", "8")
    assert max(ahead) <= 16


def test_two_servers_are_used_evenly_and_one_may_die(ask):
    with scripted_server(echo) as one, scripted_server(echo) as two:
        ask([f"q{number}" for number in range(100)], f"{one.url},{two.url}", "--concurrency", "4")
        assert abs(len(one.bodies) - len(two.bodies)) <= 10
    with scripted_server(lambda *_: None) as dying, scripted_server(echo) as two:
        rows = ask([f"p{number}" for number in range(100)], dying.url, "--base_url", two.url, "--concurrency", "4")
        assert len(rows) == 100 == len(two.bodies)


# ---------------------------------------------------------------- faults of the protocol never reach a step


FAULTS = {
    "429": (429, {"error": {"message": "slow down"}}, {"Retry-After": "0"}),
    "500": (500, {"error": {"message": "boom"}}, {}),
    "503 html": (503, "<html>busy</html>", {}),
    "200 html": (200, "<html>gateway</html>", {}),
    "cut json": (200, json.dumps(completion("x"))[:40], {}),
    "empty body": (200, "", {}),
    "no choices": (200, {"choices": []}, {}),
    "null": (200, "null", {}),
    "error with 200": (200, {"error": {"message": "overloaded"}}, {}),
    "text is a number": (200, {"choices": [{"message": {"content": 3}}]}, {}),
    "dropped": None,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_protocol_faults_are_tried_again(ask, fault):
    def reply(body, number):
        return FAULTS[fault] if number < 3 else echo(body, number)

    with scripted_server(reply) as server:
        rows = ask(["q"], server.url)
    assert [row["response"] for row in rows] == ["answer to q"]
    assert len(server.bodies) == 4
    assert sum(ask.manifest()["llm"]["errors"].values()) == 3


def test_a_hanging_request_is_given_up_and_asked_again(ask):
    async def hang_once(body, number):
        if number == 0:
            await asyncio.Event().wait()
        return echo(body, number)

    with scripted_server(hang_once) as server:
        rows = ask(["q"], server.url, "--request_timeout", "1.5")
    assert len(rows) == 1 and ask.manifest()["llm"]["errors"] == {"APITimeoutError": 1}


def test_retry_after_is_honoured(ask, monkeypatch):
    slept = []
    real_sleep = asyncio.sleep

    async def note(seconds, *rest):
        slept.append(seconds)
        await real_sleep(0)

    monkeypatch.setattr(client.asyncio, "sleep", note)
    answers = iter(
        [(429, {}, {"Retry-After": "7"}), (429, {}, {"Retry-After": "1e9"}), (429, {}, {"Retry-After": "x"})]
    )
    with scripted_server(lambda body, number: next(answers, None) or echo(body, number)) as server:
        ask(["q"], server.url)
    waits = [seconds for seconds in slept if seconds]
    assert waits[0] == 7 and waits[1] == responses.LONGEST_RETRY_AFTER and waits[2] < 1


def test_a_refused_request_is_not_tried_again_and_its_row_set_aside(ask):
    def reply(body, number):
        if "long" in body["messages"][0]["content"]:
            return 400, {"error": {"message": "maximum context length is 10 tokens"}}, {}
        return echo(body, number)

    with scripted_server(reply) as server:
        rows = ask(["short", "long one", "short too"], server.url)
    assert [row["id"] for row in rows] == [0, 2]
    assert len(server.bodies) == 3
    (rejected,) = ask.rejected()
    assert rejected["index"] == 1 and rejected["row"]["prompt"] == "long one"
    assert rejected["reason"] == "BadRequestError 400: maximum context length is 10 tokens"


def test_a_poison_request_is_rejected_while_the_others_go_on(ask, monkeypatch):
    monkeypatch.setattr(client, "MAX_TRIES", 4)
    with scripted_server(lambda body, number: (500, {}, {}) if "poison" in str(body) else echo(body, number)) as server:
        rows = ask(["a", "poison", "b"], server.url)
    assert [row["prompt"] for row in rows] == ["a", "b"]
    assert ask.rejected()[0]["reason"].startswith("not answered in 4 tries; the last: InternalServerError 500")
    assert sum("poison" in str(body) for body in server.bodies) == 4


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_model_stops_the_run_at_once(ask, status):
    with scripted_server(lambda *_: (status, {"error": {"message": "no"}}, {})) as server:
        with pytest.raises(ServerRefused, match=str(status)):
            ask([f"q{number}" for number in range(50)], server.url, "--concurrency", "2")
        assert len(server.bodies) <= 2
    assert not (ask.folder / "out.jsonl").exists()


def test_a_server_that_refuses_everything_stops_the_run(ask):
    with scripted_server(lambda *_: (400, {"error": {"message": "unknown field top_k"}}, {})) as server:
        with pytest.raises(ServerRefused, match="unknown field top_k"):
            ask([f"q{number}" for number in range(500)], server.url, "--concurrency", "4")
        assert len(server.bodies) < 110


def test_a_run_in_which_all_is_refused_is_no_success(ask):
    with scripted_server(lambda *_: (400, {"error": {"message": "too long"}}, {})) as server:
        with pytest.raises(ServerRefused, match="refused every request; the last: 400 too long"):
            ask(["only"], server.url)


def test_a_server_that_lists_no_models_is_asked_about_by_name(ask, monkeypatch):
    monkeypatch.setattr(ScriptedServer, "models", (500, {}))
    with scripted_server(echo) as server:
        with pytest.raises(BadInput, match="does not list its models.*give --model"):
            ask(["q"], server.url)
        assert len(ask(["q"], server.url, "--model", "m")) == 1


def test_after_an_outage_nobody_sleeps_on(ask, monkeypatch):
    monkeypatch.setattr(client, "OUTAGE", 0.05)
    monkeypatch.setattr(client, "LONGEST_WAIT", 60)
    back = time.monotonic() + 0.5
    with scripted_server(lambda body, n: echo(body, n) if time.monotonic() > back else None) as server:
        assert len(ask([f"q{number}" for number in range(64)], server.url, "--concurrency", "64")) == 64
    assert time.monotonic() - back < 5


def test_a_server_that_is_down_ends_the_run_with_all_answers_kept(ask):
    def reply(body, number):
        return echo(body, number) if number < 5 else None

    questions = [f"q{number}" for number in range(10)]
    with scripted_server(reply) as server:
        with pytest.raises(ServerDown, match="run again to go on") as down:
            ask(questions, server.url, "--server_timeout", "0.3", "--concurrency", "1", "--model", "scripted")
    assert down.value.exit_code == 75
    assert not (ask.folder / "out.jsonl").exists()
    with scripted_server(echo) as server:
        assert len(ask(questions, server.url, "--model", "scripted")) == 10
        assert len(server.bodies) == 5


# ---------------------------------------------------------------- faults of the content are the step's to judge


def test_a_bad_answer_is_asked_again_with_the_next_sample_number_then_rejected(ask):
    replies = {"good": ["fine"], "late": ["", "fine"], "empty": ["", " ", "\n"], "long": ["cut"] * 3}

    def reply(body, _number):
        question = body["messages"][0]["content"]
        sample = body["seed"] - 5
        return ok(replies[question][sample], reason="length" if question == "long" else "stop")

    with scripted_server(reply) as server:
        rows = ask(list(replies), server.url, "--sampling_seed", "5", "--max_attempts", "3")
        assert [row["prompt"] for row in rows] == ["good", "late"]
        assert [(row["index"], row["reason"].split()[0], row["answer"]) for row in ask.rejected()] == [
            (2, "empty", "\n"),
            (3, "cut", "cut"),
        ]
        asked = Counter(body["messages"][0]["content"] for body in server.bodies)
        assert asked == {"good": 1, "late": 2, "empty": 3, "long": 3}
        assert ask.manifest()["counts"]["answers asked again"] == 5
        again = ask(list(replies), server.url, "--sampling_seed", "5", "--max_attempts", "3")
    assert again == rows and len(server.bodies) == 9  # what was answered badly is an answer too: nothing is paid twice


def test_stop_texts_are_cut_where_the_server_does_not(ask):
    with scripted_server(lambda *_: ok("one---two\n\nthree", reason="length")) as server:
        (row,) = ask(["q"], server.url, "--stop", "\n\n", "--stop=---")
    assert row["response"] == "one"


def test_null_content_is_an_empty_answer(ask):
    with scripted_server(lambda *_: ok(None)) as server:
        assert ask(["q"], server.url) == []
    assert ask.rejected()[0]["reason"] == "empty answer"


def test_plain_completions_and_all_options_reach_the_server(ask):
    flags = [
        "--api",
        "completions",
        "--temperature",
        "0.85",
        "--top_p",
        "0.9",
        "--max_tokens",
        "7",
        "--sampling_seed",
        "3",
    ]
    with scripted_server(lambda body, _: ok("fine", chat=False)) as server:
        rows = ask(["a prompt"], server.url, *flags, "--extra_body", '{"guided_regex": "[a-z]+"}')
    assert rows[0]["response"] == "fine"
    assert server.bodies == [
        {"model": "scripted", "prompt": "a prompt", "temperature": 0.85, "top_p": 0.9, "max_tokens": 7, "seed": 3}
        | {"guided_regex": "[a-z]+"}
    ]


@pytest.mark.parametrize("gives", [1, 2, 4, 9])
def test_n_answers_come_however_many_the_server_gives_at_once(tmp_path, gives):
    def reply(body, number):
        return ok(
            *(f"seed {body['seed']} text {place}" for place in range(min(gives, body.get("n", 1)) if gives < 9 else 9))
        )

    args = llm_args(tmp_path)

    async def work(row, ask):
        first = await ask(Request(messages=[], n=4, seed=10))
        second = await ask(Request(messages=[], n=4, seed=10), sample=1)
        return {"first": first.texts, "second": second.texts}

    with scripted_server(reply) as server:
        args.base_url = [server.url]
        with Step([tmp_path / "in.jsonl"], tmp_path / "out.jsonl", **step_options(args)) as step:
            work_rows(step, llm_options(args), work)
    (row,) = read_rows(tmp_path / "out.jsonl")
    assert len(row["first"]) == len(row["second"]) == 4
    assert len(set(row["first"] + row["second"])) == 8  # other seeds, so other texts
