"""The real command under DeepSpeed's launcher: two processes on CPU, ZeRO-2 and ZeRO-3 (needs the extra `train`)."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.rows import write_rows

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.peers


def finetune(place, name, zero, *more):
    command = [Path(sys.executable).parent / "deepspeed", "--num_gpus", 2, "common/training/finetune.py"]
    command += ["--deepspeed", zero, "--data_path", place / "rows.jsonl", "--model_name_or_path", place / "start"]
    command += ["--output_dir", place / name, "--max_steps", 8, "--save_steps", 4, "--logging_steps", 1]
    command += ["--per_device_train_batch_size", 4, "--learning_rate", 3e-3, *more]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run([*map(str, command)], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    facts = json.loads((place / f"{name}.manifest.json").read_text(encoding="utf-8"))
    return dict(facts["loss"]), facts["plan"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deepspeed")
    rows = [{"instruction": f"{a}+{b}=?", "output": str(a + b)} for a in range(10) for b in range(8)]
    write_rows(folder / "rows.jsonl", rows)
    command = [sys.executable, "-m", "common.training.small_model", "--data_path", folder / "rows.jsonl"]
    command += ["--save_path", folder / "start", "--hidden", 32, "--layers", 1, "--max_length", 64]
    subprocess.run([*map(str, command)], cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("zero", ["zero2", "zero3"])
def test_loss_falls_and_a_killed_run_goes_on_to_the_same_loss(place, zero):
    curve, plan = finetune(place, f"{zero}_whole", zero)
    assert plan["processes"] == 2 and plan["batch_size"] == 8
    assert curve[8] < curve[1] - 0.2
    (place / f"{zero}_killed").mkdir()
    shutil.copy(place / f"{zero}_whole" / "settings.json", place / f"{zero}_killed")
    shutil.copytree(place / f"{zero}_whole" / "checkpoint-4", place / f"{zero}_killed" / "checkpoint-4")
    again, _ = finetune(place, f"{zero}_killed", zero)
    assert again == pytest.approx(curve, abs=1e-4)


def test_both_stages_train_alike(place):
    curves = [finetune(place, f"{zero}_alike", zero)[0] for zero in ("zero2", "zero3")]
    assert curves[0] == pytest.approx(curves[1], abs=1e-3)
