"""The papers' benchmarks without lm_eval: what is chosen, refused, counted and said; the launcher from start to end."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from common.errors import BadInput
from common.llm.standin import standin_server
from common.rows import read_rows, write_rows
from eval import benchmarks
from eval.benchmark_tasks import OWN_ROWS, SOURCES, SUITES, TASKS, limited
from eval.store_model import cut_at_stops, plan_of, request_row
from tests.in_process import run_program

ROOT = Path(__file__).parents[2]
LAUNCHER = ROOT / "eval" / "benchmarks.sh"
OWN = ",".join(OWN_ROWS)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three rows of each benchmark whose data no hub has, in the official columns."""
    folder = tmp_path_factory.mktemp("data")
    instructions = [f"Name {n} rivers of Europe." for n in range(3)]
    rows = {
        "mt_bench/question": [
            {"question_id": 80 + n, "category": "math", "turns": [f"{n}?", "Why?"]} for n in range(3)
        ],
        "mt_bench/reference_answer": [{"question_id": 81, "choices": [{"turns": ["One.", "Because."]}]}],
        "arena_hard/question": [{"question_id": f"q{n}", "turns": [{"content": f"Explain {n}."}]} for n in range(3)],
        "arena_hard/baseline": [
            {"question_id": f"q{n}", "choices": [{"turns": [{"content": "A number."}]}]} for n in range(3)
        ],
        "alpaca_eval/questions": [{"instruction": text} for text in instructions],
        "alpaca_eval/baseline": [{"instruction": text, "output": "The Rhine."} for text in instructions],
    }
    for name, some in rows.items():
        (folder / name).parent.mkdir(exist_ok=True)
        write_rows(folder / f"{name}.jsonl", some)
    return folder


def launch(*words, **variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "JUDGE_", "DRY_RUN"))}
    kept |= {"PATH": f"{Path(sys.executable).parent}:{kept['PATH']}", "PYTHONPATH": str(ROOT)} | variables
    return subprocess.run(["bash", LAUNCHER, *map(str, words)], cwd=ROOT, env=kept, capture_output=True, text=True)


# ---------------------------------------------------------------- the launcher


def test_likelihood_comes_first_then_one_server_then_the_judge(data):
    tasks = f"arc_easy,ifeval,{OWN}"
    shown = launch("--model", "DIR", "--tasks", tasks, "--data", data, DRY_RUN="1", JUDGE_MODEL="judge", ALLOW_CODE="1")
    assert shown.returncode == 0, shown.stderr
    order = re.findall(r"benchmarks\.py (?:likelihood|generation)|vllm serve|\w+\.py (?:judge|score)", shown.stdout)
    judged = ["mt_bench.py judge", "arena_hard.py judge", "arena_hard.py score", "arena_hard.py score"]
    judged += ["alpaca_eval.py judge", "alpaca_eval.py score"]
    first = ["benchmarks.py likelihood", "vllm serve", "benchmarks.py generation", "humaneval.py score"]
    assert order == [*first, *judged]


def test_what_a_server_cannot_give_and_what_is_missing_is_refused_before_anything_starts(data):
    url = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    refused = launch("--model", "m", "--tasks", "arc_easy,mt_bench", "--data", data, **url)
    assert refused.returncode == 1 and "arc_easy need the probabilities" in refused.stderr and not refused.stdout
    missing = launch("--model", "m", "--tasks", "arena_hard", "--data", data / "mt_bench", **url)
    assert missing.returncode == 1 and "arena_hard/question.jsonl: is missing" in missing.stderr
    assert "lmarena/arena-hard-auto" in missing.stderr and "500 rows" in missing.stderr
    assert launch("--task", "x").returncode == 2


def test_what_is_counted_is_what_is_asked_and_the_first_rows_are_said(data, tmp_path):
    words = ["--model", "stand-in", "--data", data, "--limit", "2", "--save_path", tmp_path]
    prices = ["--", "--price_in", "10", "--price_out", "30"]
    counted = launch(*words, "--tasks", "mt_bench,alpaca_eval", "--dry_run", *prices)
    assert counted.returncode == 0, counted.stderr
    blocks = re.findall(r"== (\w+): the (\w+)\nrequests +(\d+)[^=]*?cost +at most ([\d.]+)", counted.stdout)
    requests = {"mt_bench": 4, "alpaca_eval": 2}
    assert {block[:3] for block in blocks} == {
        (task, who, str(count)) for task, count in requests.items() for who in ("model", "judge")
    }
    log = tmp_path / "log"
    with standin_server(log_path=log) as url:
        judge = {"OPENAI_BASE_URL": url, "JUDGE_BASE_URL": url}
        failed = launch(*words, "--tasks", "alpaca_eval", JUDGE_MODEL="no-such-model", **judge)
        assert failed.returncode != 0 and not (tmp_path / "alpaca_eval.json").exists()
        log.write_text("", encoding="utf-8")
        done = launch(*words, "--tasks", "alpaca_eval", JUDGE_MODEL="stand-in", **judge)
    assert done.returncode == 0, done.stderr
    assert len(log.read_text(encoding="utf-8").splitlines()) == 2  # the model's answers were there
    assert "first 2 of 805 rows" in done.stdout and "length-controlled: not computed" in done.stdout
    result = json.loads((tmp_path / "alpaca_eval.json").read_text(encoding="utf-8"))
    assert result["rows"] == 2 and result["settings"]["judge"] == "stand-in"


# ---------------------------------------------------------------- tasks and data


