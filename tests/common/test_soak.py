"""A short turn of tests/bench/soak.py, which by hand goes on for a thousand kills."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_killed_at_random_moments_steps_end_with_the_same_bytes():
    command = [sys.executable, ROOT / "tests" / "bench" / "soak.py", "--kills", "6", "--kills_a_round", "3"]
    command += ["--steps", "eval.generate", "webr.step1", "--delay", "0.01"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("3 kills") == 2 and "6 kills: the same bytes each time" in done.stdout
