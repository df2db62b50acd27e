"""What users of such tools ask for beyond the method: answers in JSON, questions that stand alone, none asked twice."""

import json
import random

import pytest

from augcon import step1_generate_questions as step1
from augcon import step3_rank_and_filter as step3
from augcon import step4_answer as step4
from augcon.question_filter import Similar, SimilarAmongMany, rouge_l, words
from augcon.tree_answer import Found, parse
from common.rows import read_rows, write_rows
from tests.common.scripted_server import ok, scripted_server

TEXT = "Tea is grown in hills. It is picked by hand in April. " * 4


# ---------------------------------------------------------------- answers in JSON


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"question": "Question: Why?", "context_1": " one ", "context_2": "two"}, Found("Why?", "one", "two")),
        ({"question": "Why?", "context_1": "one"}, None),
        ({"question": "", "context_1": "one", "context_2": "two"}, None),
        ({"question": ["Why?"], "context_1": "one", "context_2": "two"}, None),
    ],
)
def test_an_object_is_an_answer_if_it_has_all_texts(said, expected):
    assert parse(json.dumps(said)) == expected
    assert parse("{" * 100_000) is None


def test_a_server_is_told_the_form_of_an_answer_and_the_tree_is_that_of_what_it_says(tmp_path, run):
    def reply(body, number):
        schema = body["response_format"]["json_schema"]["schema"]
        context = body["messages"][0]["content"].rpartition("Context: ")[2].rpartition("\n\nQuestion:")[0]
        parts = {"context_1": context[: len(context) // 2], "context_2": context[len(context) // 2 :]}
        said = {"question": f"What of {context[:12]}?", **parts}
        return ok(json.dumps({name: said[name] for name in schema["required"]}))

    write_rows(tmp_path / "a.jsonl", [{"article": TEXT}])
    words_ = [
        "--data_path",
        tmp_path / "a.jsonl",
        "--save_path",
        tmp_path / "q.jsonl",
        "--json_schema",
        "--api",
        "chat",
    ]
    with scripted_server(reply) as server:
        run(step1, *words_, "--base_url", server.url)
    (row,) = read_rows(tmp_path / "q.jsonl")
    assert len(row["questions"]) >= row["quota"] and max(one["depth"] for one in row["questions"]) >= 3
    assert all(
        set(body["response_format"]["json_schema"]["schema"]["required"]) > {"question"} for body in server.bodies
    )
    assert not any(body.get("stop") for body in server.bodies)


# ---------------------------------------------------------------- questions about several texts


def test_looking_at_late_words_alone_finds_what_looking_at_all_finds():
    draw, names = random.Random(3), ["tea", "salt", "wool", "glass", "maps", "ice", "oil"]
    for measure in "fpr":
        for threshold in (0.3, 0.5, 0.7, 0.9, 1, 1.2):
            slow, fast = Similar(threshold, measure), SimilarAmongMany(threshold, measure)
            for _ in range(120):
                text = " ".join(draw.choices(names, k=draw.randint(1, 9)))
                found = slow.repeats(slow.encode(text))
                assert fast.repeats(fast.encode(text)) == found, (measure, threshold, text)
                if found is None:
                    slow.add([text]), fast.add([text])


def test_across_texts_no_question_nearly_repeats_another(tmp_path, run):
    asked = ["Why is tea grown in the hills of Assam?", "Who picks tea?", "Why is tea grown in hills of Assam?"]
    rows = [
        {"root": root, "lang": "en", "text": TEXT, "quota": 2, "questions": [{"context": TEXT, "question": one}] * 1}
        for root, one in enumerate(asked)
    ]
    write_rows(tmp_path / "q.jsonl", rows)
    words_ = ["--data_path", tmp_path / "q.jsonl", "--save_path", tmp_path / "f.jsonl", "--rank", "random"]
    run(step3, *words_)
    assert [row["root"] for row in read_rows(tmp_path / "f.jsonl")] == [0, 1, 2]
    run(step3, *words_, "--across_texts")
    kept = list(read_rows(tmp_path / "f.jsonl"))
    assert [row["root"] for row in kept] == [0, 1]
    assert [row["why"] for row in read_rows(tmp_path / "f.dropped.jsonl")] == ["near a question about another text"]
    assert rouge_l(words(asked[2]), words(asked[0]))["f"] > 0.7


# ---------------------------------------------------------------- questions that stand alone


@pytest.mark.parametrize("how", ["drop", "rewrite"])
def test_questions_that_need_their_context_go_or_are_worded_anew(how, tmp_path, run):
    verdicts = {"Why is tea green?": "Yes", "Why is it green?": "No", "What does the text say?": "No"}

    def reply(body, number):
        said = body["messages"][-1]["content"]
        if "[yes/no]" in said:
            return ok(verdicts[said.partition("[question] ")[2].partition("\n")[0]])
        if said.endswith("New question:"):
            return ok("Question: Why is tea green?\nThat is all." if "is it" in said else "What does the text say?")
        return ok(f"Answer: to {said.rpartition('Question: ')[2]}")

    write_rows(tmp_path / "f.jsonl", [{"context": "Tea is green.", "question": question} for question in verdicts])
    words_ = ["--data_path", tmp_path / "f.jsonl", "--save_path", tmp_path / "sft.jsonl", "--self_contained", how]
    with scripted_server(reply) as server:
        run(step4, *words_, "--base_url", server.url)
    kept = [row["question"] for row in read_rows(tmp_path / "sft.jsonl")]
    assert kept == ["Why is tea green?"] * (2 if how == "rewrite" else 1)
    rejected = list(read_rows(tmp_path / "sft.jsonl.rejected.jsonl"))
    assert {row["reason"] for row in rejected} == {"cannot be understood without its context"}
    assert len(kept) + len(rejected) == len(verdicts)
