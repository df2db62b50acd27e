"""The five steps as a user runs them: what comes out, what is set aside, what a fault or a kill changes (nothing)."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import datasets
import pytest

from common import manifest
from common.errors import CommonError
from common.llm.standin import standin_server
from common.rows import read_rows, write_rows
from tests.common.scripted_server import completion, ok, scripted_server
from tests.webr.conftest import SAMPLE, rejected
from webr import (
    step1_infer_author,
    step2_make_requests,
    step3_make_responses,
    step4_refine_responses,
    write_report,
)
from webr.sections import KINDS

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "webr"
STEPS = ("authors", "requests", "responses", "refined", "data/webr")


def texts_of(folder: Path) -> dict[str, bytes]:
    """The bytes of every output and of what was set aside."""
    files = [folder / f"{name}.jsonl{more}" for name in STEPS for more in ("", ".rejected.jsonl")]
    files += [folder / "data" / "webr.parquet", folder / "data" / "README.md"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.exists()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, url):
    """One whole run on the sample, as separate commands."""
    folder = tmp_path_factory.mktemp("webr")
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    environment |= {"OPENAI_BASE_URL": url, "MODEL": "stand-in", "DATA": str(SAMPLE), "OUT": str(folder)}
    environment |= {"TOKENIZER": "", "VIRTUAL_ENV": sys.prefix, "TMPDIR": str(folder)}
    done = subprocess.run(
        ["bash", ROOT / "webr" / "run_all.sh"], env=environment, cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


# ---------------------------------------------------------------- what comes out


def test_the_funnel_adds_up_to_the_pages(finished):
    pages = [row["webpage"] for row in read_rows(SAMPLE)]
    left = len(pages)
    for name in STEPS:
        made = manifest.read(finished / f"{name}.jsonl")
        aside = rejected(finished / f"{name}.jsonl")
        assert made["counts"]["in"] == left
        assert left == made["counts"]["done"] + len(aside)
        left = made["counts"]["done"]
        assert sum(1 for _ in read_rows(finished / f"{name}.jsonl")) == left
    assert left > len(pages) / 2


def test_pages_that_repeat_others_and_empty_ones_are_set_aside_before_anything_is_asked(finished):
    pages = [row["webpage"] for row in read_rows(SAMPLE)]
    aside = {entry["index"]: entry["reason"] for entry in rejected(finished / "authors.jsonl")}
    repeated = {index: int(reason.split()[-1]) for index, reason in aside.items() if "near-duplicate" in reason}
    assert len(repeated) == 4
    assert all(pages[index].split("\n")[0] == pages[first].split("\n")[0] for index, first in repeated.items())
    assert [reason for index, reason in aside.items() if index not in repeated] == ["the page has no text"]
    assert manifest.read(finished / "authors.jsonl")["counts"]["requests"] == len(pages) - len(aside)


def test_rows_keep_their_keys_their_order_and_their_language(finished):
    rows = list(read_rows(finished / "refined.jsonl"))
    assert [row["page"] for row in rows] == sorted(row["page"] for row in rows)
    assert all(row["url"].endswith(f"{row['page']:02}") for row in rows)
    assert Counter(row["lang"] for row in rows) == {"en": 11, "zh": 7, "es": 6, "pt": 4, "und": 1}
    kinds = [row["kind"] for row in rows]
    assert kinds == sorted(kinds, key=KINDS.index) and [kinds.count(kind) for kind in KINDS] == [10, 9, 5, 5]
    assert all(("draft" in row) == row["kind"].startswith("WR") for row in rows)


def test_training_data_is_two_wi_for_one_wr_and_each_user_turn_is_what_its_kind_says(finished):
    rows = list(read_rows(finished / "data" / "webr.jsonl"))
    refined = {row["response"]: row for row in read_rows(finished / "refined.jsonl")}
    firsts = Counter()
    sides = Counter()
    for row in rows:
        assert list(row) == ["prompt_id", "messages"]
        user, assistant = row["messages"]
        assert (user["role"], assistant["role"]) == ("user", "assistant")
        source = next((r for text, r in refined.items() if text.endswith(assistant["content"])), None)
        if source["kind"].startswith("WI"):
            assert user["content"] in {
                f"{source['request']}\n\n{source['section']}",
                f"{source['section']}\n\n{source['request']}",
            }
            firsts[user["content"].startswith(source["request"])] += 1
        else:
            assert user["content"] == source["request"]
        sides[source["kind"][:2]] += 1
    assert sides["WI"] == 2 * sides["WR"] == 18
    assert min(firsts.values()) >= 4  # either order happens
    assert len({row["prompt_id"] for row in rows}) == len(rows)


def test_prompts_are_in_the_language_of_the_page_and_name_it(tmp_path, run):
    asked = []

    def reply(body, _number):
        asked.append(body["messages"][0]["content"])
        return ok("A writer.")

    with scripted_server(reply) as server:
        target = tmp_path / "authors.jsonl"
        words = ["--base_url", server.url, "--any_language", "--any_form"]
        run(step1_infer_author, "--data_path", SAMPLE, "--save_path", target, *words)
    openings = {"Who wrote": "English", "上面的网页": "中文", "¿Quién": "español", "Quem": "português"}
    for opening, language in openings.items():
        last = [prompt.rstrip().split("\n")[-1] for prompt in asked if f"\n\n{opening}" in prompt]
        assert last and sum(language in line for line in last) >= len(last) - 2
    french = next(prompt for prompt in asked if "piscine" in prompt)
    assert "\n\nWho wrote" in french and "in French." in french


def test_one_language_for_all_pages(tmp_path, run, url):
    target = tmp_path / "authors.jsonl"
    run(step1_infer_author, "--data_path", SAMPLE, "--save_path", target, "--base_url", url, "--lang", "es")
    assert {row["lang"] for row in read_rows(target)} == {"es"}


def test_the_draws_of_a_page_do_not_depend_on_the_others(finished, tmp_path, run, url):
    rows = list(read_rows(finished / "authors.jsonl"))[:6]
    drawn = {}
    for name, some in {"all": rows, "last": rows[3:]}.items():
        write_rows(tmp_path / f"{name}.in.jsonl", some)
        words = ["--data_path", tmp_path / f"{name}.in.jsonl", "--save_path", tmp_path / f"{name}.jsonl"]
        run(step2_make_requests, *words, "--ratio", "1:0:0:0", "--base_url", url)
        drawn[name] = [(row["section"], row["word"], row["limit"], row["request"]) for row in read_rows(words[3])]
    assert drawn["all"][3:] == drawn["last"]


def test_it_loads_in_datasets_and_in_llama_factorys_table(finished):
    folder = finished / "data"
    rows = list(read_rows(folder / "webr.jsonl"))
    loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(finished / "cache"))
    assert loaded.column_names == ["prompt_id", "messages"] and loaded.to_list() == rows
    entry = json.loads((folder / "dataset_info.json").read_text())["webr"]
    assert (folder / entry["file_name"]).exists() and entry["columns"]["messages"] == "messages"
    assert list(read_rows(folder / "webr.parquet")) == rows
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "27 conversations" in card and "stand-in" in card and "`refine.zh`" in card


def test_bad_rows_stop_the_step_or_are_set_aside(tmp_path, run, url):
    write_rows(tmp_path / "pages.jsonl", [{"webpage": "A page about the sea."}, {"text": "x"}, {"webpage": 5}])
    words = ["--data_path", tmp_path / "pages.jsonl", "--save_path", tmp_path / "a.jsonl", "--base_url", url]
    with pytest.raises(CommonError, match=r"pages.jsonl, row 1: no key 'webpage'"):
        run(step1_infer_author, *words)
    run(step1_infer_author, *words, "--on_bad_row", "skip", "--dedup_pages")
    assert [row["page"] for row in read_rows(tmp_path / "a.jsonl")] == [0]
    with pytest.raises(CommonError, match="no row has a 'page' number"):
        run(step2_make_requests, "--data_path", tmp_path / "pages.jsonl", "--save_path", tmp_path / "b.jsonl")


def test_answers_that_will_not_do_are_asked_again_then_rejected(tmp_path, run):
    write_rows(tmp_path / "in.jsonl", [{"kind": "WR_all", "request": f"question {n}"} for n in range(4)])
    bad = {"question 0": ok("I cannot help with that."), "question 1": ok("  ")}
    bad["question 2"] = (200, completion("Half of", reason="length"), {})

    def reply(body, _number):
        return bad.get(body["messages"][0]["content"], ok('Here is the answer:\n\n"Good."'))

    words = ["--data_path", tmp_path / "in.jsonl", "--save_path", tmp_path / "out.jsonl"]
    with scripted_server(reply) as server:
        run(step3_make_responses, *words, "--base_url", server.url, "--max_attempts", 2)
        assert len(server.bodies) == 7
        assert [entry["reason"].split(" (")[0] for entry in rejected(tmp_path / "out.jsonl")] == [
            "refusal",
            "empty answer",
            "cut off at max_tokens",
        ]
        assert [row["response"] for row in read_rows(tmp_path / "out.jsonl")] == ["Good."]
        run(step3_make_responses, *words, "--base_url", server.url, "--keep_refusals", "--keep_truncated")
        assert len(list(read_rows(tmp_path / "out.jsonl"))) == 3


def test_dry_run_counts_what_would_be_asked(finished, tmp_path, run, capsys):
    words = ["--data_path", finished / "responses.jsonl", "--save_path", tmp_path / "x.jsonl", "--dry_run"]
    with pytest.raises(SystemExit):
        run(step4_refine_responses, *words)
    assert capsys.readouterr().out.startswith("requests        10\n")


# ---------------------------------------------------------------- faults and kills


def test_faults_and_kills_change_no_byte(finished, tmp_path, run_all):
    """30 % protocol faults, and each step killed -9 in the middle and started again."""
    with standin_server(faults=0.3) as faulty:
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
        names = ["step1_infer_author", "step2_make_requests", "step3_make_responses", "step4_refine_responses"]
        paths = [SAMPLE, *(tmp_path / f"{name}.jsonl" for name in STEPS)]
        settings = ["--model", "stand-in", "--temperature", "0.6", "--top_p", "0.9", "--max_tokens", "4096"]
        kills = 0
        for number, name in enumerate(names):
            command = [sys.executable, ROOT / "webr" / f"{name}.py", "--base_url", faulty, *settings]
            command += ["--request_timeout", "1", "--concurrency", "4", "--on_bad_row", "skip"]
            command += ["--dedup_pages"] if number == 0 else []
            command += ["--data_path", paths[number], "--save_path", paths[number + 1]]
            for wanted in (1, 3, 6):  # answers in the store when the step is killed
                kills += killed(
                    list(map(str, command)), environment, Path(f"{paths[number + 1]}.answers.sqlite"), wanted
                )
            done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        assert kills >= 10
    refined = paths[4]
    command = [sys.executable, ROOT / "webr" / "step5_postprocess.py", "--save_name", tmp_path / "data" / "webr"]
    command += ["--WI_data_paths", refined, "--WR_data_paths", refined]
    subprocess.run(list(map(str, command)), env=environment, check=True, capture_output=True)
    assert texts_of(tmp_path) == texts_of(finished)


def killed(command: list[str], environment: dict, store: Path, answers: int) -> bool:
    """Start the command and kill it once so many answers are stored; False if it was done before that."""
    import sqlite3

    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
                (stored,) = connection.execute("SELECT count(*) FROM answers").fetchone()
        except sqlite3.Error:
            continue
        if stored >= answers:
            break
    process.kill()
    return process.wait() == -signal.SIGKILL


def test_the_method_runs_alone_with_common(tmp_path, url):
    for folder in ("webr", "common"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "webr/step1_infer_author.py", "--data_path", "webr/sample/pages.jsonl"]
    command += ["--save_path", "authors.jsonl", "--base_url", url]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_whole_run_as_released(tmp_path, url, run_all):
    """Shares rounded down with the remainder to the last kind, pages whole that have no blank line, no guards."""
    rows = run_all(tmp_path, url, "--paper_exact", first=(), last=("--paper_exact",))
    made = list(read_rows(tmp_path / "refined.jsonl"))
    assert [Counter(row["kind"] for row in made)[kind] for kind in KINDS] == [10, 10, 5, 10]
    assert all(row["section"] == row["webpage"] for row in made if "\n\n" not in row["webpage"])
    reasons = Counter(entry["reason"] for entry in rejected(tmp_path / "data" / "webr.jsonl"))
    assert set(reasons) <= {"refusal", "near-duplicate request", "page is used already"}
    assert len(rows) + sum(reasons.values()) == len(made)
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "the page has no text" in report and "<script>" not in report and len(report) < 2_000_000


# ---------------------------------------------------------------- several files, files beside, folders that moved


def test_pages_of_several_files_are_numbered_and_shared_out_together(tmp_path, run, url):
    for name in "ab":
        rows = [{"webpage": f"Page {name} {n} about the river and the bridge.", "page": n} for n in range(12)]
        authors = [row | {"lang": "en", "author": "A teacher."} for row in rows if name == "b" or row["page"] != 3]
        write_rows(tmp_path / f"authors_{name}.jsonl", authors)
    words = ["--save_path", tmp_path / "requests.jsonl", "--base_url", url, "--any_language", "--any_form"]
    run(step2_make_requests, "--data_path", tmp_path / "authors_*.jsonl", *words)
    rows = list(read_rows(tmp_path / "requests.jsonl"))
    assert [row["page"] for row in rows] == [n for n in range(24) if n != 3]
    assert [row["webpage"].split()[1] for row in rows] == ["a"] * 11 + ["b"] * 12
    assert [[row["kind"] for row in rows].count(kind) for kind in KINDS] == [8, 7, 4, 4]


def test_the_report_finds_the_rejected_rows_of_a_folder_that_was_moved(finished, tmp_path, run):
    folder = shutil.copytree(finished, tmp_path / "moved")
    shutil.move(finished, tmp_path / "gone")
    try:
        words = ["--data_path", folder / "data" / "webr.jsonl", "--save_path", folder / "report.html"]
        run(write_report, *words)
    finally:
        shutil.move(tmp_path / "gone", finished)
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "not needed" in report


def test_a_report_never_takes_the_place_of_a_folder(finished, tmp_path, run):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("years")
    with pytest.raises(CommonError):
        run(write_report, "--data_path", finished / "data" / "webr.jsonl", "--save_path", tmp_path / "work")
    assert (tmp_path / "work" / "thesis.txt").read_text() == "years"


def test_guards_are_in_the_report_and_in_the_summary(finished):
    counts = manifest.read(finished / "requests.jsonl")["counts"]
    assert counts["answers: request is in another language"] >= 3
    report = (finished / "report.html").read_text(encoding="utf-8")
    assert "Guards" in report and "request is in another language" in report
