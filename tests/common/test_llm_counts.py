"""What a run counts, orders and adds up."""

import asyncio
import datetime
import gc
import itertools
import json
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Paused
from common.llm import Request, ask_rows, in_order, llm_options, work_rows
from common.llm.protocol import canonical
from common.rows import read_rows, write_rows
from common.step import Step, step_options
from tests.common.llm_args import llm_args
from tests.common.scripted_server import completion, echo, ok, scripted_server

pytestmark = pytest.mark.usefixtures("quick_retries")


@given(st.permutations(range(12)), st.integers(0, 4), st.sets(st.integers(0, 11)))
def test_rows_come_out_in_order_whatever_order_they_are_done_in(order, kept, not_json):
    """Some wait in memory, some in a file that is written to again after it was read from."""
    written = []

    class Noted:
        def write_or_reject(self, index, rows, row):
            assert row == index
            written.extend(rows)

        def reject(self, index, reason):
            written.append({"rejected": index})

    before, in_order.KEPT_IN_MEMORY = in_order.KEPT_IN_MEMORY, kept
    try:
        outcomes = in_order.InOrder(Noted())
        for index in order:
            value = datetime.date(2026, 1, 1) if index in not_json else "x" * (index % 5) + "\ud83d"
            rows = {"rows": [{"index": index, "value": value}], "row": index}
            outcomes.put(index, {"reject": [index, "why"]} if index % 4 == 3 else rows)
    finally:
        in_order.KEPT_IN_MEMORY = before
    assert [row.get("index", row.get("rejected")) for row in written] == list(range(12))
    assert all(
        row["value"] == "x" * (row["index"] % 5) + "\ud83d" for row in written if isinstance(row.get("value"), str)
    )


def test_max_requests_is_kept_to_the_request(ask):
    with scripted_server(echo) as server:
        for paid in (8, 16):
            with pytest.raises(Paused, match="stopped after 8 requests"):
                ask([f"q{number}" for number in range(20)], server.url, "--max_requests", "8")
            assert len(server.bodies) == paid
        assert len(ask([f"q{number}" for number in range(20)], server.url, "--max_requests", "4")) == 20


def run(tmp_path, server, request, rows=1, **options):
    args = llm_args(tmp_path, base_url=[server.url], **options)
    write_rows(tmp_path / "in.jsonl", [{"question": f"q{number}"} for number in range(rows)])
    answers = []

    def use_answer(row, answer):
        answers.append(answer)
        return {"texts": answer.texts}

    with Step([tmp_path / "in.jsonl"], tmp_path / "out.jsonl", **step_options(args)) as step:
        ask_rows(step, llm_options(args), lambda row: request, use_answer)
    return answers


def test_choices_are_put_in_the_order_of_their_numbers(tmp_path):
    answer = completion("first", "second", "third")
    answer["choices"] = [answer["choices"][place] | {"logprobs": {"place": place}} for place in (2, 0, 1)]
    with scripted_server(lambda *_: (200, answer, {})) as server:
        for _ in range(2):
            (got,) = run(tmp_path, server, Request(messages=[], n=3, logprobs=True, top_logprobs=2))
            assert got.texts == ["first", "second", "third"]
            assert [place["place"] for place in got.logprobs] == [0, 1, 2]
        assert server.bodies[0]["logprobs"] is True and server.bodies[0]["top_logprobs"] == 2
        assert run(tmp_path, server, Request(messages=[], n=3))[0].logprobs == []


def test_cost_is_that_of_what_was_paid_for_in_this_run(ask):
    def cost(*questions):
        ask(questions, server.url, "--price_in", "1000", "--price_out", "30000")
        return ask.manifest()["llm"]["cost_of_this_run"], ask.manifest()["counts"]

    with scripted_server(echo) as server:  # 3 tokens in and 2 out each
        assert cost("a", "b")[0] == pytest.approx(2 * (3 * 0.001 + 2 * 0.03))
        paid, counts = cost("a", "b", "c")
        assert paid == pytest.approx(3 * 0.001 + 2 * 0.03)
        assert counts["tokens in"] == 9 and counts["tokens out"] == 6
        assert counts["from the store"] == 2 and counts["requests"] == 1
        saved = ask.manifest()["llm"]["saved_by_the_store"], ask.manifest()["llm"]["saved_by_batches"]
        assert saved == (pytest.approx(2 * (3 * 0.001 + 2 * 0.03)), 0)
        ask(["a"], server.url)
        assert ask.manifest()["llm"]["cost_of_this_run"] is None  # of a model whose price is not known


def test_a_request_is_sent_only_if_the_most_that_it_can_cost_is_left(ask):
    """Half its bytes as tokens and --max_tokens; what is in flight counts with its most, what was answered as it is."""

    async def together(body, number):
        await asyncio.sleep(0.05)
        return echo(body, number)

    def run(most, *questions):
        flags = ["--price_in", "1e6", "--price_out", "1e6", "--max_tokens", "50", "--concurrency", "3"]
        before = len(server.bodies)
        try:
            done = len(ask(questions, server.url, *flags, "--max_cost", f"{most:.6f}"))
        except Paused as paused:
            done = str(paused)
        return done, len(server.bodies) - before

    with scripted_server(together) as server:
        ask(["a"], server.url, "--max_tokens", "50", "--no_store")
        most = len(canonical(server.bodies[0])) / 2 + 50
        said = "stopped at a cost of 0.0000, as asked by --max_cost; run again to go on"
        assert run(most - 0.001, "a") == (said, 0)
        assert run(2 * most, "a", "b", "c") == (said, 2)
        assert run(most, "a", "b", "c") == (3, 1)
        assert run(most + 2 * 5, "d") == (1, 1) and run(most + 5, "e", "e", "e") == (3, 1)  # each costs 3 + 2


