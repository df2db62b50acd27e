"""How long a failed request waits, when it is given up, and which server is asked: to the second, without waiting."""

import asyncio
from types import SimpleNamespace

import pytest

from common.errors import Reject, ServerDown
from common.llm import client
from common.llm.client import LLMClient
from common.llm.responses import Unanswered

ANSWER = {"model": "m", "choices": [{"text": "fine"}]}


def failure(about, retry_after=0.0, kind="Oops"):
    return Unanswered(kind, "no", about, retry_after)


@pytest.fixture
def tried(monkeypatch):
    """Requests whose tries end as listed; gives back what was answered and what each pause was."""
    monkeypatch.setattr(client.random, "uniform", lambda least, most: (least + most) / 2)

    def run(outcomes, answered_before=False, alive=False, server_timeout=300.0):
        pauses, owned, left = [], [], iter(outcomes)

        async def exchange(self, server, call, exchange, own):
            owned.append(own)
            if isinstance(outcome := next(left), Exception):
                raise outcome
            return outcome

        async def wait(self, seconds, until_recovery):
            pauses.append((seconds, until_recovery))
            self.answered += alive  # another request, meanwhile

        async def post():
            async with LLMClient(["http://h/v1"], 600, server_timeout) as asked:
                if answered_before:
                    asked.answered_before("/completions", b"{}")
                try:
                    return await asked.post("/completions", b"{}")
                finally:
                    run.retries, run.errors = asked.retries, dict(asked.errors)

        with monkeypatch.context() as patched:
            patched.setattr(LLMClient, "_exchange", exchange)
            patched.setattr(LLMClient, "_wait", wait)
            try:
                found = asyncio.run(post())
            except Reject as why:
                found = why.reason
        run.owned = owned
        return found, pauses

    return run


@pytest.mark.parametrize("about", ["load", "connection", "request"])
def test_pauses_double_up_to_half_a_minute_while_nobody_is_answered(tried, about):
    found, pauses = tried([failure(about)] * 8 + [ANSWER])
    assert found is ANSWER
    assert pauses == [(seconds, True) for seconds in (0.5, 1, 2, 4, 8, 16, 30, 30)]
    assert tried.retries == 8 and tried.errors == {"Oops": 8}


@pytest.mark.parametrize("about, failures", [("connection", 21), ("request", 20)])
def test_a_server_that_answers_others_is_tried_again_every_two_seconds_and_twenty_times(tried, about, failures):
    """A connection that fails before anybody else is answered may be the server's fault: it is nobody's try."""
    found, pauses = tried([failure(about)] * failures, alive=True)
    assert found == "not answered in 20 tries; the last: Oops: no"
    assert [seconds for seconds, _ in pauses] == [0.5, 1.0] + [2.0] * (failures - 3)


def test_load_of_a_server_that_answers_others_is_waited_for_five_times_as_long(tried):
    found, pauses = tried([failure("load")] * 200, alive=True)
    assert found == "not answered in 20 tries; the last: Oops: no"
    assert 100 <= len(pauses) <= 101 and pauses[-1] == (30.0, True)


def test_an_odd_answer_where_others_were_answered_before_is_soon_asked_for_again(tried):
    _, pauses = tried([failure("request")] * 5 + [ANSWER], answered_before=True)
    assert [seconds for seconds, _ in pauses] == [0.5, 1, 2, 2, 2]


def test_a_time_to_wait_is_kept_also_where_the_server_is_back_before(tried):
    outcomes = [failure("load", retry_after=7.0), failure("load", kind="RateLimitError 429"), failure("load"), ANSWER]
    _, pauses = tried(outcomes)
    assert pauses == [(7.0, False), (1.0, False), (2.0, True)]


def test_a_mixed_up_answer_is_asked_for_at_once_over_a_connection_of_its_own(tried):
    found, pauses = tried([failure("mixed up"), ANSWER])
    assert found is ANSWER and pauses == [] and tried.owned == [False, True]
    _, pauses = tried([failure("mixed up")] * 3 + [failure("load"), ANSWER])
    assert [seconds for seconds, _ in pauses] == [0.5, 1, 2] and tried.owned == [False, True, True, True, False]


def test_where_nothing_is_answered_for_too_long_the_run_ends(tried):
    with pytest.raises(
        ServerDown, match=r"http://h/v1/completions: no request was answered for 0 s; the last: Oops: no"
    ):
        tried([failure("connection")], server_timeout=0.0)


# ---------------------------------------------------------------- which server


def servers(*names):
    return LLMClient([f"http://{name}/v1" for name in names], 600, 300)


def test_the_least_busy_server_that_does_not_rest_is_asked(monkeypatch):
    monkeypatch.setattr(client, "time", SimpleNamespace(monotonic=lambda: 100.0))
    asked = servers("a", "b", "c")
    a, b, c = asked.servers
    a.in_flight, b.in_flight, c.in_flight = 2, 1, 1
    b.sent, c.sent = 9, 8
    assert asked._pick() is c
    c.rests_until = 100.1
    assert asked._pick() is b
    b.rests_until = 100.0  # has rested
    assert asked._pick() is b
    a.rests_until, b.rests_until = 101.0, 102.0
    assert asked._pick() is c  # all rest, this one shortest


def test_a_server_rests_longer_after_each_failure_of_its_own(monkeypatch, capsys):
    monkeypatch.setattr(client, "time", SimpleNamespace(monotonic=lambda: 100.0))
    asked = servers("a")
    (server,) = asked.servers
    asked._note_failure(server, failure("request"))
    assert server.rests_until == 0.0 and "waiting for http://a/v1 (Oops: no), up to 300 s" in capsys.readouterr().err
    rests = []
    for about in ["load", "connection"] * 4:
        asked._note_failure(server, failure(about))
        rests.append(server.rests_until - 100)
    assert rests == pytest.approx([1, 2, 4, 8, 16, 30, 30, 30]) and capsys.readouterr().err == ""
    asked._note_answer()
    asked._note_failure(server, failure("load"))
    assert capsys.readouterr().err == ""  # said of a server that has never answered


def test_the_first_answer_after_an_outage_wakes_who_waits(monkeypatch):
    async def waits(seconds_down):
        now[0] = 100.0
        asked = servers("a")
        asked._note_failure(asked.servers[0], failure("load"))
        waiting = asyncio.ensure_future(asked._wait(60, until_recovery=True))
        resting = asyncio.ensure_future(asked._wait(60, until_recovery=False))
        await asyncio.sleep(0)
        now[0] += seconds_down
        asked._note_answer()
        done, left = await asyncio.wait([waiting, resting], timeout=0.05)
        for task in left:
            task.cancel()
        return waiting in done, resting in done

    now = [100.0]
    monkeypatch.setattr(client, "time", SimpleNamespace(monotonic=lambda: now[0]))
    assert asyncio.run(waits(2.1)) == (True, False) and asyncio.run(waits(2.0)) == (False, False)
