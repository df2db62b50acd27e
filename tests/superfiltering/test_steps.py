"""The steps as a user runs them: parity with the released code, killed and started again, bad rows, conversations."""

import json
import math
import random
import signal
import sys
from pathlib import Path

import pytest

from common.errors import CommonError
from common.rows import read_rows, write_rows
from superfiltering import compare_scores, report_selection, step1_score_ifd, step2_attach_scores, step3_select
from tests.forked import kill_when, start

ROOT = Path(__file__).parent.parent.parent
DATA = ROOT / "tests" / "data" / "superfiltering"


@pytest.fixture
def run(monkeypatch):
    def run_step(step, **flags):
        words = [[f"--{name}"] if value is True else [f"--{name}", str(value)] for name, value in flags.items()]
        monkeypatch.setattr(sys, "argv", [step.__name__, *sum(words, [])])
        step.main()

    return run_step


def same(found, expected) -> bool:
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float):
        return (math.isnan(expected) and math.isnan(found)) or math.isclose(found, expected, rel_tol=1e-4)
    return found == expected


@pytest.fixture(scope="module")
def reference():
    """Rows, scores and selection of the released code, for a small trained GPT-2."""
    return {name: list(read_rows(DATA / f"{name}.jsonl", allow_nan=True)) for name in ("rows", "scores", "attached")}


