"""Every step as a user runs it, on the bundled sample, against the embedded server."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

from common import manifest
from common.errors import BadInput, BadRow
from common.llm.standin import standin_server
from common.rows import read_rows, write_rows
from eval import evaluate_ape210k
from web_to_sft import (
    cleaning_rules,
    compare_modes,
    conversions,
    rule_baseline,
    score_small,
    small_world,
    step1_match_pairs,
    step2_build_converter_data,
    step5_build_sft,
    write_report,
)
from web_to_sft.conversions import NOT_MATHS, UNREADABLE, lost_numbers

ROOT = Path(__file__).parent.parent.parent
SAMPLE = ROOT / "web_to_sft" / "sample"
DATA = ROOT / "tests" / "data" / "web_to_sft"
WEB, CLEAN = SAMPLE / "web.jsonl", SAMPLE / "clean.jsonl"


@pytest.fixture
def call(monkeypatch, capsys):
    def run(step, *arguments):
        monkeypatch.setattr(sys, "argv", [step.__name__, *map(str, arguments)])
        step.main()
        return capsys.readouterr()

    return run


def manifest_of(path):
    return json.loads(Path(f"{path}.manifest.json").read_text(encoding="utf-8"))


# ---------------------------------------------------------------- step 1


def match(call, tmp_path, *more, web=WEB, clean=CLEAN):
    out = tmp_path / "pairs.jsonl"
    said = call(
        step1_match_pairs,
        "--web_path",
        web,
        "--high_quality_path",
        clean,
        "--save_path",
        out,
        "--num_workers",
        1,
        *more,
    )
    return list(read_rows(out)), said


def test_step1_gives_the_recorded_pairs(call, tmp_path):
    pairs, said = match(call, tmp_path, web=DATA / "pairs_web.jsonl", clean=DATA / "pairs_high_quality.jsonl")
    assert pairs == list(read_rows(DATA / "pairs_expected.jsonl"))
    (distances,) = manifest_of(tmp_path / "pairs.jsonl")["scores"].values()
    assert sum(distances.values()) == len(pairs) and set(distances) <= {"0", "1", "2", "3", "4", "5"}
    assert "distance 0: " in said.out
    misses = list(read_rows(tmp_path / "pairs.jsonl.near_misses.jsonl"))
    assert misses and not {miss["web57w_idx"] for miss in misses} & {pair["web57w_idx"] for pair in pairs}


def test_step1_columns_and_plain_texts(call, tmp_path):
    write_rows(tmp_path / "web.jsonl", [{"frage": "Anna hat 3.5 Äpfel", "antwort": "also 3.5"}])
    write_rows(
        tmp_path / "clean.jsonl", [{"q": "Ben hat 3.5 Birnen und mehr", "a": "9"}, {"q": "Anna hat 3,5 Äpfel", "a": ""}]
    )
    keys = ("--web_question_key", "frage", "--web_analysis_key", "antwort", "--high_quality_question_key", "q")
    keys += (
        "--high_quality_solution_key",
        "a",
        "--matcher",
        "rapidfuzz",
        "--score_cutoff",
        "85",
        "--normalizer",
        "unicode",
    )
    pairs, said = match(call, tmp_path, *keys, web=tmp_path / "web.jsonl", clean=tmp_path / "clean.jsonl")
    assert pairs == [{"highquality_idx": 1, "web57w_idx": 0}]
    assert list(manifest_of(tmp_path / "pairs.jsonl")["scores"]) == ["similarity"]
    assert said.out.startswith("similarity ") and said.out.endswith(": 1 pair\n")


def test_step1_sets_bad_rows_aside_and_indices_still_point_into_the_file(call, tmp_path):
    rows = list(read_rows(WEB))
    broken = [{"question": 7}, *rows]
    write_rows(tmp_path / "web.jsonl", broken)
    with pytest.raises(BadRow, match="row 0.*'question' is a int"):
        match(call, tmp_path, web=tmp_path / "web.jsonl")
    shifted, _ = match(call, tmp_path, "--on_bad_row", "skip", web=tmp_path / "web.jsonl")
    (rejected,) = read_rows(tmp_path / "pairs.jsonl.rejected.jsonl")
    assert rejected["index"] == 0
    plain, _ = match(call, tmp_path)
    assert [pair["web57w_idx"] for pair in shifted] == [pair["web57w_idx"] + 1 for pair in plain]


def test_step1_names_a_bad_clean_row(call, tmp_path):
    write_rows(tmp_path / "clean.jsonl", [{"input": ["a"], "solve_step": ["b"]}, {"input": [], "solve_step": ["b"]}])
    with pytest.raises(BadRow, match="row 1: 'input' is a list"):
        match(call, tmp_path, clean=tmp_path / "clean.jsonl")


def test_bad_rows_on_either_side_never_shift_what_pairs_point_at(call, tmp_path):
    web, clean = (path.read_text(encoding="utf-8").splitlines() for path in (WEB, CLEAN))
    (tmp_path / "web.jsonl").write_text("\n".join(["{broken", *web]), encoding="utf-8")
    (tmp_path / "clean.jsonl").write_text("\n".join(["{broken", '{"input": []}', *clean]), encoding="utf-8")
    plain = build(call, tmp_path, match(call, tmp_path)[0])
    paths = {"web": tmp_path / "web.jsonl", "clean": tmp_path / "clean.jsonl"}
    pairs, _ = match(call, tmp_path, "--on_bad_row", "skip", **paths)
    assert manifest_of(tmp_path / "pairs.jsonl")["counts"]["bad clean rows"] == 2
    more = ["--web_path", paths["web"], "--high_quality_path", paths["clean"]]
    shifted = build(call, tmp_path, pairs, *more)
    assert [row["output"] for row in shifted] == [row["output"] for row in plain]
    assert [row["highquality_idx"] for row in shifted] == [row["highquality_idx"] + 2 for row in plain]
    with pytest.raises(BadRow, match="row 0"):
        build(call, tmp_path, [{"highquality_idx": 0, "web57w_idx": 1}], *more)


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def large_crawl(tmp_path, monkeypatch):
    """A step 1 that works in chunks of a hundred rows on two processes."""
    write_rows(tmp_path / "web.jsonl", list(read_rows(WEB)) * 500)
    start = "import sys; from web_to_sft import fuzzy_pairs, step1_match_pairs; fuzzy_pairs.CHUNK_ROWS = 100; "
    arguments = ["--web_path", tmp_path / "web.jsonl", "--high_quality_path", CLEAN, "--num_workers", 2]
    arguments += ["--save_path", tmp_path / "pairs.jsonl"]
    return [sys.executable, "-c", start + "step1_match_pairs.main()", *map(str, arguments)]


def with_workers(process, number):
    """The process ids of its workers, as soon as there are so many."""
    while len(workers := children_of(process.pid)) < number and process.poll() is None:
        os.sched_yield()
    assert process.poll() is None
    return workers


def test_step1_killed_leaves_no_worker_and_no_lock(large_crawl, tmp_path):
    process = subprocess.Popen(large_crawl, cwd=ROOT, stderr=subprocess.DEVNULL)
    workers = with_workers(process, 3)  # two, and Python's own resource tracker
    process.kill()
    process.wait()
    again = subprocess.run(large_crawl, cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    deadline = time.monotonic() + 10
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        os.sched_yield()
    assert not any(map(is_running, workers))
    pairs = list(read_rows(tmp_path / "pairs.jsonl"))
    assert len(pairs) == 500 * 21 and [pair["web57w_idx"] for pair in pairs[21:42]] == [
        pair["web57w_idx"] + 60 for pair in pairs[:21]
    ]


def test_step1_names_a_worker_that_was_killed(large_crawl, tmp_path):
    process = subprocess.Popen(large_crawl, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    for worker in with_workers(process, 3)[1:]:
        os.kill(worker, signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1 and "worker process died" in said
    assert not (tmp_path / "pairs.jsonl").exists()


# ---------------------------------------------------------------- step 2


def build(call, tmp_path, pairs, *more):
    write_rows(tmp_path / "pairs.jsonl", pairs)
    arguments = ["--pairs_path", tmp_path / "pairs.jsonl", "--web_path", WEB, "--high_quality_path", CLEAN]
    call(step2_build_converter_data, *arguments, "--save_path", tmp_path / "examples.jsonl", *more)
    return list(read_rows(tmp_path / "examples.jsonl"))


def test_step2_shows_the_crawled_row_and_asks_for_the_clean_one(call, tmp_path):
    pairs = [{"highquality_idx": 3, "web57w_idx": 5}, {"highquality_idx": 0, "web57w_idx": 2}]
    examples = build(call, tmp_path, pairs)
    web, clean = list(read_rows(WEB)), list(read_rows(CLEAN))
    for pair, example in zip(pairs, examples, strict=True):
        crawled, truth = web[pair["web57w_idx"]], clean[pair["highquality_idx"]]
        assert f"[题目]\n{crawled['question']}\n\n[答案]\n{crawled['raw_analysis']}" in example["instruction"]
        assert NOT_MATHS in example["instruction"] and UNREADABLE in example["instruction"]
        assert example["output"] == f"[问题]\n{truth['input'][0]}\n\n[答案]\n{truth['solve_step'][0]}"


def test_step2_full_width_spaces_of_the_clean_side_become_plain():
    assert step2_build_converter_data.converter_answer("a\u3000b", "c\u3000d") == "[问题]\na b\n\n[答案]\nc d"


def test_step2_adds_refusals(call, tmp_path):
    refusal = {"question": "What is a noun?", "raw_analysis": "A word.", "refusal": "not_maths"}
    write_rows(tmp_path / "refusals.jsonl", [refusal, refusal | {"refusal": "unreadable"}])
    pairs = [{"highquality_idx": 3, "web57w_idx": 5}]
    examples = build(call, tmp_path, pairs, "--refusals_path", tmp_path / "refusals.jsonl")
    assert [example["output"] for example in examples][1:] == ["这不是一道中文数学题。", "存在语法错误。"]
    assert "[题目]\nWhat is a noun?\n\n[答案]\nA word." in examples[1]["instruction"]
    write_rows(tmp_path / "refusals.jsonl", [refusal | {"refusal": "bored"}])
    with pytest.raises(BadRow, match="'bored', expected not_maths or unreadable"):
        build(call, tmp_path, pairs, "--refusals_path", tmp_path / "refusals.jsonl")


def test_step2_paper_exact_writes_the_two_columns_of_the_released_code(call, tmp_path):
    (example,) = build(call, tmp_path, [{"highquality_idx": 3, "web57w_idx": 5}], "--paper_exact")
    assert list(example) == ["instruction", "output"]


def test_steps_1_2_and_5_read_dataset_folders_with_splits(call, tmp_path):
    rows = {"web": list(read_rows(WEB)), "clean": list(read_rows(CLEAN))}
    plain = build(call, tmp_path, match(call, tmp_path)[0])
    for name, content in rows.items():
        datasets = {"train": Dataset.from_list(content), "test": Dataset.from_list(content[:2])}
        DatasetDict(datasets).save_to_disk(tmp_path / name)
    folders = {"web": tmp_path / "web", "clean": tmp_path / "clean"}
    pairs, _ = match(call, tmp_path, "--split", "train", **folders)
    more = ["--web_path", folders["web"], "--high_quality_path", folders["clean"], "--split", "train"]
    assert build(call, tmp_path, pairs, *more) == plain
    converted, _ = parse(call, tmp_path, [GOOD], "--add_path", folders["clean"], "--split", "test")
    assert [row["output"] for row in converted[:2]] == [row["solve_step"][0] for row in rows["clean"][:2]]


def test_step2_names_a_pair_that_points_nowhere(call, tmp_path):
    with pytest.raises(BadRow, match="points at row 99999"):
        build(call, tmp_path, [{"highquality_idx": 0, "web57w_idx": 99999}])


# ---------------------------------------------------------------- steps 4 and 5


def convert_command(url, output, *more):
    arguments = ["--data_path", WEB, "--save_path", output, "--base_url", url, "--model", "stand-in", *more]
    return [sys.executable, "-m", "web_to_sft.step4_convert_web", *map(str, arguments)]


def test_step4_and_5_with_protocol_and_content_faults(call, tmp_path):
    out, sft = tmp_path / "converted.jsonl", tmp_path / "sft.jsonl"
    with standin_server(faults=0.2, fault_garbage=0.2, fault_refusal=0.1, retry_after=0, hang_seconds=0.2) as url:
        done = subprocess.run(
            convert_command(url, out, "--request_timeout", 1), cwd=ROOT, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr
    converted, web = list(read_rows(out)), list(read_rows(WEB))
    assert [row["question"] for row in converted] == [row["question"] for row in web]
    call(step5_build_sft, "--data_path", out, "--save_path", sft)
    kept, rejected = list(read_rows(sft)), list(read_rows(f"{sft}.rejected.jsonl"))
    assert len(kept) + len(rejected) == len(web) and kept and rejected
    assert all(row["instruction"] == row["instruction"].strip() and row["output"] for row in kept)
    assert all(row["reason"].startswith(("malformed", "refused")) for row in rejected)


def test_step4_killed_and_started_again_gives_the_same_bytes(tmp_path):
    with standin_server(delay=0.05) as url:
        whole = tmp_path / "whole.jsonl"
        subprocess.run(convert_command(url, whole), cwd=ROOT, check=True, capture_output=True)
        out = tmp_path / "out.jsonl"
        command = convert_command(url, out, "--concurrency", 2)
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        store = tmp_path / "out.jsonl.answers.sqlite"
        while process.poll() is None and not store.exists():
            os.sched_yield()
        deadline = time.monotonic() + 0.4  # a third of the way
        while process.poll() is None and time.monotonic() < deadline:
            os.sched_yield()
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL and not out.exists()
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert out.read_bytes() == whole.read_bytes()


def parse(call, tmp_path, outputs, *more, questions=None):
    rows = [{"question": "1+1", "output": output} for output in outputs]
    for row, question in zip(rows, questions or [], strict=False):
        row["question"] = question
    write_rows(tmp_path / "converted.jsonl", rows)
    call(step5_build_sft, "--data_path", tmp_path / "converted.jsonl", "--save_path", tmp_path / "sft.jsonl", *more)
    rejected = tmp_path / "sft.jsonl.rejected.jsonl"
    return list(read_rows(tmp_path / "sft.jsonl")), list(read_rows(rejected)) if rejected.exists() else []


GOOD = "[问题]\n有1个和1个？\n\n[答案]\n1+1=2"


def test_step5_says_why_a_conversion_is_set_aside(call, tmp_path):
    outputs = [
        GOOD,
        NOT_MATHS,
        f"嗯，{UNREADABLE}",
        "[问题]\n有吗",
        "\n\n[答案]\n2",
        "[问题]\n\n\n[答案]\n2",
        GOOD * 99,
    ]
    kept, rejected = parse(call, tmp_path, outputs, "--max_characters", 50)
    assert [(row["index"], row["reason"]) for row in rejected] == [
        (1, "refused: not a Chinese maths problem"), (2, "refused: unreadable"), (3, "malformed: no [答案]"),
        (4, "malformed: no [问题]"), (5, "malformed: empty question or answer"),
    ]  # fmt: skip
    # The 99 copies run on after the first answer, up to the next answer mark.
    assert [row["output"] for row in kept][0] == "1+1=2" and len(kept) == 2


def test_each_point_of_step5_is_restored_by_its_switch(call, tmp_path):
    outputs = ["[问题]\n有35.5个 \n\n[答案]\n 1", "[问题]\n\n\n[答案]\n1"]
    questions = ["有35.5个和2个"] * 2

    def parsed(*switches):
        kept, rejected = parse(call, tmp_path, outputs, *switches, questions=questions)
        return [row.get("instruction") for row in kept], [row.get("lost_numbers") for row in kept], len(rejected)

    assert parsed() == (["有35.5个"], [["2"]], 1)
    assert parsed("--as_released", "spaces") == (["\n有35.5个 "], [["2"]], 1)
    assert parsed("--as_released", "empty_texts") == (["有35.5个", ""], [["2"], ["35.5", "2"]], 0)
    assert parsed("--as_released", "lost_numbers") == (["有35.5个"], [None], 1)
    assert parsed("--paper_exact") == (["\n有35.5个 ", "\n"], [None, None], 0)
    assert parsed("--paper_exact", "crawl") == (["有35.5个", ""], [None, None], 0)
    row = {"instruction": "x", "output": "y", "mine": 1, "dasou57w_idx": 7, "question": "1", "text": GOOD}
    write_rows(tmp_path / "in.jsonl", [row])
    files = ["--data_path", tmp_path / "in.jsonl", "--save_path", tmp_path / "out.jsonl", "--response_key", "text"]
    for switches, columns in (
        ((), ["mine", "dasou57w_idx", "question"]),
        (["--as_released", "other_columns"], ["question", "dasou57w_idx"]),
    ):
        call(step5_build_sft, *files, *switches)
        (row,) = read_rows(tmp_path / "out.jsonl")
        assert list(row) == [*columns, "instruction", "output"]


def test_step5_limits_the_length(call, tmp_path):
    length = len("有1个和1个？") + len("1+1=2")
    kept, rejected = parse(call, tmp_path, [GOOD, GOOD + "，"], "--max_characters", length)
    assert len(kept) == 1 and rejected[0]["reason"] == f"longer than {length} characters"


def test_step5_flags_or_rejects_lost_numbers(call, tmp_path):
    questions = ["有1个和1个", "有1个，35.5元"]
    kept, _ = parse(call, tmp_path, [GOOD, GOOD], questions=questions)
    assert [row.get("lost_numbers") for row in kept] == [None, ["35.5"]]
    kept, rejected = parse(call, tmp_path, [GOOD, GOOD], "--lost_numbers", "reject", questions=questions)
    assert len(kept) == 1 and rejected[0]["reason"] == "lost numbers: 35.5"


def test_lost_numbers_are_whole_numbers():
    assert lost_numbers("买12个，3.5元，12个", "12和3.5") == []
    assert lost_numbers("买1个", "买11个") == ["1"]


def test_step5_reads_another_column_and_puts_clean_rows_in_front(call, tmp_path):
    write_rows(tmp_path / "converted.jsonl", [{"question": "1", "chatglm2_cot_output": GOOD}])
    arguments = ["--response_key", "chatglm2_cot_output", "--add_path", CLEAN]
    call(
        step5_build_sft, "--data_path", tmp_path / "converted.jsonl", "--save_path", tmp_path / "sft.jsonl", *arguments
    )
    rows, clean = list(read_rows(tmp_path / "sft.jsonl")), list(read_rows(CLEAN))
    assert rows[0] == {"instruction": clean[0]["input"][0], "output": clean[0]["solve_step"][0]}
    assert len(rows) == len(clean) + 1 and "chatglm2_cot_output" not in rows[-1]


def test_step5_takes_clean_rows_in_the_columns_and_forms_that_step_1_takes(call, tmp_path):
    write_rows(tmp_path / "converted.jsonl", [{"question": ["1"], "output": GOOD}])
    rows = [{"q": "小明有3个苹果", "a": "3+5=8"}, {"q": ["小红"], "a": ["1"]}]
    write_rows(tmp_path / "clean.jsonl", rows)
    flags = ["--data_path", tmp_path / "converted.jsonl", "--save_path", tmp_path / "sft.jsonl"]
    flags += ["--add_path", tmp_path / "clean.jsonl"]
    keys = ["--high_quality_question_key", "q", "--high_quality_solution_key", "a"]
    call(step5_build_sft, *flags, *keys)
    first, second, _ = read_rows(tmp_path / "sft.jsonl")
    assert first == {"instruction": "小明有3个苹果", "output": "3+5=8"} and second["output"] == "1"
    with pytest.raises(BadRow, match="row 0: no key 'output'|row 0: no key 'instruction'"):
        call(step5_build_sft, *flags)


def test_step5_stops_at_a_row_without_output(call, tmp_path):
    write_rows(tmp_path / "converted.jsonl", [{"question": "1"}])
    with pytest.raises(BadRow, match="row 0: no key 'output'"):
        call(step5_build_sft, "--data_path", tmp_path / "converted.jsonl", "--save_path", tmp_path / "sft.jsonl")


# ---------------------------------------------------------------- report


def test_the_report_tells_what_went_where_of_a_half_finished_run(call, tmp_path):
    match(call, tmp_path)
    converted = [
        {"question": "买3.5千克<script>", "raw_analysis": "解", "output": "[问题]\n买3千克\n\n[答案]\n3"},
        {"question": "Hello", "raw_analysis": "x", "output": NOT_MATHS},
    ]
    write_rows(tmp_path / "converted.jsonl", converted)
    call(
        step5_build_sft, "--data_path", tmp_path / "converted.jsonl", "--save_path", tmp_path / "solver.jsonl",
        "--add_path", CLEAN,
    )  # fmt: skip
    call(write_report, "--folder", tmp_path, "--save_path", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<b>60</b><span>crawled problems" in page and "<b>21</b><span>pairs" in page
    assert "distance 0" in page and "买3.5千克&lt;script&gt;" in page and ">3.5</span>" in page
    assert "−1</b> refused: not a Chinese maths problem" in page and "40 clean rows" in page
    with pytest.raises(BadInput, match="run step 1"):
        call(write_report, "--folder", tmp_path / "none", "--save_path", tmp_path / "report.html")


def test_the_report_leaves_out_what_the_standin_solved(call, tmp_path):
    match(call, tmp_path)
    answers = tmp_path / "evaluation" / "eval_test.ape.jsonl"
    write_rows(answers, [{"input": "1+1", "target": "2", "output": "答：3"}])

    def page(model):
        manifest.write(answers, inputs={}, llm={"model": model, "served_as": [model]})
        call(evaluate_ape210k, "--base_output_path", answers.parent)
        call(write_report, "--folder", tmp_path, "--save_path", tmp_path / "report.html")
        return (tmp_path / "report.html").read_text(encoding="utf-8")

    assert "0.0%" in page("Qwen1.5-7B-Chat") and "答：3" in page("Qwen1.5-7B-Chat")
    assert "0.0%" not in page("stand-in") and "answers by rules" in page("stand-in")


# ---------------------------------------------------------------- rule baseline, small world


def test_rule_baseline_takes_single_points(call, tmp_path):
    write_rows(tmp_path / "web.jsonl", [{"raw_analysis": "，=5，【解答】第一问：3+4=7，共7点点评：考查加法，="}])

    def steps(*switches):
        call(rule_baseline, "--data_path", tmp_path / "web.jsonl", "--save_path", tmp_path / "r.jsonl", *switches)
        (row,) = read_rows(tmp_path / "r.jsonl")
        return row["rule_processed_analysis"][:1], row["rule_processed_solvestep"]

    assert steps() == ("=", "第一问：3+4=7，共7点")
    assert steps("--as_released", "commas") == ("，", "第一问：3+4=7，共7点")
    assert steps("--as_released", "headings") == ("=", "第一问：3+4=7，共7")
    assert steps("--as_released", "commas", "headings") == steps("--paper_exact") == ("，", "第一问：3+4=7，共7")


def test_small_world_is_reproducible_and_its_truth_is_true(call, tmp_path):
    for name in ("one", "two"):
        arguments = ["--web_rows", 80, "--clean_rows", 40, "--test_rows", 20, "--save_path", tmp_path / name]
        call(small_world, *arguments)
    for file in ("web.jsonl", "clean.jsonl", "test.jsonl"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    for row in read_rows(tmp_path / "one" / "test.jsonl"):
        formula, _, answer = row["clean_solution"].split("\n")[0].partition("=")
        assert small_world.as_text(small_world.evaluate(formula)) == answer == row["answer"]


def test_scores_of_raw_rules_and_perfection():
    row = {"question": "【题文】甲有3个", "raw_analysis": "【解答】3+4，=7，一共七个．【点睛】加法．", "answer": "7"}
    row |= {"clean_question": "甲有3个", "clean_solution": "3+4=7，一共七个．"}
    assert score_small.score([row], [score_small.as_crawled(row)]) == {"exact recovery": 0.0, "answer right": 1.0}
    assert score_small.score([row], [score_small.by_rules(row)]) == {"exact recovery": 1.0, "answer right": 1.0}
    converted = score_small.parsed("[问题]\n甲有3个\n\n[答案]\n3+4=7，一共七个．")
    assert score_small.score([row], [converted])["exact recovery"] == 1.0
    assert score_small.score([row], [score_small.parsed(NOT_MATHS)]) == {"exact recovery": 0.0, "answer right": 0.0}


@pytest.mark.parametrize(
    "name", ["web.jsonl", "pairs.jsonl", "pairs.jsonl.near_misses.jsonl", "pairs.jsonl.manifest.json"]
)
def test_reports_are_not_written_over_what_they_tell_of(call, tmp_path, name):
    (tmp_path / "web.jsonl").write_bytes(WEB.read_bytes())
    match(call, tmp_path, web=tmp_path / "web.jsonl")
    before = (tmp_path / name).read_bytes()
    with pytest.raises(BadInput, match="both input and output"):
        call(write_report, "--folder", tmp_path, "--save_path", tmp_path / "." / name)
    if name == "web.jsonl":
        with pytest.raises(BadInput, match="both input and output"):
            call(compare_modes, "--data_path", tmp_path / name, "--save_path", tmp_path / name)
    assert (tmp_path / name).read_bytes() == before
    for _ in range(2):  # an earlier report may be
        call(write_report, "--folder", tmp_path, "--save_path", tmp_path / "report.html")


def test_step1_refuses_its_near_misses_as_input(call, tmp_path):
    misses = tmp_path / "pairs.jsonl.near_misses.jsonl"
    misses.write_bytes(WEB.read_bytes())
    with pytest.raises(BadInput, match="both input and output"):
        match(call, tmp_path, web=misses)
    assert misses.read_bytes() == WEB.read_bytes()


def test_compare_modes_counts_what_each_point_touches(call, tmp_path):
    analyses = ["甲， =3，=4乙", "3*4=12，共12个苹果树", "解答：(1)3+4=7（个）。解答：(2)7+1=8（个）。", "3\n5千克，=7"]
    write_rows(
        tmp_path / "web.jsonl", [{"question": f"小明有{n}个", "raw_analysis": a} for n, a in enumerate(analyses)]
    )
    write_rows(
        tmp_path / "clean.jsonl", [{"input": "小明有0个", "solve_step": "99"}, {"input": "小明有", "solve_step": ""}]
    )
    outputs = [GOOD, GOOD.replace("有", " 有").replace("题]\n", "题]"), "[问题]\n\n\n[答案]\n2"]
    write_rows(tmp_path / "converted.jsonl", [{"question": "有1个和9个", "output": output} for output in outputs])
    write_rows(tmp_path / "a.scored.jsonl", [{"is_correct": 0, "is_equal": 1}, {"is_correct": 1, "is_equal": 1}])
    write_rows(tmp_path / "b.scored.jsonl", [{"match": True, "last_match": False}])
    said = call(
        compare_modes, "--data_path", tmp_path / "web.jsonl", "--high_quality_path", tmp_path / "clean.jsonl",
        "--converted_path", tmp_path / "converted.jsonl", "--scored_path", tmp_path / "*.scored.jsonl",
        "--save_path", tmp_path / "points.json",
    )  # fmt: skip
    points = json.loads((tmp_path / "points.json").read_text(encoding="utf-8"))
    touched = {point["switch"].removeprefix("--as_released "): point["touched"] for point in points[:-7]}
    assert touched == {
        "commas": 1, "headings": 0, "repeated_sections": 1, "line_breaks": 1, "leading_tags": 0, "--paper_exact": 3,
        "without --normalizer unicode": 3, "without --check_answers": 1, "without --matcher rapidfuzz": 3,
    }  # fmt: skip
    parsing = {point["point"]: point["touched"] for point in points[-7:-2]}
    assert parsing == {"spaces": 2, "empty_texts": 1, "other_columns": 0, "lost_numbers": 2, "any": 3}
    assert [(point["point"], point["rows"], point["touched"]) for point in points[-2:]] == [
        ("is_equal beside is_correct", 2, 1),
        ("last_match beside match", 1, 1),
    ]
    assert said.out.count("\n") == len(points) and "33.3% of       3 rows   --as_released empty_texts" in said.out


@pytest.mark.parametrize("repairs", [cleaning_rules.REPAIRS, conversions.REPAIRS])
def test_the_readme_names_every_point_with_its_switch(repairs):
    lines = (ROOT / "web_to_sft" / "README.md").read_text(encoding="utf-8").splitlines()
    for name in repairs:
        assert any(f"| `{name}` |" in line and f"--as_released {name}`" in line for line in lines), name


# ---------------------------------------------------------------- launchers


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (
            "run_all.sh",
            ["step1_match_pairs", "step2_build", "step3_train", "step4_convert", "step5_build", "step6", "step7"],
        ),
        ("step3_train_converter.sh", ["deepspeed --num_gpus 8 common/training/finetune.py", "train_converter.yaml"]),
        ("step6_train_solver.sh", ["deepspeed --num_gpus 8 common/training/finetune.py", "solver_model"]),
        (
            "step7_evaluate.sh",
            ["vllm serve", "eval/evaluate_ape210k.py", "eval/cmath_eval.py", "eval/compare_with_paper.py"],
        ),
        ("step4_convert_web.sh", ["--data-parallel-size 8", "web_to_sft/step4_convert_web.py"]),
        (
            "replicate_small.sh",
            ["small_world.py", "small_model.py", "finetune.py", "score_small.py", "replication.py"],
        ),
    ],
)
def test_launchers_print_their_commands_under_dry_run(script, expected):
    environment = {key: value for key, value in os.environ.items() if key != "OPENAI_BASE_URL"} | {"DRY_RUN": "1"}
    command = ["bash", f"web_to_sft/{script}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    places = [done.stdout.find(word) for word in expected]
    assert -1 not in places and places == sorted(places), done.stdout


def test_the_released_launchers_arguments_work():
    command = [
        "bash",
        "web_to_sft/step3_train_converter.sh",
        "my.jsonl",
        "q",
        "a",
        "models",
        "chatglm2-6b",
        "--seed",
        "3",
    ]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"DRY_RUN": "1"}, capture_output=True, text=True)
    words = done.stdout.split()
    given = {words[at]: words[at + 1] for at in range(len(words) - 1) if words[at].startswith("--")}
    assert given["--data_path"] == "my.jsonl" and given["--prompt_key"] == "q" and given["--response_key"] == "a"
    assert given["--model_name_or_path"] == "chatglm2-6b" and given["--seed"] == "3"
    assert given["--config"] == "web_to_sft/train_chatglm2.yaml" and "--trust_remote_code" not in words


def test_an_empty_file_is_named(call, tmp_path):
    (tmp_path / "none.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(BadInput, match="none.jsonl"):
        match(call, tmp_path, clean=tmp_path / "none.jsonl")
