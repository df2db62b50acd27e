"""Where a run finds its servers, what it sends along, and what is known of the model behind a name."""

import asyncio

import pytest

from common.errors import BadInput, Reject
from common.llm.identity import identity_of, known_identity_of
from common.llm.servers import Server, key_header, parse_base_urls
from common.llm.store import AnswerStore


@pytest.mark.parametrize(
    "given, environment, urls",
    [
        (["h:8000"], "", ["http://h:8000/v1"]),
        (["http://h:1/"], "", ["http://h:1/v1"]),
        (["https://h"], "http://unused/v1", ["https://h/v1"]),
        (["http://h/api/v4/"], "", ["http://h/api/v4"]),
        (["a, b/v1 ,", "http://a/v1", "c"], "", ["http://a/v1", "http://b/v1", "http://c/v1"]),
        (None, "http://h/v1,http://i/v1", ["http://h/v1", "http://i/v1"]),
        (["http://me:secret@h/v1"], "", ["http://me:secret@h/v1"]),
    ],
)
def test_addresses_may_be_short_repeated_or_in_the_environment(monkeypatch, given, environment, urls):
    monkeypatch.setenv("OPENAI_BASE_URL", environment)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert parse_base_urls(given) == urls


def test_no_address_is_named_and_so_are_two_ways_to_say_who_asks(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(BadInput, match="no server named"):
        parse_base_urls(None)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-some-key")
    assert parse_base_urls(["h"]) == ["http://h/v1"]
    with pytest.raises(BadInput, match=r"http://\*\*\*@h/v1: holds a user, and OPENAI_API_KEY is set"):
        parse_base_urls(["http://me:secret@h/v1"])


@pytest.mark.parametrize("key", ["", "  ", "sk-one", " sk-one \n"])
def test_the_key_is_a_header_where_there_is_one(monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    assert key_header() == ({"Authorization": "Bearer sk-one"} if key.strip() else {})


@pytest.mark.parametrize("key", ["sk-ключ", "sk-one\x7f", "sk\tone"])
def test_a_key_that_no_header_can_hold_is_not_sent(monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(BadInput, match="another character that no key has"):
        key_header()


def test_a_proxy_is_used_but_not_for_what_it_is_not_for(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert Server("http://h/v1").proxy is None
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "near")
    assert [Server(f"{url}/v1").proxy for url in ("http://h", "https://h", "http://near")] == [
        "http://proxy:3128",
        None,
        None,
    ]


# ---------------------------------------------------------------- what a name stands for


class Says:
    """A server that lists its models so."""

    def __init__(self, models):
        self.models_said, self.patient = models, []

    async def models(self, patient):
        self.patient.append(patient)
        if self.models_said is None:
            raise Reject("no list")
        return self.models_said


@pytest.mark.parametrize(
    "listed, identity",
    [
        ({"m": {"root": "org/m-v2"}}, "org/m-v2"),
        ({"m": {"root": "m"}}, ""),
        ({"m": {"root": None}}, ""),
        ({"m": {"root": ["org/m"]}}, ""),
        ({"m": {}}, ""),
        ({"other": {"root": "org/other"}}, ""),
        (None, ""),
    ],
)
def test_a_model_is_what_the_server_says_and_the_store_remembers(tmp_path, listed, identity):
    store, server = AnswerStore(tmp_path / "s.sqlite"), Says(listed)
    assert known_identity_of("m", store) == ""
    assert asyncio.run(identity_of("m", server, store)) == identity == known_identity_of("m", store)
    silent = Says(None)
    assert asyncio.run(identity_of("m", silent, store)) == identity
    assert server.patient + silent.patient == [True, False]  # without an answer remembered, it is waited for
    store.close()


def test_a_folder_is_what_it_holds_whoever_names_it(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    store, seen = AnswerStore(None), set()
    for content in ("one", "two"):
        (folder / "weights").write_text(content)
        known = known_identity_of(str(folder), store)
        assert asyncio.run(identity_of(str(folder), Says(None), store)) == known
        assert asyncio.run(identity_of("m", Says({"m": {"root": str(folder)}}), store)) == known
        seen.add(known)
    assert len(seen) == 2 and all(known.startswith("model ") for known in seen)
