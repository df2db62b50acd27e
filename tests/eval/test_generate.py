"""What a model is sent for a question: keys of the known sets, Alpaca's two layouts, the files of a user's own."""

import sys

import pytest

from common.errors import BadValue, CommonError
from common.rows import read_rows, write_rows
from eval import generate
from eval.questions import SETS, input_of, question_of
from tests.common.scripted_server import ok, scripted_server

WITH_INPUT = {"instruction": "Rewrite {it}.", "instances": [{"input": "a {text}"}]}
WITHOUT = {"instruction": "Write.", "instances": [{"input": ""}]}


@pytest.fixture
def sent(tmp_path, monkeypatch):
    """Run generate on rows; gives the prompts or last messages that a server was sent, by row."""

    def run(rows, *flags):
        write_rows(tmp_path / "in.jsonl", rows)
        with scripted_server(lambda body, _number: ok("x")) as server:
            words = ["--data_path", tmp_path / "in.jsonl", "--save_path", tmp_path / "out.jsonl", "--no_store"]
            words += ["--base_url", server.url, "--concurrency", "1", *flags]
            monkeypatch.setattr(sys, "argv", ["generate.py", *map(str, words)])
            generate.main()
            assert len(list(read_rows(tmp_path / "out.jsonl"))) == len(rows)
            return [body.get("prompt") or body["messages"][-1]["content"] for body in server.bodies]

    return run


def test_each_set_of_questions_is_asked_by_its_key(sent):
    for name, keys in SETS.items():
        row = {"other": "x", keys.prompt_key: "Why?"} | ({"instances": [{"input": "It."}]} if keys.input_key else {})
        assert sent([row], "--dataset_name", name) == ["Why?\nIt." if keys.input_key else "Why?"]


def test_an_instruction_with_an_input_has_another_alpaca_text_than_one_without(sent):
    with_input, without = sent([WITH_INPUT, WITHOUT], "--dataset_name", "sinstruct", "--prompt", "alpaca")
    assert "### Instruction:\nRewrite {it}.\n\n### Input:\na {text}\n\n### Response:" in with_input
    assert with_input.endswith("### Response:") and without.endswith("### Instruction:\nWrite.\n\n### Response:")
    assert "### Input:" not in without and without.partition("\n")[0] != with_input.partition("\n")[0]


def test_both_alpaca_texts_may_be_the_users_own(sent, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "alpaca.en.txt").write_text("I {instruction}", newline="")
    (folder / "alpaca_input.en.txt").write_text("I {instruction} with {input}")
    flags = ["--dataset_name", "sinstruct", "--prompt", "alpaca", "--prompt_folder", folder]
    assert sent([WITH_INPUT, WITHOUT], *flags) == ["I Rewrite {it}. with a {text}", "I Write."]
    with pytest.raises(CommonError, match="no such prompt"):
        generate.alpaca_asker(SETS["sinstruct"], str(tmp_path))


def test_a_text_of_the_users_goes_around_the_question(sent, tmp_path):
    (tmp_path / "around.txt").write_text("Q: {prompt}\nA:")
    assert sent([{"prompt": "Why?"}], "--prompt_path", tmp_path / "around.txt") == ["Q: Why?\nA:"]
    with pytest.raises(SystemExit):
        sent([{"prompt": "Why?"}], "--prompt_path", tmp_path / "around.txt", "--prompt", "alpaca")


def test_an_input_is_found_by_its_path_and_what_is_no_text_is_named():
    assert input_of(WITH_INPUT, "instances.0.input") == "a {text}" and input_of(WITH_INPUT, "instances.4.input") == ""
    assert input_of({"a": {"b": None}}, "a.b") == "" == input_of({"a": "x"}, "a.b.c")
    assert question_of({"q": "Why?", "a": ""}, "q", "a") == "Why?"
    assert question_of({"turns": [{"content": "Why?"}]}, "turns.0.content") == "Why?"
    assert question_of({"a.b": "Why?", "a": {"b": "no"}}, "a.b") == "Why?"
    with pytest.raises(BadValue, match="'turns.1.content' is a NoneType"):
        question_of({"turns": [{"content": "Why?"}]}, "turns.1.content")
    with pytest.raises(BadValue, match="'a.b' is a int"):
        input_of({"a": {"b": 5}}, "a.b")
    with pytest.raises(BadValue, match="no key 'a'"):
        input_of({}, "a.b")
