"""kill -9 at 20 moments (the smaller steps: 8), the same command each time: the same bytes, nothing is paid twice."""

import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from common.rows import read_rows, write_rows
from edu_filter.ratings import MARKS
from tests.common.scripted_server import ok, scripted_server
from tests.edu_filter.conftest import SAMPLE
from tests.forked import kill_when, start

KILLS, FEW_KILLS = 20, 8
DOCUMENTS = SAMPLE / "documents.jsonl"
ROOT = Path(__file__).parents[2]


def contents(folder: Path) -> dict[str, bytes]:
    """Of all files but those that hold times and places, or only a lock."""
    files = (file for file in folder.rglob("*") if file.is_file())
    left_out = ("manifest.json", ".sqlite", ".sqlite-wal", ".sqlite-shm", ".lock")
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if not file.name.endswith(left_out)}


# ---------------------------------------------------------------- steps that ask


def faulty(rng: random.Random) -> tuple | None:
    """An answer of a bad server; None drops the connection."""
    page, cut = (200, "<html>busy</html>", {}), (200, '{"choices": [{"mess', {})
    return rng.choice([(500, "", {}), (429, "", {"Retry-After": "0.01"}), None, page, cut])


def rating(body: dict) -> str:
    prompt = body["messages"][0]["content"]
    mark = next(mark for mark in MARKS.values() if mark in prompt)
    if len(prompt) % 5 == 0 and len(body["messages"]) == 1:
        return "Muy bueno."  # is asked for the number alone
    return f"Bien.\n{mark}: {len(prompt) % 6}"


def labels(body: dict) -> str:
    return "DOMINIO: Salud, Deportes\nCASOS DE USO: Telemedicina"


@pytest.mark.parametrize(
    ("step", "answer", "most"), [("step1_rate", rating, KILLS), ("step5_label", labels, FEW_KILLS)]
)
def test_no_answer_is_paid_twice(tmp_path, step, answer, most):
    """In 30 of 100 requests the server fails too. What a kill costs is the one request that is on its way."""
    rng, lock = random.Random(7), threading.Lock()
    paid: list[list[str]] = [[]]
    process, moment, faults = None, 0, 0.0

    def reply(body: dict, number: int) -> tuple | None:
        if process is not None and number >= moment:
            threading.Timer(rng.random() / 500, process.kill).start()
        if rng.random() < faults:
            return faulty(rng)
        with lock:
            paid[-1].append(json.dumps(body))
        return ok(answer(body))

    with scripted_server(reply) as server:
        words = ["--data_path", DOCUMENTS, "--base_url", server.url, "--concurrency", 1, "--save_path"]
        quick = {"common.llm.client.FIRST_WAIT": 0.002, "common.llm.client.LONGEST_WAIT": 0.01}
        start([f"edu_filter/{step}.py", *words, tmp_path / "whole" / "out.jsonl"], **quick).join()
        whole, faults, kills = paid.pop(), 0.3, 0
        while True:
            paid.append([])
            moment = len(server.bodies) + rng.randrange(2) if kills < most else float("inf")
            process = None
            running = start([f"edu_filter/{step}.py", *words, tmp_path / "killed" / "out.jsonl"], **quick)
            process = running
            running.join()
            if not running.exitcode:
                break
            kills += 1
    assert kills == most and contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert len(whole) == len(set(whole)) and {body for run in paid for body in run} == set(whole)
    for at, run in enumerate(paid):
        assert len(run) == len(set(run))
        later = {body for after in paid[at + 1 :] for body in after}
        assert not later & set(run[:-1]) and len(later & set(run)) <= 1


# ---------------------------------------------------------------- steps that compute


