"""Each point counts the rows that come out otherwise, and names a switch that exists."""

import pytest

from common.errors import BadInput
from common.rows import write_rows
from webr import compare_modes, step1_infer_author, step2_make_requests, step4_refine_responses, step5_postprocess

PAGE = "The river rose for three days.\nFarmers moved their animals to the hills, and the bridge was closed."
GOOD = {
    "webpage": PAGE,
    "author": "A farmer.",
    "request": "Shorten this notice to one line.",
    "response": "It flooded.",
}


def table(run, tmp_path, capsys, rows, *words):
    write_rows(tmp_path / "rows.jsonl", rows)
    run(compare_modes, "--data_path", tmp_path / "rows.jsonl", *words)
    lines = [line.split("%")[0].split() for line in capsys.readouterr().out.splitlines()[1:]]
    return {" ".join(words[1:-3]): (int(words[-3]), int(words[-2])) for words in lines}


def test_points_are_counted_where_a_row_has_what_they_need(run, tmp_path, capsys):
    rows = [
        GOOD,
        GOOD | {"webpage": "One\n\nTwo"},
        {"request": "Here is it:\n\nShorten it."},
        {"response": "Sorry, no."},
    ]
    found = table(run, tmp_path, capsys, rows)
    assert found["sections"] == (2, 1)  # lines of the one, paragraphs of the other
    assert found["cleaned request"] == (3, 1) and found["refusal"] == (3, 1)
    assert found["author is no person"] == (2, 0) and found["near-duplicate request"] == (3, 0)
    assert found["response is too short"] == (2, 2)


def test_keys_of_other_data_sets(run, tmp_path, capsys):
    rows = [{"instruction": "Bread is sold here, and in many other places of the town.", "output": "Yes.", "input": ""}]
    found = table(run, tmp_path, capsys, rows, "--prompt_key", "instruction", "--response_key", "output")
    assert found["request asks for nothing"] == (1, 0) and "sections" not in found
    with pytest.raises(BadInput, match="no page, author, request or response"):
        table(run, tmp_path, capsys, rows)


def test_each_switch_exists(capsys, monkeypatch):
    options = ""
    for step in (step1_infer_author, step2_make_requests, step4_refine_responses, step5_postprocess):
        monkeypatch.setattr("sys.argv", ["step", "--help"])
        with pytest.raises(SystemExit):
            step.parse_args()
        options += capsys.readouterr().out
    for _, _, switch, _, _ in compare_modes.POINTS:
        assert all(word in options for word in switch.split() if not word.isdigit())
