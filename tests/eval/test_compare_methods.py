"""Methods side by side: figures by hand, equal tokens, and the page from what a launcher leaves."""

import json
import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import manifest
from common.errors import BadInput
from common.rows import read_rows, write_rows
from eval import compare_methods
from eval.output_figures import cut_to, distinct, general, near_repeats, set_aside, spent
from tests.peers.make_tiny_model import make_tokenizer


@given(st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=5), st.integers(1, 3))
def test_distinct_runs_are_counted_within_texts(texts, n):
    runs = [tuple(text[start : start + n]) for text in texts for start in range(len(text) - n + 1)]
    assert distinct(texts, n) == (len(set(runs)) / len(runs) if runs else 0)


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(0, 400), st.integers(0, 5))
def test_a_cut_stays_in_its_budget_and_nothing_more_would_fit(tokens, budget, seed):
    rows = [{"at": place} for place in range(len(tokens))]
    taken = [row["at"] for row in cut_to(rows, tokens, budget, seed)]
    used = sum(tokens[place] for place in taken)
    assert taken == sorted(set(taken)) and used <= budget
    assert all(used + tokens[place] > budget for place in range(len(tokens)) if place not in taken)


def test_near_repeats_are_of_an_earlier_request():
    assert near_repeats([]) == 0
    assert near_repeats(["Add up 12 and 40, please.", "Why is the sea salty?", "add up 12 and 41,  please."]) == 1


def test_reasons_are_put_together_and_spending_is_added_up(tmp_path):
    reasons = ["near-duplicate of page 4", "near-duplicate of page 17", 'no mark in "Well, 3"']
    rows = [{"index": n, "reason": reason, "row": {}} for n, reason in enumerate(reasons)]
    write_rows(tmp_path / "a.jsonl.rejected.jsonl", rows)
    write_rows(tmp_path / "deep" / "b.dropped.jsonl", [{"why": "beyond the quota"}, {"other": 1}])
    assert set_aside(tmp_path) == {"near-duplicate of page N": 2, general(reasons[2]): 1, "beyond the quota": 1}
    for name, cost in (("a.jsonl", 0.5), ("b.jsonl", None)):
        counts = {"requests": 3, "from the store": 2, "tokens in": 10, "tokens out": 4}
        facts = {"counts": counts, "seconds": 1.5, "llm": {"cost_of_this_run": cost}}
        manifest.write(tmp_path / name, inputs={}, outputs={}, **facts)
    assert spent(tmp_path) == {"requests": 10, "tokens_in": 20, "tokens_out": 8, "seconds": 3.0, "cost": 0.5}
    assert spent(tmp_path / "nothing")["cost"] is None


@pytest.fixture
def run(tmp_path, monkeypatch):
    def compare(*words):
        monkeypatch.setattr(sys, "argv", ["compare_methods.py", *map(str, words)])
        compare_methods.main()

    make_tokenizer().save_pretrained(tmp_path / "model")
    return compare


def test_a_corpus_is_split_into_texts_and_pairs(tmp_path, run):
    pair = {"question": "1+1?", "raw_analysis": "2"}
    write_rows(tmp_path / "in.jsonl", [{"text": "A page."}, pair, {"text": "  "}, {"text": "Q", **pair}])
    run("corpus", "--data_path", tmp_path / "in.jsonl", "--text_column", "text", "--save_path", tmp_path / "corpus")
    pages = list(read_rows(tmp_path / "corpus" / "pages.jsonl"))
    assert pages == [{"webpage": text, "article": text} for text in ("A page.", "Q")]
    assert list(read_rows(tmp_path / "corpus" / "pairs.jsonl")) == [pair, {"text": "Q", **pair}]
    with pytest.raises(BadInput, match="no row has a text in 'webpage'"):
        run("corpus", "--data_path", tmp_path / "in.jsonl", "--save_path", tmp_path / "other")


def leave(folder, name, losses):
    """What the launcher's processes leave beside a method's rows."""
    rows = list(read_rows(folder / f"{name}.all" / "rows.jsonl"))
    ifd = [{"index": n, "ppl": [0, 4.0, 0, 2.0], "loss": [0, 1, 0, 0.5], "tokens": 3} for n in range(len(rows))]
    write_rows(folder / f"{name}.ifd.jsonl", [*ifd, {"index": len(rows), "unscored": "the answer is empty"}])
    write_rows(folder / f"{name}.edu" / "rows.jsonl", [row | {"score": 2.5} for row in rows])
    write_rows(
        folder / f"{name}.reference.jsonl",
        [{"ppl": [0, 1, 0, 1], "loss": [0, 9.0, 0, loss], "tokens": count} for loss, count in losses],
    )


def test_the_page_and_the_json_say_what_each_method_made(tmp_path, run):
    draw = random.Random(0)
    words = "the sea is salty because rivers carry salt".split()
    answers = [" ".join(draw.choices(words, k=6)) for _ in range(9)]
    forms = {
        "webr": lambda text: {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": text}]},
        "augcon": lambda text: {"question": "Q", "answer": text},
        "web_to_sft": lambda text: {"instruction": "Q", "output": text},
    }
    for number, (name, form) in enumerate(forms.items()):
        write_rows(tmp_path / name / "sft.jsonl", [form(text) for text in answers[: 9 - 3 * number]])
    outputs = [f"{name}={tmp_path / name / 'sft.jsonl'}" for name in (*forms, "edu_filter")]
    model = tmp_path / "model"
    run("outputs", "--folder", tmp_path, "--model_name_or_path", model, "--outputs", *outputs)
    rows = {name: list(read_rows(tmp_path / f"{name}.all" / "rows.jsonl")) for name in forms}
    assert rows["augcon"] == rows["webr"][:6] and rows["webr"][0]["text"] == f"Q\n{answers[0]}"
    assert not (tmp_path / "edu_filter.all").exists()
    budget = sum(len(f"Q\n{text}") for text in answers[:3])  # a token a byte; web_to_sft has least
    for name in forms:
        assert sum(len(row["text"]) for row in read_rows(tmp_path / f"{name}.equal.jsonl")) <= budget
        leave(tmp_path, name, [(2.0, 3), (4.0, 1)])
    write_rows(tmp_path / "untrained.reference.jsonl", [{"ppl": [0, 1, 0, 1], "loss": [0, 9, 0, 5.0], "tokens": 7}])
    (tmp_path / "edu_filter").mkdir()
    methods = [f"{name}={tmp_path / name}" for name in (*forms, "edu_filter", "superfiltering")]
    page = tmp_path / "report.html"
    run("report", "--folder", tmp_path, "--model", "m", "--save_path", page, "--methods", *methods, "--note", "A note.")
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert found["budget"] == budget and found["notes"] == ["edu_filter: left no rows.", "A note."]
    webr = found["methods"]["webr"]
    assert webr["rows"] == 9 and webr["tokens"] == sum(len(f"Q\n{text}") for text in answers)
    assert webr["ifd"]["median"] == 0.5 and webr["edu"]["median"] == 2.5 and webr["near_repeats"] == 8
    assert webr["reference_loss"] == 2.5 and found["untrained"] == {"reference_loss": 5.0}
    shown = page.read_text(encoding="utf-8")
    assert "A note." in shown and "<svg" in shown and answers[0] in shown
