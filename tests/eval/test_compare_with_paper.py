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
    with pytest.raises(BadInput, match="no results of this method"):
        run(monkeypatch, capsys, "--method", "web_to_sft", "--results", tmp_path)


def superfiltering_rows(monkeypatch, capsys, folder, agreement, result):
    (folder / "agreement.json").write_text(json.dumps(agreement), encoding="utf-8")
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    out = folder / "table.json"
    run(monkeypatch, capsys, "--method", "superfiltering", "--results", folder, "--save_path", out)
    return {row["what"]: row for row in json.loads(out.read_text(encoding="utf-8"))}


def test_what_is_not_comparable_is_said(tmp_path, monkeypatch, capsys):
    agreement = {"spearman": {"ifd_ppl": 0.5}, "selections": [{"shared": 0.25}]}
    settings = {"judge": "my-70b", "questions": "wizardlm"}
    result = {"wizardlm": {"winning_score": 1.25, "settings": settings}, "all": {"winning_score": 2.0}}
    rows = superfiltering_rows(monkeypatch, capsys, tmp_path, agreement, result)
    rho = rows["Alpaca: GPT-2 124M against LLaMA2-7B, Spearman of IFD"]
    assert (rho["ours"], rho["paper"]) == (0.5, 0.679)
    assert rho["remark"].startswith("comparable only with data Alpaca") and "not comparable" not in rho["remark"]
    assert rows["Alpaca: GPT-2 124M against LLaMA2-7B, shared of the best 5 %"]["ours"] == 0.25
    assert rows["Alpaca: GPT-2 124M against LLaMA2-7B, shared of the best 10 %"]["remark"] == "not measured"
    won = rows["winning score, GPT-2 IFD, 5 % of Alpaca"]
    assert won["ours"] == 1.25 and won["remark"].startswith("not comparable: judge my-70b (paper: gpt-4);")
    assert "questions" not in won["remark"]
    minutes = rows["minutes to filter Alpaca, Superfiltering"]
    assert minutes["ours"] is None and minutes["remark"] == "no command here measures it"


def test_a_mean_is_of_all_its_files_or_there_is_none(tmp_path, monkeypatch, capsys):
    what = "Open LLM average, LLaMA2-7B on 5 % of Alpaca"
    for number, name in enumerate(("arc_challenge_25", "hellaswag_10", "mmlu")):
        note = "first 50 rows of each task" if name == "mmlu" else ""
        (tmp_path / f"{name}.json").write_text(json.dumps({"accuracy": 0.5 + number / 10, "note": note}))
    assert superfiltering_rows(monkeypatch, capsys, tmp_path, {}, {})[what]["ours"] is None
    (tmp_path / "truthfulqa.json").write_text(json.dumps({"accuracy": 0.4}))
    row = superfiltering_rows(monkeypatch, capsys, tmp_path, {}, {})[what]
    assert row["ours"] == pytest.approx(0.55) and "first 50 rows of each task" in row["remark"]


def test_the_papers_other_rows_stand_beside(tmp_path, monkeypatch, capsys):
    settings = {"judge": "my-70b"}
    (tmp_path / "alpaca_eval_lc.json").write_text(
        json.dumps({"length_controlled_winrate": 30.04, "settings": settings, "note": "first 20 of 805 rows"})
    )
    printed = run(monkeypatch, capsys, "--method", "webr", "--results", tmp_path, "--save_path", tmp_path / "t.json")
    (line,) = [line for line in printed.splitlines() if line.startswith("AlpacaEval 2, length-controlled")]
    assert "30.04" in line and "34.36" in line and "others: WebR-Basic 25.33, Magpie (Llama3) 23.62" in line
    assert "not comparable: judge my-70b (paper: a GPT-4" in line and "first 20 of 805 rows" in line
    row = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))[0]
    assert row["others"]["untuned"] == 0.18 and row["unit"] == "number"


def test_equal_settings_need_no_remark(tmp_path, monkeypatch, capsys):
    figures = json.loads((compare_with_paper.ROOT / "superfiltering" / "paper_figures.json").read_text())
    (figure,) = (f for f in figures if f["what"] == "winning score, GPT-2 IFD, 5 % of Alpaca")
    result = {"wizardlm": {"winning_score": 1.1, "settings": figure["settings"]}}
    rows = superfiltering_rows(monkeypatch, capsys, tmp_path, {}, result)
    assert rows[figure["what"]]["remark"] == ""


def test_every_methods_figures_are_readable_and_each_has_a_source():
    files = list(compare_with_paper.ROOT.glob("*/paper_figures.json"))
    assert {"web_to_sft", "superfiltering"} <= {file.parent.name for file in files}
    for file in files:
        figures = compare_with_paper.paper_figures(file.parent.name)
        assert all(figure["source"].strip() for figure in figures)
        assert len({figure["what"] for figure in figures}) == len(figures)


def test_a_result_that_is_there_twice_or_is_no_json_is_named(folders, monkeypatch, capsys):
    with pytest.raises(BadInput, match="is there twice"):
        run(monkeypatch, capsys, "--method", "web_to_sft", "--results", folders)
    (folders / "ours" / "cmath_dev.jsonl.scored.jsonl.manifest.json").write_text("{")
    with pytest.raises(BadInput, match="cannot be read as JSON"):
        run(monkeypatch, capsys, "--method", "web_to_sft", "--results", folders / "ours")


def test_a_result_without_a_usable_row_has_no_figure(folders, monkeypatch, capsys):
    path = folders / "ours" / "cmath_dev.jsonl.scored.jsonl.manifest.json"
    path.write_text(json.dumps({"result": {"accuracy": None, "rows": 0}}))
    arguments = ("--method", "web_to_sft", "--results", folders / "ours", "--baseline", folders / "clean_only")
    lines = run(monkeypatch, capsys, *arguments).splitlines()
    assert [line.split()[2:4] for line in lines if line.startswith("CMATH")] == [["-", "not"]]
    (gain,) = [line for line in lines if line.startswith("gain")]
    assert "not measured" in gain


def test_the_table_is_not_written_over_a_result_and_its_folder_is_made(folders, monkeypatch, capsys):
    arguments = ("--method", "web_to_sft", "--results", folders / "ours", "--save_path")
    result = folders / "ours" / "cmath_dev.jsonl.scored.jsonl.manifest.json"
    before = result.read_bytes()
    with pytest.raises(BadInput, match="is both input and output"):
        run(monkeypatch, capsys, *arguments, result)
    assert result.read_bytes() == before
    for _ in range(2):  # the table of an earlier run is no result
        run(monkeypatch, capsys, *arguments, folders / "ours" / "deep" / "table.json")