def test_who_watches_sees_rate_failures_and_cost(ask, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("common.llm.asking.time", SimpleNamespace(monotonic=itertools.count(100).__next__))
    with scripted_server(lambda body, n: (500, {}, {}) if n == 0 else echo(body, n)) as server:
        ask(["a", "b", "c"], server.url, "--price_in", "1e6", "--price_out", "2e6", "--concurrency", "1")
    said = capsys.readouterr().err
    assert "2 tokens/s, 1 errors, 1 retries, cost 21.00" in said and "3/3" in said
    with scripted_server(echo) as server:
        ask(["a"], server.url, "--no_store")
    assert "tokens/s, 0 errors, 0 retries" in (said := capsys.readouterr().err) and "cost" not in said


def test_a_run_leaves_the_garbage_collector_as_it_was(ask):
    before = gc.get_threshold()
    with scripted_server(echo) as server:
        ask(["a"], server.url)
    assert gc.get_threshold() == before and gc.get_freeze_count() == 0


def test_rows_of_which_all_that_are_asked_are_refused_end_well_where_the_store_answers_others(ask):
    with scripted_server(echo) as server:
        ask(["a", "b"], server.url)
    with scripted_server(lambda *_: (422, {}, {})) as server:
        assert len(ask(["a", "b", "c"], server.url)) == 2
    assert ask.rejected()[0]["reason"] == "BadRequestError 422: {}" and ask.manifest()["counts"]["from the store"] == 2


def printed(capsys):
    lines = [line.split(None, 2) for line in capsys.readouterr().out.splitlines()]
    return {line[0]: line[1:] for line in lines}


def test_dry_run_counts_each_of_n_answers_and_asks_for_what_the_store_lacks(tmp_path, capsys):
    request = Request(messages=[{"role": "user", "content": "12345678"}], n=3, max_tokens=100)
    with scripted_server(lambda body, _: ok(*"abc"[: body["n"]])) as server:
        with pytest.raises(SystemExit):
            run(tmp_path, server, request, rows=4, dry_run=True, price_in=1e6, price_out=1e3, tokens_per_second=1)
        shown = printed(capsys)
        assert shown["requests"] == ["4"] and shown["prompt"][1] == "about 8" and shown["answer"][1] == "at most 1,200"
        assert shown["cost"][1].endswith("9.20") and "0.33 h" in shown["time"][1]
        assert not server.bodies
        run(tmp_path, server, request, model="scripted")
        with pytest.raises(SystemExit):
            run(tmp_path, server, request, dry_run=True, model="scripted")
        shown = printed(capsys)
        assert shown["requests"] == ["0", "(1 more are in the store)"]
        assert shown["prompt"][1] == "about 0" and shown["answer"][1] == "at most 0"
        with pytest.raises(SystemExit):
            run(tmp_path, server, Request(prompt="12345678"), rows=2, dry_run=True)
        assert printed(capsys)["answer"][1] == "at most 2,048"  # 1,024 each where nothing says how long
        with pytest.raises(SystemExit):
            run(tmp_path, server, None, rows=3, dry_run=True)  # rows that need no answer
        shown = printed(capsys)
        assert shown["requests"] == ["0"] and shown["prompt"][1] == "about 0" and shown["answer"][1] == "at most 0"
        with pytest.raises(SystemExit):
            run(
                tmp_path,
                server,
                Request(messages=request.messages, n=4, max_tokens=100),
                dry_run=True,
                model="scripted",
            )
        assert printed(capsys)["requests"][0] == "1"


def test_what_depends_on_answers_can_be_estimated(tmp_path, capsys):
    args = llm_args(tmp_path, dry_run=True)
    write_rows(tmp_path / "in.jsonl", [{"length": length} for length in (3, 4)])
    with pytest.raises(SystemExit), Step([tmp_path / "in.jsonl"], tmp_path / "out.jsonl") as step:
        work_rows(step, llm_options(args), None, lambda row: (row["length"], 10 * row["length"], 100))
    shown = printed(capsys)
    assert shown["requests"] == ["7"] and shown["prompt"][1] == "about 70" and shown["answer"][1] == "at most 200"
    assert not (tmp_path / "out.jsonl").exists()


def test_a_row_that_the_output_cannot_hold_is_set_aside(ask):
    reply = {"q0": "fine", "q1": "half \ud83d of a pair", "q2": "fine"}
    with scripted_server(lambda body, _: ok(reply[body["messages"][0]["content"]])) as server:
        rows = ask(list(reply), server.url, output="out.parquet")
        again = ask(list(reply), server.url, output="out.parquet")
    assert [row["id"] for row in rows] == [0, 2] and again == rows and len(server.bodies) == 3
    (rejected,) = read_rows(ask.folder / "out.parquet.rejected.jsonl")
    assert rejected["index"] == 1 and rejected["row"]["prompt"] == "q1"


def test_the_manifest_says_what_was_asked_how_and_of_whom(ask):
    with scripted_server(lambda body, n: (500, {}, {}) if n == 0 else echo(body, n)) as server:
        ask(["a", "b"], server.url, "--temperature", "0.5", "--concurrency", "1")
    facts = ask.manifest()
    assert facts["llm"]["model"] == "scripted" and facts["llm"]["served_as"] == ["scripted"]
    assert facts["llm"]["base_urls"] == [server.url]
    assert facts["llm"]["errors"] == {"InternalServerError 500": 1} and facts["counts"]["retries"] == 1
    assert json.dumps(facts["llm"]["options"], sort_keys=True) == '{"max_tokens": 1024, "temperature": 0.5}'
