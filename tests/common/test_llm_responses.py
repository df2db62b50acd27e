"""What is read out of a server's response: choices, models, an error and whether it is about money, a time to wait."""

import email.utils
import json
import time

import pytest

from common.llm.responses import (
    LONGEST_RETRY_AFTER,
    Unanswered,
    checked_choices,
    checked_models,
    error_of,
    parse_json,
    retry_after,
)


@pytest.mark.parametrize(
    "value, seconds",
    [("7", 7), ("0.5", 0.5), ("-5", 0), ("nan", 0), ("inf", LONGEST_RETRY_AFTER), ("1e9", LONGEST_RETRY_AFTER)]
    + [
        ("", 0),
        ("soon", 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Fri, 01 Jan 2100 00:00:00 GMT", LONGEST_RETRY_AFTER),
    ]
    + [("Mon, 99999999999999999999 Jan 2026 00:00:00 GMT", 0), ("Mon, 01 Foo 2026 00:00:00 GMT", 0)],
)
def test_how_long_a_server_asks_to_wait(value, seconds):
    assert retry_after({"Retry-After": value}) == seconds


def test_a_time_to_wait_may_be_a_date_or_not_be_there():
    assert 90 < retry_after({"Retry-After": email.utils.formatdate(time.time() + 100, usegmt=True)}) <= 100
    assert retry_after({}) == 0


@pytest.mark.parametrize(
    "said, text, about_money",
    [
        ({"error": {"message": "no  such\n thing", "code": 5, "type": None}}, "no such thing", False),
        ({"error": {"message": "pay", "code": "Insufficient_Quota"}}, "pay", True),
        ({"error": {"message": "pay", "type": "billing_not_active"}}, "pay", True),
        ({"message": "pay", "code": "Arrearage"}, "pay", True),
        ({"error": {"code": "insufficient_balance"}}, '{"error": {"code": "insufficient_balance"}}', True),
        ({"error": "plain"}, "plain", False),
        ({"error": "insufficient_quota"}, "insufficient_quota", False),
        (["a", "list"], "['a', 'list']", False),
        ({"detail": "x"}, '{"detail": "x"}', False),
    ],
)
def test_what_an_error_says_and_whether_it_is_about_money(said, text, about_money):
    assert error_of(json.dumps(said).encode()) == (text, about_money)


@pytest.mark.parametrize("payload", [b"plain  words", b"\xff\xfe", b"", b"[" * 100_000, b'{"error": "cut'])
def test_an_error_may_be_anything(payload):
    said, about_money = error_of(payload)
    assert said == " ".join(payload.decode(errors="replace").split())[:500] and not about_money


def test_an_error_is_told_in_500_characters():
    assert error_of(b"x" * 1000)[0] == "x" * 500


@pytest.mark.parametrize("payload, kind", [(b"<html>", "HTML"), (b" \n<html>", "HTML"), (b"{", "cut or broken JSON")])
def test_what_is_no_json_is_called_what_it_is(payload, kind):
    with pytest.raises(Unanswered, match=f"^APIResponseValidationError: {kind} with status 200$") as end:
        parse_json(payload)
    assert end.value.about == "request" and end.value.retry_after == 0


@pytest.mark.parametrize(
    "payload",
    [None, [], {}, {"choices": None}, {"choices": []}, {"choices": [{}]}, {"choices": [{"text": 1}]}]
    + [{"choices": [{"text": "a"}, {"text": "b", "index": "1"}]}, {"choices": [{"message": {"content": []}}]}]
    + [{"choices": [{"message": {}}]}, {"choices": ["a"]}, {"choices": [{"text": "a"}, 5]}, {"choices": {"a": 1}}],
)
def test_a_response_without_choices_is_shown(payload):
    with pytest.raises(Unanswered) as end:
        checked_choices(payload)
    assert str(end.value) == f"APIResponseValidationError: no choices in {json.dumps(payload)}"


@pytest.mark.parametrize(
    "choice", [{"text": "a"}, {"text": None, "index": 0}, {"message": {"content": None}}, {"message": {"content": "a"}}]
)
def test_a_response_with_choices_is_taken(choice):
    payload = {"choices": [choice, {"text": "b", "index": 1}]}
    assert checked_choices(payload) is payload


@pytest.mark.parametrize("payload", [None, [], {}, {"data": 5}, {"data": [{}]}, {"data": [{"id": 5}]}, {"data": ["a"]}])
def test_what_is_no_list_of_models_is_shown(payload):
    with pytest.raises(Unanswered) as end:
        checked_models(payload)
    assert str(end.value) == f"APIResponseValidationError: no list of models in {json.dumps(payload)}"


def test_what_is_shown_is_cut_and_holds_no_secret(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "verysecret")
    with pytest.raises(Unanswered) as end:
        checked_models({"detail": "verysecret " + "x" * 1000})
    assert "secret" not in str(end.value) and "***" in str(end.value) and len(str(end.value)) < 300
    assert checked_models({"data": [{"id": "a", "root": "b"}, {"id": "c"}]}) == {
        "a": {"id": "a", "root": "b"},
        "c": {"id": "c"},
    }
