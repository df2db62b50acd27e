"""A judge's marks: all four or none, the mean in the manifest, where compare_with_paper finds it."""

import json
import sys

import pytest

from common import manifest
from common.errors import Reject
from common.rows import read_rows, write_rows
from eval import compare_with_paper, rate_answers
from tests.common.scripted_server import ok, scripted_server


def marks(*numbers: int) -> str:
    return "\n".join(
        f"{name.capitalize()}: [[{mark}]]" for name, mark in zip(rate_answers.ASPECTS, numbers, strict=False)
    )


@pytest.mark.parametrize("text", ["", "4 5 4 4", marks(4, 5, 4), marks(4, 5, 4, 4) + " [[3]]", marks(4, 5, 4, 7)])
def test_anything_but_four_marks_is_asked_for_again(text):
    with pytest.raises(Reject):
        rate_answers.read_marks(text)


def test_marks_become_means_beside_the_papers_figure(tmp_path, monkeypatch, capsys):
    rows = [
        {"question": "这是什么茶？", "answer": "绿茶。"},
        {"question": "Why tea?", "answer": "Because."},
        {"question": "Q?", "answer": "-"},
    ]
    write_rows(tmp_path / "outputs.jsonl", rows)

    def reply(body, number):
        said = body["messages"][0]["content"]
        return ok(
            marks(5, 5, 4, 4) if said.startswith("有人") else marks(3, 4, 4, 5) if "Because" in said else "no marks"
        )

    with scripted_server(reply) as server:
        words = ["--data_path", tmp_path / "outputs.jsonl", "--save_path", tmp_path / "satisfaction.scored.jsonl"]
        monkeypatch.setattr(sys, "argv", ["rate.py", *map(str, words), "--base_url", server.url, "--model", "judge"])
        rate_answers.main()
    said = json.loads(capsys.readouterr().out)
    assert (said["mean"], said["realism"], said["rows"]) == (4.5, 4.0, 2)
    assert [row["marks"]["accuracy"] for row in read_rows(tmp_path / "satisfaction.scored.jsonl")] == [4, 4]
    assert manifest.read(tmp_path / "satisfaction.scored.jsonl")["counts"]["rejected"] == 1
    figures = compare_with_paper.paper_figures("augcon")
    found = compare_with_paper.results_below(str(tmp_path), figures)
    (row,) = [row for row in compare_with_paper.compare(figures, found, {}) if "DailyM" in row["what"]]
    assert (row["ours"], row["paper"]) == (4.5, 4.48) and "judge" in row["remark"]