def test_scored_files_are_the_same_and_nothing_else_is_touched(tmp_path, model):
    rows = list(read_rows(DOCUMENTS)) * 2
    for shard in range(21):
        write_rows(tmp_path / "in" / f"{shard:02}.jsonl", rows[shard::21])
    home = tmp_path / "home"
    write_rows(home / "hf" / "datasets" / "other" / "data.jsonl", rows[:1])
    write_rows(home / "hf" / "hub" / "models--other" / "blob.jsonl", rows[:1])
    before = {name: contents(folder) for name, folder in (("home", home), ("in", tmp_path / "in"), ("model", model))}
    words = ["--model_path", model, "--dataset", tmp_path / "in", "--window", 2, "--device", "cpu", "--output_dir"]
    environment = os.environ | {"HOME": str(home), "HF_HOME": str(home / "hf"), "TMPDIR": str(home)}
    environment |= {"XDG_CACHE_HOME": str(home / "cache"), "HF_DATASETS_CACHE": str(home / "hf" / "datasets")}
    command = [sys.executable, ROOT / "edu_filter" / "step3_score_corpus.py", *words, tmp_path / "whole"]
    subprocess.run(list(map(str, command)), check=True, capture_output=True, env=environment, cwd=home)
    assert before == {"home": contents(home), "in": contents(tmp_path / "in"), "model": contents(model)}
    assert {path.name for path in tmp_path.iterdir()} == {"in", "home", "whole"}

    rng, killed = random.Random(3), tmp_path / "killed"
    for kill in range(KILLS):
        process = start(["edu_filter/step3_score_corpus.py", *words, killed])
        kill_when(process, lambda more=kill: len(list(killed.glob("*.done.json"))) > more, rng.random() / 50)
        kept = {file: file.stat().st_mtime_ns for file in killed.glob("*.jsonl") if Path(f"{file}.done.json").exists()}
    start(["edu_filter/step3_score_corpus.py", *words, killed]).join()
    assert contents(killed) == contents(tmp_path / "whole")
    assert kept == {file: file.stat().st_mtime_ns for file in kept}  # finished files stay as they are


def test_a_head_is_the_same_and_no_text_is_encoded_twice(tmp_path, encoders):
    rows = [row | {"rating": place % 6} for place, row in enumerate(read_rows(DOCUMENTS))]
    write_rows(tmp_path / "rated.jsonl", rows)
    words = ["--json_file", tmp_path / "rated.jsonl", "--base_model", encoders["bert"], "--num_train_epochs", 4]
    words += ["--test_share", 0.3, "--device", "cpu", "--cache_dir"]
    small = {"edu_filter.features.PART": 6}
    start(
        ["edu_filter/step2_train_head.py", *words, tmp_path / "vectors", "--checkpoint_dir", tmp_path / "whole"],
        **small,
    ).join()
    rng, vectors = random.Random(5), tmp_path / "vectors2"
    words += [vectors, "--checkpoint_dir", tmp_path / "killed"]
    for kill in range(FEW_KILLS):
        process = start(["edu_filter/step2_train_head.py", *words], **small)
        parts, longest = kill, 0.02 if kill < 5 else 0.3  # of encoding, then of training
        kill_when(process, lambda more=parts: len(list(vectors.glob("*.jsonl"))) > more, rng.random() * longest)
    start(["edu_filter/step2_train_head.py", *words], **small).join()
    whole, killed = contents(tmp_path / "whole"), contents(tmp_path / "killed")
    for folder in (whole, killed):
        metrics = json.loads(folder.pop("metrics.json"))
        assert metrics.pop("features")["encoded"] in (len({row["texto"] for row in rows}), 0)
        folder["metrics"] = metrics
    assert killed == whole
    kept = Counter(row["text"] for file in vectors.glob("*.jsonl") for row in read_rows(file))
    assert set(kept.values()) == {1} and contents(vectors) == contents(tmp_path / "vectors")


def test_kept_rows_are_the_same(tmp_path):
    rng, out = random.Random(9), tmp_path / "kept.jsonl"
    write_rows(tmp_path / "scored.jsonl", [{"row": row, "score": rng.uniform(0, 5)} for row in range(20_000)])
    words = ["--data_path", tmp_path / "scored.jsonl", "--keep_share", 0.5, "--save_path"]
    start(["edu_filter/step4_filter.py", *words, tmp_path / "whole.jsonl"]).join()
    for _ in range(FEW_KILLS):
        kill_when(start(["edu_filter/step4_filter.py", *words, out]), lambda: True, rng.random() / 8)
        assert not out.exists() or out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    start(["edu_filter/step4_filter.py", *words, out]).join()
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not list(tmp_path.glob("kept*.part*"))
    assert len(list(read_rows(out))) == 10_000
