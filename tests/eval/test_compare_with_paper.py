import json
import sys

import pytest

from common.errors import BadInput
from eval import compare_with_paper


@pytest.fixture
def folders(tmp_path):
    for folder, ape, cmath in (("ours", 0.6, 0.5), ("clean_only", 0.5, 0.4)):
        (tmp_path / folder).mkdir()
        for name, accuracy in (("eval_test.ape.jsonl", ape), ("cmath_dev.jsonl", cmath)):
            facts = {"result": {"accuracy": accuracy, "rows": 10}}
            path = tmp_path / folder / f"{name}.scored.jsonl.manifest.json"
            path.write_text(json.dumps(facts), encoding="utf-8")
    return tmp_path


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["compare_with_paper.py", *map(str, arguments)])
    compare_with_paper.main()
    return capsys.readouterr().out


def test_ours_stands_beside_the_papers(folders, monkeypatch, capsys):
    out = folders / "table.json"
    arguments = ("--method", "web_to_sft", "--results", folders / "ours", "--baseline", folders / "clean_only")
    printed = run(monkeypatch, capsys, *arguments, "--save_path", out)
    rows = {row["what"]: row for row in json.loads(out.read_text(encoding="utf-8"))}
    assert rows["Ape210k accuracy"]["ours"] == 0.6
    gain = rows["gain of converted web data over clean data alone, average"]
    assert gain["ours"] == pytest.approx(0.1) and gain["paper"] == 0.094
    assert "60.0 %" in printed and "9.4 %" in printed and "not published" in printed


def test_no_gain_is_made_up_without_a_baseline(folders, monkeypatch, capsys):
    printed = run(monkeypatch, capsys, "--method", "web_to_sft", "--results", folders / "ours")
    (line,) = [line for line in printed.splitlines() if line.startswith("gain")]
    assert line.split()[-15:].count("-") or " - " in line


def test_what_is_missing_is_named(tmp_path, monkeypatch, capsys):
    with pytest.raises(BadInput, match="there are .*web_to_sft"):
        run(monkeypatch, capsys, "--method", "alchemy", "--results", tmp_path)
    with pytest.raises(BadInput, match="no scored rows"):
        run(monkeypatch, capsys, "--method", "web_to_sft", "--results", tmp_path)
