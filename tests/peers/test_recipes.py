"""The chained recipes, end to end on the bundled samples with the stand-in and a tiny model; killed, they go on."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.llm.standin import standin_server
from common.rows import read_rows

pytestmark = pytest.mark.peers
ROOT = Path(__file__).resolve().parents[2]
SMALL = {"NUM_GPUS": "0", "MODEL": "stand-in"}
TRAIN = "--max_steps 2 --per_device_train_batch_size 2 --total_batch_size 2 --no_gradient_checkpointing"
CRAWL = {"DATA": "webr/sample/pages.jsonl", "KEEP": "--keep_share 0.5"}
CRAWL["HEAD_FLAGS"] = "--test_share 0.3 --pooling mean --train_batch_size 8 --learning_rate 1e-3"
DOCUMENTS = {"DATA": "augcon/sample/articles.jsonl", "RANK_BY": "judge"}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    command = [sys.executable, "common/training/small_model.py", "--data_path", CRAWL["DATA"], DOCUMENTS["DATA"]]
    command += ["--hidden", "32", "--layers", "1", "--max_length", "2048", "--save_path", folder / "small"]
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True, capture_output=True)
    command = [sys.executable, "common/training/real_model.py", "minilm", "--save_path", str(folder / "minilm")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return {"BASE": str(folder / "small"), "SCORER": str(folder / "small"), "ENCODER": str(folder / "minilm")}


def start(recipe: str, url: str, out: Path, variables: dict) -> subprocess.Popen:
    env = os.environ | SMALL | variables | {"OUT": str(out), "OPENAI_BASE_URL": url, "TRAIN_FLAGS": TRAIN}
    env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with open(f"{out}.log", "ab") as log:
        return subprocess.Popen(
            ["bash", f"recipes/{recipe}.sh"], cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True
        )


@pytest.mark.parametrize(
    ("recipe", "variables", "selected"),
    [
        ("documents_to_sft", DOCUMENTS, "2_superfiltering/selected.jsonl"),
        ("crawl_to_sft", CRAWL, "3_superfiltering/selected.jsonl"),
    ],
)
def test_a_killed_recipe_goes_on_to_the_same_end(tmp_path, models, recipe, variables, selected):
    with standin_server() as url:
        started = time.monotonic()
        assert start(recipe, url, tmp_path / "whole", variables | models).wait(timeout=600) == 0
        seconds = time.monotonic() - started
        for share in (0.15, 0.4, 0.65, 0.9):
            process = start(recipe, url, tmp_path / "killed", variables | models)
            try:
                process.wait(timeout=seconds * share)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        assert start(recipe, url, tmp_path / "killed", variables | models).wait(timeout=600) == 0
    expected = (tmp_path / "whole" / selected).read_bytes()
    assert (tmp_path / "killed" / selected).read_bytes() == expected
    assert len(list(read_rows(tmp_path / "whole" / selected))) >= 4
    trained = next((tmp_path / "killed").glob("*_model"))
    assert (trained / "model.safetensors").exists()
    shutil.rmtree(tmp_path)  # models
