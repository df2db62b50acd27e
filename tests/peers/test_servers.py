"""The LLM layer against servers that others wrote: `transformers serve` and vLLM on CPU, with a tiny random model.

Both say what transformers' own `generate` says in this process, so each answer is known beforehand.
"""

import argparse
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from common import manifest
from common.llm import Answer, Request, add_llm_arguments, ask_rows, llm_options
from common.rows import read_rows, write_rows
from common.step import Step, add_step_arguments, step_options

pytestmark = pytest.mark.peers

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
ENGINES = {
    "transformers": [],
    "vllm": ["--max-model-len", "512", "--enforce-eager", "--dtype", "float32"],
}
QUESTIONS = ["Hello", "What is 1 + 1?", "你好，世界 🙂", "a\tb\n\nc \x00 \u2028", "", "long " * 50]


@dataclass
class Server:
    engine: str
    model: str
    port: int

    def start(self) -> None:
        """Through serve.sh, whose command is `cat`: the server runs until `cat` has nothing to read."""
        self._script = subprocess.Popen(
            ["bash", ROOT / "common" / "llm" / "serve.sh", "--engine", self.engine, "--model", self.model]
            + ["--port", str(self.port), *ENGINES[self.engine], "--", "cat"],
            env=os.environ
            | {"PATH": f"{BIN}:{ROOT / '.venv-vllm' / 'bin'}:{os.environ['PATH']}", "VIRTUAL_ENV": sys.prefix}
            | {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "NUM_GPUS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.url in self._script.stdout.readline()

    def stop(self) -> None:
        self._script.communicate()
        assert self._script.returncode == 0
        assert not listens(self.port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def kill(self, how: signal.Signals) -> None:
        """The server and its workers: the child of the script that leads a group of its own."""
        children = Path(f"/proc/{self._script.pid}/task/{self._script.pid}/children").read_text(encoding="utf-8")
        (leader,) = [int(child) for child in children.split() if os.getpgid(int(child)) == int(child)]
        os.killpg(leader, how)
        wait_until(lambda: not listens(self.port))


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def wait_until(condition, limit: float = 60) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    subprocess.run([sys.executable, ROOT / "tests" / "peers" / "make_tiny_model.py", folder], check=True)
    return str(folder)


@pytest.fixture(scope="module", params=ENGINES)
def server(request, tiny) -> Iterator[Server]:
    server = Server(request.param, tiny, free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def expect(tiny):
    """expect(text, tokens, chat): the model's greedy answer, by transformers in this process."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(tiny), AutoModelForCausalLM.from_pretrained(tiny)

    def answer(text: str, tokens: int, chat: bool = True) -> str:
        if chat:
            messages = [{"role": "user", "content": text}]
            prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")
        else:
            prompt = tokenizer(text, return_tensors="pt")
        whole = model.generate(**prompt, max_new_tokens=tokens, do_sample=False)[0]
        return tokenizer.decode(whole[prompt["input_ids"].shape[1] :])

    return answer


def generate_command(server: Server, data: Path, save: Path, *flags: str) -> list[str]:
    command = [sys.executable, ROOT / "eval" / "generate.py", "--data_path", data, "--save_path", save]
    command += ["--base_url", server.url, "--model", server.model, "--keep_truncated", "--concurrency", "64", *flags]
    return list(map(str, command))


def generate(server: Server, data: Path, save: Path, *flags: str) -> dict[str, int]:
    """Run it as a user does; the counts of its manifest."""
    done = subprocess.run(generate_command(server, data, save, *flags), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return manifest.read(save)["counts"]


def ask(server: Server, save: Path, requests: list[Request], *flags: str) -> tuple[list[Answer], dict[str, int]]:
    """The answers to `requests`, asked for as a step does."""
    data = save.with_suffix(".in.jsonl")
    write_rows(data, [{"number": number} for number in range(len(requests))])
    parser = argparse.ArgumentParser()
    add_step_arguments(parser)
    add_llm_arguments(parser)
    args = parser.parse_args(["--base_url", server.url, "--model", server.model, "--temperature", "0", *flags])
    answers: dict[int, Answer] = {}

    def use_answer(row: dict, answer: Answer) -> dict:
        answers[row["number"]] = answer
        return row

    with Step([data], save, **step_options(args)) as step:
        ask_rows(step, llm_options(args), lambda row: requests[row["number"]], use_answer)
    assert list(read_rows(save)) == list(read_rows(data))
    return [answers[number] for number in range(len(requests))], manifest.read(save)["counts"]


def chat(text: str, **options) -> Request:
    return Request(messages=[{"role": "user", "content": text}], **options)


# ---------------------------------------------------------------- what is asked for is what comes


def test_chat_at_64_in_flight_is_complete_and_in_order(server, expect, tmp_path):
    data, save = tmp_path / "questions.jsonl", tmp_path / "answers.jsonl"
    rows = [{"prompt": f"{QUESTIONS[i % len(QUESTIONS)]} {i}", "id": i} for i in range(256)]
    write_rows(data, rows)
    counts = generate(server, data, save, "--max_tokens", "16")
    answers = list(read_rows(save))
    assert [{"prompt": row["prompt"], "id": row["id"]} for row in answers] == rows
    assert [row["response"] for row in answers[::8]] == [expect(row["prompt"], 16) for row in rows[::8]]
    assert counts["requests"] == 256 and counts["tokens out"] == 256 * 16

    before = save.read_bytes()
    again = generate(server, data, save, "--max_tokens", "16")
    assert save.read_bytes() == before and "requests" not in again and again["from the store"] == 256


def test_completions(server, expect, tmp_path):
    texts = [text for text in QUESTIONS if text]
    answers, _ = ask(server, tmp_path / "out.jsonl", [Request(prompt=text, max_tokens=12) for text in texts])
    assert [answer.text for answer in answers] == [expect(text, 12, chat=False) for text in texts]
    assert {answer.finish_reason for answer in answers} == {"length"}
    assert {answer.completion_tokens for answer in answers} == {12}


@pytest.mark.parametrize("as_chat", [True, False])
def test_stop_ends_the_answer_and_is_not_in_it(server, expect, tmp_path, as_chat):
    requests, wanted = [], []
    for text in QUESTIONS[:4]:
        whole = expect(text, 20, as_chat)
        stop = whole[7:10]
        wanted.append(whole[: whole.index(stop)])
        options = {"stop": ["\n\n\n", stop], "max_tokens": 20}
        requests.append(chat(text, **options) if as_chat else Request(prompt=text, **options))
    answers, _ = ask(server, tmp_path / "out.jsonl", requests)
    assert [answer.text for answer in answers] == wanted
    assert {answer.finish_reason for answer in answers} == {"stop"}


def test_several_answers_to_one_request(server, tmp_path):
    requests = [chat(text, n=3, temperature=2.0, seed=7, max_tokens=16) for text in QUESTIONS]
    answers, counts = ask(server, tmp_path / "out.jsonl", requests)
    assert all(len(answer.texts) == len(set(answer.texts)) == 3 for answer in answers)
    # A server that ignores n is asked three times.
    assert counts["requests"] == len(QUESTIONS) and counts["tokens out"] == 3 * 16 * len(QUESTIONS)
    again, counts = ask(server, tmp_path / "out.jsonl", requests)
    assert [answer.texts for answer in again] == [answer.texts for answer in answers] and "requests" not in counts


def test_options_of_a_row_count_more_than_those_of_the_run(server, expect, tmp_path):
    answers, _ = ask(server, tmp_path / "out.jsonl", [chat("a"), chat("a", max_tokens=3)], "--max_tokens", "9")
    assert [answer.text for answer in answers] == [expect("a", 9), expect("a", 3)]


def test_prompt_longer_than_the_context_costs_its_row_only(server, tmp_path):
    data, save = tmp_path / "questions.jsonl", tmp_path / "answers.jsonl"
    write_rows(data, [{"prompt": "short"}, {"prompt": "long" * 500}, {"prompt": "short too"}])
    counts = generate(server, data, save, "--max_tokens", "8")
    assert counts["in"] == 3 == counts["done"] + counts.get("rejected", 0)
    if server.engine == "vllm":  # the other one has no limit
        assert [row["prompt"] for row in read_rows(save)] == ["short", "short too"]
        (rejected,) = read_rows(f"{save}.rejected.jsonl")
        assert rejected["index"] == 1 and "400" in rejected["reason"]


def test_model_that_is_not_served(server, tmp_path):
    data, save = tmp_path / "questions.jsonl", tmp_path / "answers.jsonl"
    write_rows(data, [{"prompt": "a"}])
    command = generate_command(server, data, save, "--model", "no-such")
    done = subprocess.run(command, capture_output=True, text=True)
    # vLLM says 404, `transformers serve` 400: either way nobody will be answered
    assert done.returncode == 1 and "no-such" in done.stderr and not save.exists()


def test_answers_of_a_given_form(server, tmp_path):
    """Guided decoding by vLLM. `transformers serve` passes over the one and refuses the other."""
    schema = {"type": "object", "properties": {"score": {"enum": [1, 2, 3]}}, "required": ["score"]}
    form = {"type": "json_schema", "json_schema": {"name": "score", "schema": schema}}
    choice = '{"structured_outputs": {"choice": ["yes", "no"]}}'
    (scored,), _ = ask(server, tmp_path / "scored.jsonl", [chat("a", response_format=form, max_tokens=40)])
    data, save = tmp_path / "questions.jsonl", tmp_path / "chosen.jsonl"
    write_rows(data, [{"prompt": "a"}])
    command = generate_command(server, data, save, "--extra_body", choice, "--max_tokens", "8")
    done = subprocess.run(command, capture_output=True, text=True)
    if server.engine == "vllm":
        assert json.loads(scored.text)["score"] in (1, 2, 3)
        assert next(read_rows(save))["response"] in ("yes", "no")
    else:
        assert done.returncode == 1 and "structured_outputs" in done.stderr


def test_doctor_finds_server_and_model(server):
    command = [sys.executable, "-m", "common.doctor", "--base_url", server.url, "--model", server.model]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    length = {"vllm": "512", "transformers": "not told"}[server.engine]
    assert f"{server.url} serves {server.model}, context {length}" in shown.stdout


# ---------------------------------------------------------------- when it goes away


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("server, rows, tokens", [("transformers", 200, 64), ("vllm", 600, 200)], indirect=["server"])
def test_server_killed_and_restarted_in_mid_run(server, tmp_path, rows, tokens, how):
    """Asked to stop, a server may answer those in flight with half a text, an error or nothing."""
    data, undisturbed, save = (tmp_path / name for name in ("questions.jsonl", "undisturbed.jsonl", "answers.jsonl"))
    write_rows(data, [{"prompt": f"question {number}"} for number in range(rows)])
    flags = ["--max_tokens", str(tokens)]
    generate(server, data, undisturbed, *flags)

    client = subprocess.Popen(generate_command(server, data, save, *flags), stderr=subprocess.PIPE, text=True)
    wait_until(lambda: stored(save) >= rows // 4)
    server.kill(how)
    answered = stored(save)
    server.stop()
    server.start()
    _, shown = client.communicate(timeout=300)
    assert client.returncode == 0, shown
    assert rows // 4 <= answered < rows
    assert save.read_bytes() == undisturbed.read_bytes()
    facts = manifest.read(save)
    assert facts["llm"]["errors"]["APIConnectionError"] >= 1
    assert facts["counts"]["requests"] == rows == facts["counts"]["done"]


def stored(save: Path) -> int:
    """Answers in the store of a run that may not have made it yet."""
    try:
        with sqlite3.connect(f"file:{save}.answers.sqlite?mode=ro", uri=True) as store:
            return store.execute("SELECT count(*) FROM answers").fetchone()[0]
    except sqlite3.OperationalError:
        return 0
