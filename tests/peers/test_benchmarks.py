"""Benchmarks that lm_eval computes, with lm_eval itself (extra `eval`), on rows of ours in the official columns.

Likelihoods equal ten lines of our own; generation through our client equals lm_eval's own client on the same server,
whatever fails and whenever it is killed; IFEval's missing word lists are missed before anything is paid for.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from common.errors import CommonError
from common.llm.standin import standin_server
from common.rows import read_rows, write_rows
from common.training import small_model
from eval import benchmarks
from eval.benchmark_tasks import TASKS
from tests.in_process import run_program

pytestmark = pytest.mark.peers

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data" / "eval" / "benchmarks"
FAULTS = {"faults": 0.3, "hang_seconds": 0.2, "retry_after": 0.01, "fault_seed": 1}
WORD_LISTS = ("abbrev_types.txt", "collocations.tab", "sent_starters.txt", "ortho_context.tab")


@pytest.fixture(autouse=True, scope="module")
def own_folders(tmp_path_factory):
    """Nothing is fetched, nothing is left in the user's caches, and nltk knows sentences a little."""
    from _pytest.monkeypatch import MonkeyPatch

    patch, home = MonkeyPatch(), tmp_path_factory.mktemp("home")
    english = home / "nltk" / "tokenizers" / "punkt_tab" / "english"
    english.mkdir(parents=True)
    for name in WORD_LISTS:
        (english / name).write_text("", encoding="utf-8")
    offline = {"HF_HOME": home, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "NLTK_DATA": home / "nltk"}
    for name, value in offline.items():
        patch.setenv(name, str(value))
    import nltk

    patch.setattr(nltk.data, "path", [str(home / "nltk")])
    patch.setattr(nltk, "download", lambda *unused, **more: True)  # lm_eval's, at import
    import datasets
    import lm_eval.tasks.ifeval.instructions  # noqa: F401

    patch.setattr(datasets.config, "HF_DATASETS_CACHE", home / "datasets")
    yield
    patch.undo()


def result_of(folder: Path, task: str) -> dict:
    return json.loads((folder / f"{task}.json").read_text(encoding="utf-8"))


# ---------------------------------------------------------------- likelihood


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    files = sorted(DATA.glob("*/*.jsonl"))
    run_program(small_model, "--data_path", *files, "--save_path", folder, "--hidden", 32, "--layers", 1)
    return folder


def test_likelihoods_are_those_of_ten_lines_of_our_own(model, tmp_path):
    words = ["--model_name_or_path", model, "--data", DATA, "--save_path", tmp_path, "--dtype", "float32"]
    run_program(benchmarks, "likelihood", "--tasks", "arc_challenge", *words)
    tokenizer, network = AutoTokenizer.from_pretrained(model), AutoModelForCausalLM.from_pretrained(model).eval()

    def likelihood(question: str, answer: str) -> float:
        before, after = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (question, answer))
        with torch.inference_mode():
            logs = network(torch.tensor([before + after])).logits[0].log_softmax(-1)
        return sum(logs[len(before) + place - 1, token].item() for place, token in enumerate(after))

    right = 0
    samples = list(read_rows(tmp_path / "arc_challenge.samples.jsonl"))
    for sample in samples:
        doc, choices = sample["doc"], sample["doc"]["choices"]["text"]
        ours = [likelihood(f"Question: {doc['question']}\nAnswer:", f" {choice}") for choice in choices]
        assert [found[0] for found in sample["filtered_resps"]] == pytest.approx(ours, abs=1e-3)
        by_length = [number / len(choice) for number, choice in zip(ours, choices, strict=True)]
        right += by_length.index(max(by_length)) == "ABCD".index(doc["answerKey"])
    found = result_of(tmp_path, "arc_challenge")
    assert (found["accuracy"], found["rows"]) == (right / len(samples), len(samples)) and len(samples) == 6


def test_what_is_computed_is_not_computed_again_and_the_first_rows_are_said(model, tmp_path):
    words = ["--model_name_or_path", model, "--data", DATA, "--save_path", tmp_path, "--dtype", "float32"]
    said = run_program(benchmarks, "likelihood", "--tasks", "winogrande,hellaswag", *words, "--limit", 1)
    assert said.count("first 1 rows of each task") == 2
    assert result_of(tmp_path, "winogrande")["note"].startswith("first 1 rows")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    assert run_program(benchmarks, "likelihood", "--tasks", "winogrande,hellaswag", *words, "--limit", 1) == ""
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")} == before
    assert "of 2 rows" in run_program(benchmarks, "likelihood", "--tasks", "winogrande", *words)


# ---------------------------------------------------------------- generation


def generation(folder: Path, url: str, *more: str) -> list[object]:
    words = ["generation", "--tasks", "ifeval,gsm8k", "--data", DATA, "--save_path", folder, "--model", "stand-in"]
    return [*words, "--base_url", url, "--concurrency", 4, *more]


