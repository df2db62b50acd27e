"""Passwords of addresses are hidden however they are spelled, and texts without one stay as they are."""

import pytest

from common.redaction import redact

ADDRESSES = {
    "http://user:hunter2@host:8000/v1": "http://***@host:8000/v1",
    "http://user:hun@ter2@host/v1": "http://***@host/v1",
    "https://hunter2@host/v1": "https://***@host/v1",
    "http://user:hun%40ter2@host/v1": "http://***@host/v1",
    "user:hunter2@host:8000/v1": "***@host:8000/v1",
    'at "http://user:hun@ter2@host/v1", then "me@example.org"': 'at "http://***@host/v1", then "me@example.org"',
    "http://host/v1?key=hunter2&n=1": "http://host/v1?key=***&n=1",
}


@pytest.mark.parametrize("text", ADDRESSES)
def test_the_password_of_an_address_is_hidden(text):
    assert redact(text) == ADDRESSES[text]


@pytest.mark.parametrize("text", ["http://host/v1", "http://host/@name", "mail me@example.org", "12:30 @ noon"])
def test_what_holds_no_password_stays(text):
    assert redact(text) == text