def test_suites_name_tasks_and_every_file_of_no_hub_has_a_source():
    assert {name for suite in SUITES.values() for name in suite} <= set(TASKS)
    assert {place.split("/")[0] for place in SOURCES} | {"humaneval"} == set(OWN_ROWS)
    with pytest.raises(BadInput, match="no mmlu_pro; there are ifeval"):
        benchmarks.chosen_tasks(SimpleNamespace(tasks="ifeval,mmlu_pro", suite=None))


def test_a_part_of_the_rows_is_never_silent():
    assert limited("mt_bench", 80) == "" and limited("alpaca_eval", 12) == "first 12 of 805 rows"


def test_questions_are_the_first_of_the_file_or_of_the_package(data, tmp_path):
    words = ["--tasks", "humaneval,arena_hard", "--data", data, "--limit", 2, "--save_path", tmp_path]
    said = run_program(benchmarks, "questions", *words)
    assert "humaneval: first 2 of 164 rows" in said and "arena_hard: first 2 of 500 rows" in said
    assert [row["question_id"] for row in read_rows(tmp_path / "arena_hard.questions.jsonl")] == ["q0", "q1"]
    assert len(list(read_rows(tmp_path / "humaneval.questions.jsonl"))) == 2


def test_fetch_brings_what_a_hub_has_and_names_the_rest(tmp_path, monkeypatch, capsys):
    import huggingface_hub

    write_rows(tmp_path / "hub.json", [{"instruction": "Hi", "output": "Hello"}])
    (tmp_path / "df_gamed.csv").write_text("preference\n", encoding="utf-8")

    def download(repository, name, repo_type):
        assert (repository, repo_type) == ("tatsu-lab/alpaca_eval", "dataset")
        return str(tmp_path / (name if name.endswith(".csv") else "hub.json"))

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(
        sys, "argv", ["benchmarks.py", "fetch", "--tasks", "alpaca_eval,mt_bench", "--data", str(tmp_path)]
    )
    benchmarks.main()
    assert list(read_rows(tmp_path / "alpaca_eval" / "baseline.jsonl")) == [{"instruction": "Hi", "output": "Hello"}]
    assert (tmp_path / "alpaca_eval" / "df_gamed.csv").read_bytes() == b"preference\n"
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and all("mt_bench/" in line and "FastChat" in line for line in said[:1])


class Manager:
    """Of lm_eval's, what is used here: a group of a task and a tag of two."""

    def __init__(self):
        self.task_index = {"many": self._entry("GROUP", cfg={"task": ["tagged", {"task": "one"}]})}
        self.task_index |= {"tagged": self._entry("TAG"), "one": self._entry("TASK", tags=set())}
        self.task_index |= {name: self._entry("TASK", tags={"tagged"}) for name in ("two", "three")}

    def _entry(self, kind, cfg=None, tags=frozenset()):
        return SimpleNamespace(kind=SimpleNamespace(name=kind), cfg=cfg, tags=tags, yaml_path="/somewhere/task.yaml")


def test_a_groups_single_tasks_are_found_and_get_our_settings_and_rows(tmp_path):
    assert benchmarks.leaves(Manager(), "many") == ["two", "three", "one"]
    with pytest.raises(BadInput, match="knows no task four"):
        benchmarks.leaves(Manager(), "four")
    (tmp_path / "data" / "one").mkdir(parents=True)
    write_rows(tmp_path / "data" / "one" / "test.jsonl", [{"question": "?"}])
    settings = {"shots": 4, "max_tokens": 512}
    path = benchmarks.task_file(Manager(), "one", tmp_path / "data", settings, tmp_path)
    task = json.loads(Path(path).read_text(encoding="utf-8"))
    assert (task["include"], task["num_fewshot"], task["tag"]) == ("/somewhere/task.yaml", 4, [])
    assert task["generation_kwargs"] == {"max_gen_toks": 512} and task["dataset_path"] == "json"
    assert task["dataset_kwargs"]["data_files"]["test"].endswith("data/one/test.jsonl")
    with pytest.raises(BadInput, match=r"data/two: no SPLIT\.jsonl there; .*fetch"):
        benchmarks.task_file(Manager(), "two", tmp_path / "data", settings, tmp_path)


def test_the_accuracy_is_the_mean_over_rows_of_all_parts_and_figures():
    results = {"a": {"x": 1.0, "y": 0.0}, "b": {"x": 0.0, "y": 0.0}}
    samples = {"a": [{"doc_id": 0}, {"doc_id": 0}, {"doc_id": 1}], "b": [{"doc_id": 0}, {"doc_id": 1}]}
    assert benchmarks.accuracy(results, samples, ["x", "y"]) == (0.25, 4)


# ---------------------------------------------------------------- requests of lm_eval


def test_requests_are_messages_or_a_prompt_without_empty_stops():
    chat = json.dumps([{"role": "user", "content": "Hi"}])
    row = request_row(3, chat, {"until": ["", "a", "b", "c", "d", "e"], "max_gen_toks": 7})
    assert row["messages"] == [{"role": "user", "content": "Hi"}] and row["prompt"] is None
    assert row["stop"] == ["a", "b", "c", "d"] and (row["temperature"], row["max_tokens"]) == (0.0, 7)
    plain = request_row(0, "[not messages", {"until": [], "temperature": 0.5})
    assert (plain["prompt"], plain["messages"], plain["stop"]) == ("[not messages", None, None)
    assert plan_of([row, plain]) == {"requests": 2, "tokens in": 3, "tokens out": 7 + 256}


def test_an_answer_ends_at_the_stops_that_the_server_does_not_know():
    assert cut_at_stops("The answer\n\nQ: next", ["\n\n", "Q:"]) == "The answer"
    assert cut_at_stops("nothing to cut", []) == "nothing to cut"