def test_attach_and_select_as_released(run, tmp_path, reference):
    write_rows(tmp_path / "rows.json", reference["rows"])
    flags = {"pt_data_path": DATA / "scores.jsonl", "json_data_path": tmp_path / "rows.json"}
    run(step2_attach_scores, **flags, json_save_path=tmp_path / "with.json", paper_exact=True)
    assert same(list(read_rows(tmp_path / "with.json", allow_nan=True)), reference["attached"])
    run(step3_select, json_data_path=tmp_path / "with.json", json_save_path=tmp_path / "best.json", sample_rate=0.25)
    usable = [row for row in reference["attached"] if row["ifd_ppl"] < 1]
    best = sorted(usable, key=lambda row: -row["ifd_ppl"])[: len(reference["rows"]) // 4]
    assert same(list(read_rows(tmp_path / "best.json")), best)


def test_missing_scores_are_null_by_default_and_step_2_notices_scores_of_other_data(run, tmp_path):
    write_rows(tmp_path / "rows.json", [{"n": 0}, {"n": 1}, {"n": 2}])
    lines = [{"index": 0, "ppl": [0, 4.0, 0, 2.0], "loss": [0, 2.0, 0, 1.0]}, {"index": 1, "unscored": "x"}]
    flags = {"json_data_path": tmp_path / "rows.json", "json_save_path": tmp_path / "with.json"}
    for wrong, message in [
        (lines, "row 2: no score in"),
        ([*lines, {"index": 3, "unscored": "x"}], "row 2: no score in"),
        ([*lines, {"index": 2, "ppl": [0, 1.0]}], "row 2: not a line of step 1"),
        ([*lines, {"index": "2", "ppl": [0, 1.0, 0, 1.0]}], "row 2: not a line of step 1"),
        ([*lines, {"index": 2, "unscored": ""}, {"index": 3, "unscored": ""}], "a score for row 3"),
    ]:
        write_rows(tmp_path / "scores.jsonl", wrong)
        with pytest.raises(CommonError, match=message):
            run(step2_attach_scores, pt_data_path=tmp_path / "scores.jsonl", **flags)
    write_rows(tmp_path / "scores.jsonl", [*lines, {"index": 2, "ppl": [0, 0, 0, 1.0], "loss": [0, 0, 0, 1.0]}])
    run(step2_attach_scores, pt_data_path=tmp_path / "scores.jsonl", loss_ratio=True, **flags)
    first, second, third = read_rows(tmp_path / "with.json")
    assert first == {"n": 0, "ppl_A_direct": 4.0, "ppl_A_condition": 2.0, "ifd_ppl": 0.5, "ifd_loss": 0.5}
    assert second == {"n": 1, "ppl_A_direct": None, "ppl_A_condition": None, "ifd_ppl": None, "ifd_loss": None}
    assert third["ifd_ppl"] is None


def test_rows_set_aside_in_one_step_are_set_aside_in_the_next(run, tmp_path, model_folder):
    rows = [{"instruction": f"why {n}", "output": f"red, green {n}"} for n in range(8)]
    lines = [json.dumps(row) for row in rows]
    lines[1], lines[4] = '{"instruction": "no output"}', "{broken"
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    skip = {"on_bad_row": "skip"}
    paths = {"json_data_path": tmp_path / "rows.jsonl", "json_save_path": tmp_path / "with.jsonl"}
    scores = tmp_path / "scores.jsonl"
    run(
        step1_score_ifd, data_path=tmp_path / "rows.jsonl", save_path=scores, model_name_or_path=model_folder,
        max_length=64, **skip,
    )  # fmt: skip
    run(step2_attach_scores, pt_data_path=scores, **paths, **skip)
    assert [row["instruction"] for row in read_rows(tmp_path / "with.jsonl")] == [
        f"why {n}" for n in (0, 2, 3, 5, 6, 7)
    ]
    with (tmp_path / "with.jsonl").open("r+") as file:  # now the scored rows have a broken one as well
        whole = file.read().splitlines()
        file.seek(0)
        file.write("\n".join([whole[0], "{broken", *whole[1:]]))
    flags = {"json_data_path": tmp_path / "with.jsonl", "filter_threash": 99, "sample_num": 6, "add_index": True}
    run(step3_select, json_save_path=tmp_path / "best.jsonl", random_baseline=tmp_path / "some.jsonl", **flags, **skip)
    best = list(read_rows(tmp_path / "best.jsonl"))
    assert sorted(row["index"] for row in best) == [0, 2, 3, 4, 5, 6]
    assert [row["ifd_ppl"] for row in best] == sorted((row["ifd_ppl"] for row in best), reverse=True)
    assert len(list(read_rows(tmp_path / "some.jsonl"))) == 6


def test_baselines_of_the_papers_scores_may_hold_rows_without_a_number(run, tmp_path, reference):
    assert any(math.isnan(row["ifd_ppl"]) for row in reference["attached"])
    write_rows(tmp_path / "with.json", reference["attached"], allow_nan=True)
    usable = sum(row["ifd_ppl"] < 1 for row in reference["attached"])
    flags = {"json_data_path": tmp_path / "with.json", "json_save_path": tmp_path / "best.json", "sample_num": usable}
    for seed in range(3):
        run(step3_select, random_baseline=tmp_path / "random.json", seed=seed, **flags)
        assert len(list(read_rows(tmp_path / "random.json", allow_nan=True))) == usable


def test_a_worker_without_the_gpu_it_was_promised_says_so(run, tmp_path, data, model_folder, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    flags = {"data_path": data, "save_path": tmp_path / "out.jsonl", "model_name_or_path": model_folder}
    with pytest.raises(CommonError, match="no GPU for this worker"):
        run(step1_score_ifd, num_gpus=1, max_length=64, **flags)


def test_score_select_and_compare_from_start_to_end(run, tmp_path, data, model_folder):
    model = {"model_name_or_path": model_folder, "max_length": 64}
    for name, more in [
        ("ours", {}),
        ("paper", {"paper_exact": True}),
        ("other", {"start_token": "auto", "cut_front": True}),
    ]:
        run(step1_score_ifd, data_path=data, save_path=tmp_path / f"{name}.jsonl", rows_a_part=16, **model, **more)
        scores = {"pt_data_path": tmp_path / f"{name}.jsonl", "json_data_path": data}
        run(step2_attach_scores, **scores, json_save_path=tmp_path / f"{name}.json")
    rows = list(read_rows(tmp_path / "ours.json"))
    assert [row["id"] for row in rows] == [f"{number:03}" for number in range(60)]
    assert rows[7]["ifd_ppl"] is None and rows[9]["ifd_ppl"] is not None and rows[11]["ifd_ppl"] is None
    lines = list(read_rows(tmp_path / "ours.jsonl"))
    assert lines[7] == {"index": 7, "unscored": "the answer is empty"} and lines[9]["cut"] > 0
    assert lines[11] == {"index": 11, "unscored": "the prompt fills the window of 64 tokens"}
    others = list(read_rows(tmp_path / "other.json"))
    assert (
        others[11]["ifd_scored_with"] == {"start_token": "<|endoftext|>", "cut_front": True} and others[11]["ifd_ppl"]
    )
    assert "ifd_scored_with" not in rows[0] and others[0]["ifd_ppl"] != rows[0]["ifd_ppl"]
    assert list(read_rows(tmp_path / "paper.jsonl", allow_nan=True))[7] == {}
    assert not (tmp_path / "ours.jsonl.parts").exists()
    baselines = {"random_baseline": tmp_path / "random.json", "length_baseline": tmp_path / "long.json"}
    run(
        step3_select,
        json_data_path=tmp_path / "ours.json",
        json_save_path=tmp_path / "best.json",
        sample_num=6,
        filter_threash=100,
        add_index=True,
        **baselines,
    )
    best = list(read_rows(tmp_path / "best.json"))
    ranked = sorted((row for row in rows if row["ifd_ppl"] is not None), key=lambda row: -row["ifd_ppl"])
    assert [row["id"] for row in best] == [row["id"] for row in ranked[:6]] == [f"{row['index']:03}" for row in best]
    assert len(list(read_rows(tmp_path / "random.json"))) == len(list(read_rows(tmp_path / "long.json"))) == 6
    assert next(read_rows(tmp_path / "long.json"))["id"] == "009"
    flags = {"json_data_path": tmp_path / "ours.json", "other_path": tmp_path / "other.json", "filter_threash": 100}
    run(report_selection, **flags, save_path=tmp_path / "report.html")
    assert "Agreement with the other scorer" in (tmp_path / "report.html").read_text()
    pair = {"first": tmp_path / "ours.json", "second": tmp_path / "other.json"}
    run(compare_scores, **pair, filter_threash=100, save_path=tmp_path / "agreement.json")
    agreement = json.loads((tmp_path / "agreement.json").read_text())
    assert 0 < agreement["spearman"]["ifd_ppl"] <= 1 and agreement["selections"][1]["rate"] == 0.1


def test_a_range_of_rows_keeps_their_numbers(run, tmp_path, data, model_folder):
    flags = {"data_path": data, "model_name_or_path": model_folder, "max_length": 64}
    run(step1_score_ifd, save_path=tmp_path / "all.jsonl", **flags)
    run(step1_score_ifd, save_path=tmp_path / "some.jsonl", start_idx=20, end_idx=30, **flags)
    some, every = list(read_rows(tmp_path / "some.jsonl")), list(read_rows(tmp_path / "all.jsonl"))
    assert [line["index"] for line in some] == list(range(20, 30))
    assert all(same(a, b) for a, b in zip(some, every[20:30], strict=True))


@pytest.mark.parametrize("paper_exact", [{}, {"paper_exact": True}])
def test_a_range_counts_from_the_end_as_python_slices_do(run, tmp_path, data, model_folder, paper_exact):
    flags = {"data_path": data, "model_name_or_path": model_folder, "max_length": 64} | paper_exact
    run(step1_score_ifd, save_path=tmp_path / "all.jsonl", **flags)
    every = list(read_rows(tmp_path / "all.jsonl", allow_nan=True))
    for first, last in ((-2, -1), (57, -2), (-5, -3), (-99, 3), (5, 2)):
        run(step1_score_ifd, save_path=tmp_path / "some.jsonl", start_idx=first, end_idx=last, **flags)
        some = list(read_rows(tmp_path / "some.jsonl", allow_nan=True))
        assert same(some, every[first : None if last == -1 else last])


def test_what_a_user_keeps_beside_the_parts_stays(run, tmp_path, data, model_folder):
    parts = tmp_path / "out.jsonl.parts"
    parts.mkdir()
    (parts / "notes.txt").write_text("mine")
    run(
        step1_score_ifd,
        data_path=data,
        save_path=tmp_path / "out.jsonl",
        model_name_or_path=model_folder,
        max_length=64,
    )
    assert [file.name for file in parts.iterdir()] == ["notes.txt"]
    inside = parts / "000000.rows.jsonl"
    write_rows(inside, json.loads(data.read_text()))
    before = inside.read_bytes()
    flags = {"model_name_or_path": model_folder, "max_length": 64}
    with pytest.raises(CommonError, match="choose another output"):
        run(step1_score_ifd, data_path=inside, save_path=tmp_path / "out.jsonl", **flags)
    assert inside.read_bytes() == before


def test_a_lone_surrogate_is_a_row_with_a_reason(run, tmp_path, model_folder):
    lines = [r'{"instruction": "why", "output": "red \ud800 green"}', '{"instruction": "why", "output": "red, green"}']
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    flags = {"data_path": tmp_path / "rows.jsonl", "model_name_or_path": model_folder, "max_length": 64}
    run(step1_score_ifd, save_path=tmp_path / "out.jsonl", **flags)
    first, second = read_rows(tmp_path / "out.jsonl")
    assert "lone surrogate" in first["unscored"] and second["tokens"] > 0
    run(step1_score_ifd, save_path=tmp_path / "paper.jsonl", paper_exact=True, **flags)
    assert next(read_rows(tmp_path / "paper.jsonl")) == {"ppl": [0] * 4, "loss": [0] * 4}
    (tmp_path / "rows.jsonl").write_text("\n".join([lines[1], lines[0].replace("why", r"w\ud800")]))
    with pytest.raises(CommonError, match="row 1.*lone surrogate in the prompt"):
        run(step1_score_ifd, save_path=tmp_path / "paper.jsonl", paper_exact=True, **flags)


@pytest.mark.parametrize("step", [step3_select, report_selection, compare_scores])
def test_nothing_is_written_over_what_is_read(run, tmp_path, step):
    rows = [{"output": "x" * n, "ifd_ppl": n / 30} for n in range(20)]
    write_rows(tmp_path / "in.json", rows)
    (tmp_path / "link.json").symlink_to("in.json")
    before = (tmp_path / "in.json").read_bytes()
    data = {"json_data_path": tmp_path / "in.json"}
    if step is step3_select:
        data["json_save_path"] = tmp_path / "out.json"
        twice = dict.fromkeys(("random_baseline", "length_baseline"), tmp_path / "same.json")
        attacks = [{name: path} for name in ("random_baseline", "length_baseline") for path in ("in.json", "link.json")]
        attacks += [twice, {"random_baseline": tmp_path / "out.json"}]
    else:
        data = data if step is report_selection else {"first": tmp_path / "in.json", "second": tmp_path / "in.json"}
        attacks = [{"save_path": "in.json"}, {"save_path": "link.json"}, {"save_path": "."}]
    for attack in attacks:
        with pytest.raises(CommonError):
            run(step, **data, **{name: tmp_path / path for name, path in attack.items()})
        assert (tmp_path / "in.json").read_bytes() == before


def test_reports_make_their_folders_and_bear_every_kind_of_score(run, tmp_path):
    scores = [math.nan, None, math.inf, -math.inf, 0, 0.5, 2.0, True]
    write_rows(tmp_path / "in.json", [{"output": "x", "ifd_ppl": score} for score in scores], allow_nan=True)
    deep = tmp_path / "a" / "b"
    run(report_selection, json_data_path=tmp_path / "in.json", save_path=deep / "report.html", sample_num=3)
    assert "3" in (deep / "report.html").read_text()
    pair = {"first": tmp_path / "in.json", "second": tmp_path / "in.json"}
    run(compare_scores, **pair, save_path=deep / "c" / "agreement.json")
    assert json.loads((deep / "c" / "agreement.json").read_text())["spearman"] == {"ifd_ppl": 1.0}


def test_the_rate_may_be_of_another_number_of_rows(run, tmp_path):
    write_rows(tmp_path / "in.json", [{"ifd_ppl": n / 100} for n in range(90)])
    flags = {"json_data_path": tmp_path / "in.json", "json_save_path": tmp_path / "out.json"}
    for more, count in (({}, 9), ({"rate_of": 300}, 30), ({"rate_of": 52002}, 90)):
        run(step3_select, **flags, **more)
        assert len(list(read_rows(tmp_path / "out.json"))) == count


def test_killed_at_ten_moments_the_scores_are_the_same_to_the_byte(tmp_path, data, model_folder):
    words = ["superfiltering/step1_score_ifd.py", "--data_path", data, "--model_name_or_path", model_folder]
    words += ["--max_length", 64, "--rows_a_part", 4, "--save_path"]
    start([*words, tmp_path / "undisturbed.jsonl"]).join()
    parts, draw = tmp_path / "out.jsonl.parts", random.Random(3)
    for kill in range(10):
        wanted = kill + draw.randrange(2)
        process = start([*words, tmp_path / "out.jsonl"])
        kill_when(process, lambda wanted=wanted: len(list(parts.glob("*.done.json"))) >= wanted)
        assert process.exitcode == -signal.SIGKILL
    start([*words, tmp_path / "out.jsonl"]).join()
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "undisturbed.jsonl").read_bytes()


def test_two_worker_processes_give_the_same_scores(run, tmp_path, data, model_folder):
    flags = {"data_path": data, "model_name_or_path": model_folder, "max_length": 64, "rows_a_part": 16}
    run(step1_score_ifd, save_path=tmp_path / "one.jsonl", **flags)
    run(step1_score_ifd, save_path=tmp_path / "two.jsonl", num_workers=2, **flags)
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


@pytest.mark.peers
def test_a_ray_cluster_gives_the_same_scores(run, monkeypatch, tmp_path, data, model_folder):
    import ray

    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    flags = {"data_path": data, "model_name_or_path": model_folder, "max_length": 64, "rows_a_part": 16}
    run(step1_score_ifd, save_path=tmp_path / "here.jsonl", **flags)
    try:
        run(step1_score_ifd, save_path=tmp_path / "there.jsonl", num_workers=2, engine="ray", **flags)
    finally:
        ray.shutdown()
    assert (tmp_path / "here.jsonl").read_bytes() == (tmp_path / "there.jsonl").read_bytes()


def test_bad_rows_and_bad_models_are_named(run, tmp_path, model_folder):
    rows = [{"instruction": "a", "output": "b"}, {"instruction": "a"}, {"instruction": 5, "output": "b"}]
    write_rows(tmp_path / "bad.json", rows)
    flags = {"data_path": tmp_path / "bad.json", "save_path": tmp_path / "out.jsonl", "max_length": 64}
    with pytest.raises(CommonError, match="row 1.*no key 'output'"):
        run(step1_score_ifd, model_name_or_path=model_folder, **flags)
    run(step1_score_ifd, model_name_or_path=model_folder, on_bad_row="skip", **flags)
    assert [line["index"] for line in read_rows(tmp_path / "out.jsonl")] == [0]
    assert [row["index"] for row in read_rows(tmp_path / "out.jsonl.rejected.jsonl")] == [1, 2]
    write_rows(tmp_path / "bad.json", rows[:1])
    with pytest.raises(CommonError, match="cannot be loaded as a causal language model"):
        run(step1_score_ifd, model_name_or_path=tmp_path, **flags)


def test_parts_of_another_model_are_refused(run, tmp_path, data, model_folder):
    flags = {"data_path": data, "save_path": tmp_path / "out.jsonl", "rows_a_part": 30}
    parts = tmp_path / "out.jsonl.parts"
    write_rows(parts / "000000.scores.jsonl", [])
    (parts / "000000.scores.jsonl.done.json").write_text(
        '{"input": "x", "output": "x", "fingerprint": {}, "counts": {}}'
    )
    with pytest.raises(CommonError, match="was made from another input or with other settings"):
        run(step1_score_ifd, model_name_or_path=model_folder, max_length=64, **flags)


def test_more_rows_than_there_are_is_an_error(run, tmp_path):
    write_rows(tmp_path / "in.json", [{"ifd_ppl": 0.5}, {"ifd_ppl": 1.5}, {"ifd_ppl": None}])
    with pytest.raises(CommonError, match="2 rows wanted, 1 have ifd_ppl < 1"):
        run(step3_select, json_data_path=tmp_path / "in.json", json_save_path=tmp_path / "out.json", sample_num=2)
    write_rows(tmp_path / "in.json", [{"other": 1}])
    with pytest.raises(CommonError, match="no number in 'ifd_ppl'"):
        run(step3_select, json_data_path=tmp_path / "in.json", json_save_path=tmp_path / "out.json")
