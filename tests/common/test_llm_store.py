"""Every answer is paid for once, whoever is killed, and what is kept tells nobody a secret."""

import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from common.errors import Paused, Reject
from common.llm import (
    ask_rows,
    llm_options,
)
from common.llm.standin import standin_server
from common.rows import read_rows, write_rows
from common.step import Step, step_options
from tests.common.llm_args import llm_args
from tests.common.scripted_server import echo, ok, scripted_server

ROOT = Path(__file__).parent.parent.parent


pytestmark = pytest.mark.usefixtures("quick_retries")


# ---------------------------------------------------------------- the answer store


def test_only_what_changed_is_paid_for(ask):
    questions = [f"q{number}" for number in range(50)]
    with scripted_server(echo) as server:

        def paid(*flags, new=questions):
            before = len(server.bodies)
            ask(new, server.url, *flags)
            return len(server.bodies) - before

        assert paid() == 50
        assert paid() == 0
        assert paid(new=["another", *questions[1:]]) == 1
        assert paid(new=list(reversed(questions))) == 0
        assert paid(new=[*questions, "one more"]) == 1
        assert paid("--system_prompt", "be brief") == 50
        assert paid("--temperature", "0.5") == 50
        assert paid("--max_tokens", "9") == 50
        assert paid("--model", "other") == 50
        assert paid("--sampling_seed", "1") == 50
        assert paid() == 0
        assert paid("--no_store") == 50


def test_two_outputs_may_share_a_store(ask):
    with scripted_server(echo) as server:
        ask(["a", "b"], server.url, "--store_path", ask.folder / "answers.sqlite")
        ask(["b", "c"], server.url, "--store_path", ask.folder / "answers.sqlite", output="other.jsonl")
        assert len(server.bodies) == 3


def test_failures_are_not_stored(ask):
    statuses = iter([400])
    with scripted_server(lambda body, n: (400, {}, {}) if next(statuses, None) else echo(body, n)) as server:
        assert len(ask(["q", "p"], server.url, "--concurrency", "1")) == 1
        assert len(ask(["q", "p"], server.url)) == 2
    assert not (ask.folder / "out.jsonl.rejected.jsonl").exists()


def test_max_requests_ends_early_and_the_same_command_goes_on(ask):
    questions = [f"q{number}" for number in range(20)]
    with scripted_server(echo) as server:
        for _ in range(2):
            with pytest.raises(Paused) as paused:
                ask(questions, server.url, "--max_requests", "8", "--concurrency", "3")
            assert paused.value.exit_code == 75 and not (ask.folder / "out.jsonl").exists()
        assert len(ask(questions, server.url, "--max_requests", "8", "--concurrency", "3")) == 20
        assert len(server.bodies) == 20


def test_dry_run_counts_and_asks_nothing(ask, capsys):
    with scripted_server(echo) as server:
        ask(["one"], server.url, "--model", "m")
        with pytest.raises(SystemExit) as end:
            flags = ["--model", "m", "--dry_run", "--price_in", "1", "--price_out", "2", "--max_tokens", "1024"]
            ask(["one", "two " * 100], server.url, *flags)
        assert len(server.bodies) == 1
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert "requests        1 (1 more are in the store)" in printed and "about 100" in printed


def test_the_key_is_sent_and_kept_nowhere(ask, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-verysecret123456")
    with scripted_server(
        lambda body, number: ok("fine") if number else (429, {"error": {"message": "key sk-verysecret123456"}}, {})
    ) as server:
        ask(["q"], server.url)
    assert server.headers[0]["Authorization"] == "Bearer sk-verysecret123456"
    for path in ask.folder.iterdir():
        assert b"verysecret" not in path.read_bytes(), path


def test_hostile_text_goes_there_and_back(ask):
    texts = ["05", "中文 😀", "a\u2028b\x00c", "half \ud83d of a pair", "x" * 1_000_000]
    with scripted_server(lambda body, _: ok(body["messages"][0]["content"])) as server:
        rows = ask(texts, server.url)
        assert [row["response"] for row in rows] == texts == [row["prompt"] for row in rows]
        assert ask(texts, server.url) == rows and len(server.bodies) == 5


def test_a_row_that_cannot_be_asked_is_rejected_without_asking(tmp_path):
    args = llm_args(tmp_path)

    def make_request(row):
        raise Reject("nothing to ask")

    with scripted_server(echo) as server:
        args.base_url = [server.url]
        with Step([tmp_path / "in.jsonl"], tmp_path / "out.jsonl", **step_options(args)) as step:
            ask_rows(step, llm_options(args), make_request, lambda row, answer: row)
        assert not server.bodies
    assert next(read_rows(tmp_path / "out.jsonl.rejected.jsonl"))["reason"] == "nothing to ask"


# ---------------------------------------------------------------- killed and started again


def test_killed_at_random_moments_under_faults_the_result_is_the_same_to_the_byte(tmp_path):
    """2,000 rows, 30 % protocol faults, kill -9 at 20 moments: nothing lost, nothing doubled, little asked twice."""
    rows = [{"id": number, "prompt": f"Frage {number}: 什么是第 {number} 个? Two. Three."} for number in range(2000)]
    write_rows(tmp_path / "in.jsonl", rows)
    concurrency, kills = 32, 20

    def command(url, output):
        arguments = ["--data_path", tmp_path / "in.jsonl", "--save_path", tmp_path / output, "--base_url", url]
        arguments += [
            "--concurrency",
            concurrency,
            "--request_timeout",
            "1",
            "--sampling_seed",
            "1",
            "--temperature",
            "1",
        ]
        return [sys.executable, "-m", "eval.generate", *map(str, arguments)]

    def run(url, output):
        return subprocess.Popen(command(url, output), cwd=ROOT, stderr=subprocess.PIPE, text=True)

    with standin_server(fault_empty=0.05) as url:
        undisturbed = run(url, "undisturbed.jsonl")
        assert undisturbed.wait() == 0, undisturbed.stderr.read()
    log = tmp_path / "requests.log"
    with standin_server(faults=0.3, fault_empty=0.05, hang_seconds=60, retry_after=0, log_path=log) as url:
        pick = random.Random(7)
        for _ in range(kills):
            answered = _lines(log)
            process = run(url, "out.jsonl")
            _wait_for_lines(log, answered + pick.randrange(1, 120), process)
            process.send_signal(signal.SIGKILL)
            process.wait()
        last = run(url, "out.jsonl")
        assert last.wait() == 0, last.stderr.read()
    for name in ("{}.jsonl", "{}.jsonl.rejected.jsonl"):
        there = (tmp_path / name.format("out")).read_bytes()
        assert there == (tmp_path / name.format("undisturbed")).read_bytes()
    done = [row["id"] for row in read_rows(tmp_path / "out.jsonl")]
    rejected = [row["index"] for row in read_rows(tmp_path / "out.jsonl.rejected.jsonl")]
    assert sorted(done + rejected) == list(range(2000)) and done == sorted(done) and rejected
    answered = Counter(line.split()[0] for line in log.read_text().splitlines() if line.split()[1] == "200")
    assert sum(answered.values()) - len(answered) <= kills * concurrency


def _lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _wait_for_lines(path, count, process):
    """Until the server has logged so many requests, or the run has ended."""
    pause = threading.Event()
    while _lines(path) < count and process.poll() is None:
        pause.wait(0.01)