def lines_of(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8").split("\n")[:-1] if log.exists() else []


def test_faults_and_kills_change_nothing_and_a_second_run_asks_for_nothing(tmp_path):
    calm, wild, log = tmp_path / "calm", tmp_path / "wild", tmp_path / "log"
    with standin_server(**FAULTS, log_path=log, delay=0.05) as url:
        for enough in (1, 5, 9):
            command = [sys.executable, "eval/benchmarks.py", *map(str, generation(wild, url))]
            with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                while process.poll() is None and sum(line.endswith(" 200") for line in lines_of(log)) < enough:
                    time.sleep(0.005)
                process.kill()
        run_program(benchmarks, *generation(wild, url))
        good = [line for line in lines_of(log) if line.endswith(" 200")]
        assert len(good) <= 12 + 3 * 4  # what was in flight at a kill may be asked again, what was stored not
        for name in ("ifeval", "gsm8k"):
            (wild / f"{name}.json").unlink()
        asked = len(lines_of(log))
        run_program(benchmarks, *generation(wild, url))
        assert len(lines_of(log)) == asked
    with standin_server() as url:
        run_program(benchmarks, *generation(calm, url))
    for name in ("ifeval", "gsm8k"):
        assert (wild / f"{name}.samples.jsonl").read_bytes() == (calm / f"{name}.samples.jsonl").read_bytes()
        assert result_of(wild, name) == result_of(calm, name)


def test_scores_are_those_of_lm_evals_own_client(tmp_path):
    import lm_eval
    from lm_eval.tasks import TaskManager

    with standin_server() as url:
        run_program(benchmarks, *generation(tmp_path, url))
        theirs = lm_eval.simple_evaluate(
            model="local-chat-completions",
            model_args={"model": "stand-in", "base_url": f"{url}/chat/completions", "tokenizer_backend": None},
            tasks=[str(path) for path in sorted((tmp_path / "tasks").rglob("*.yaml"))],
            task_manager=TaskManager(), apply_chat_template=True, bootstrap_iters=0, log_samples=True,
        )  # fmt: skip
    for name in ("ifeval", "gsm8k"):
        samples = theirs["samples"][TASKS[name]["task"]]
        ours = list(read_rows(tmp_path / f"{name}.samples.jsonl"))
        assert [sample["filtered_resps"] for sample in samples] == [row["filtered_resps"] for row in ours]
        accuracy, rows = benchmarks.accuracy(theirs["results"], {TASKS[name]["task"]: samples}, TASKS[name]["metric"])
        assert (accuracy, rows) == (result_of(tmp_path, name)["accuracy"], result_of(tmp_path, name)["rows"])
    assert 0 < result_of(tmp_path, "ifeval")["accuracy"] < 1  # the eight rows tell good from bad


def test_a_dry_run_counts_and_asks_nothing(tmp_path):
    words = generation(tmp_path, "http://127.0.0.1:9/v1", "--dry_run", "--price_in", "10", "--price_out", "30")
    said = run_program(benchmarks, *words)
    assert re.search(r"^ifeval: 8 requests, .* answer tokens at most 10,240, cost at most 0\.31$", said, re.M), said
    assert re.search(r"^all: 12 requests", said, re.M) and not list(tmp_path.glob("*.json"))


def test_without_its_word_lists_ifeval_asks_nothing(tmp_path, monkeypatch):
    import nltk

    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    log = tmp_path / "log"
    with standin_server(log_path=log) as url, pytest.raises(CommonError, match="punkt_tab"):
        run_program(benchmarks, *generation(tmp_path / "out", url))
    assert lines_of(log) == []


# ---------------------------------------------------------------- names and data


def test_fetch_writes_each_split_of_the_official_data_set(tmp_path, monkeypatch):
    import datasets

    asked = []

    def load(path, name=None, **unused):
        asked.append((path, name))
        rows = list(read_rows(DATA / "ifeval" / "train.jsonl"))
        return datasets.DatasetDict(train=datasets.Dataset.from_list(rows), test=datasets.Dataset.from_list(rows[:2]))

    monkeypatch.setattr(datasets, "load_dataset", load)
    run_program(benchmarks, "fetch", "--tasks", "ifeval", "--data", tmp_path)
    assert asked == [("google/IFEval", None)]
    assert len(list(read_rows(tmp_path / "ifeval" / "train.jsonl"))) == 8
    assert [row["key"] for row in read_rows(tmp_path / "ifeval" / "test.jsonl")] == [1, 2]


def test_other_rows_are_another_figure(model, tmp_path):
    data = tmp_path / "data" / "winogrande"
    data.mkdir(parents=True)
    rows = list(read_rows(DATA / "winogrande" / "validation.jsonl"))
    words = [
        "--model_name_or_path",
        model,
        "--data",
        data.parent,
        "--save_path",
        tmp_path / "out",
        "--dtype",
        "float32",
    ]
    for count in (1, 2):
        for split in ("train", "validation"):
            write_rows(data / f"{split}.jsonl", rows[:count])
        said = run_program(benchmarks, "likelihood", "--tasks", "winogrande", *words)
        assert f"of {count} rows" in said


def test_every_task_that_is_named_is_one_of_lm_evals():
    from lm_eval.tasks import TaskManager

    known = TaskManager().task_index
    assert not [name for name, task in TASKS.items() if task["by"] != "own" and task["task"] not in known]
