"""Exact match of short answers: what counts as the same, whatever form the golds come in."""

import json
import subprocess
import sys

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from common.errors import BadInput, BadValue
from common.rows import read_rows, write_rows
from eval import short_answers
from eval.bert_score import bert_scorer
from eval.short_answers import exact, f1, golds_of
from tests.edu_filter.tiny_models import make_encoder
from tests.in_process import run_program


@pytest.mark.parametrize(
    ("answer", "golds", "same"),
    [
        ("The Broncos!", ["broncos"], True),
        ("1,000", ["1000"], True),
        ("an apple", ["apple pie"], False),
        ("北京。", ["北京"], True),
        ("", ["x"], False),
        ("a", ["the"], True),  # nothing is left of either
    ],
)
def test_what_is_the_same(answer, golds, same):
    assert exact(answer, golds) == same


def test_golds_in_every_form():
    assert golds_of({"text": ["x", "y"]}) == ["x", "y"]
    assert golds_of({"value": "x", "aliases": ["y"]}) == ["x", "y"]
    assert golds_of("x") == ["x"] and golds_of(7) == ["7"] and golds_of(["x", ""]) == ["x"]
    for nothing in ([], {}, "", None):
        with pytest.raises(BadValue):
            golds_of(nothing)


def test_f1_counts_shared_words():
    assert f1("the red house", ["a red house"]) == 1
    assert f1("red house", ["red barn", "blue"]) == pytest.approx(0.5)
    assert f1("", ["x"]) == 0


def test_as_a_command(tmp_path):
    rows = [{"answers": ["Rome"], "response": "Rome."}, {"answers": ["Rome"], "response": "Paris"}]
    write_rows(tmp_path / "in.jsonl", rows)
    command = ["eval/short_answers.py", "--data_path", tmp_path / "in.jsonl", "--save_path", tmp_path / "out.jsonl"]
    done = subprocess.run(
        [sys.executable, *map(str, command), "--golden_key", "answers"], capture_output=True, text=True
    )
    assert json.loads(done.stdout) == {"exact_match": 0.5, "f1": 0.5, "rows": 2}
    assert [row["match"] for row in read_rows(tmp_path / "out.jsonl")] == [True, False]


# ---------------------------------------------------------------- BERTScore


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder") / "tiny"
    texts = ["The Rhine ends in the North Sea.", "A river of Europe", "Denver Broncos won the game"]
    return make_encoder(folder, "xlm-roberta", texts)


def test_each_token_is_paired_with_the_likest_of_the_other_text(encoder):
    tokenizer, model = AutoTokenizer.from_pretrained(encoder), AutoModel.from_pretrained(encoder).eval()

    def states(text):
        with torch.inference_mode():
            hidden = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states[1][0]
        return [state / state.norm() for state in hidden]

    answer, golds = "The Rhine ends in the sea", ["A river of Europe", "The North Sea"]
    best = 0.0
    for gold in golds:
        ours, theirs = states(answer), states(gold)
        precision = sum(max(float(one @ other) for other in theirs) for one in ours[1:-1]) / (len(ours) - 2)
        recall = sum(max(float(one @ other) for one in ours) for other in theirs[1:-1]) / (len(theirs) - 2)
        best = max(best, 2 * precision * recall / (precision + recall))
    score = bert_scorer(str(encoder), layer=1)
    assert score(answer, golds) == pytest.approx(best, abs=1e-5)
    assert score(answer, [answer]) == pytest.approx(1, abs=1e-5) and score("", golds) == 0
    with pytest.raises(BadInput, match="--bert_layer 17: .* has 2 layers"):
        bert_scorer(str(encoder))


def test_it_stands_beside_the_other_figures(tmp_path, encoder):
    write_rows(tmp_path / "a.jsonl", [{"golden": ["a river"], "response": "a river"}])
    words = ["--data_path", tmp_path / "a.jsonl", "--save_path", tmp_path / "b.jsonl", "--bert_score", encoder]
    result = json.loads(run_program(short_answers, *words, "--bert_layer", 2))
    assert result["bert_score"] == pytest.approx(1) and result["settings"] == {"encoder": "tiny, layer 2"}
