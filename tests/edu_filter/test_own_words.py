"""What this folder says is in its own words, and what it imports is little."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNS = set((ROOT / "tests" / "data" / "edu_filter" / "released_runs.txt").read_text().split())
TEXTS = [
    path
    for folder in ("edu_filter", "common/prompts/edu_filter", "tests/edu_filter", "tests/oracles")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".py", ".md", ".txt", ".json", ".jsonl", ".sh")
]
STEPS = sorted(path.stem for path in (ROOT / "edu_filter").glob("step*.py"))


def runs_of_eight(text: str) -> set[str]:
    words = re.findall(r"\w+", text.casefold())
    runs = (" ".join(words[at : at + 8]) for at in range(len(words) - 7))
    return {hashlib.sha256(run.encode()).hexdigest()[:10] for run in runs}


def test_no_eight_words_in_a_row_are_those_of_the_released_prompts():
    assert len(RUNS) > 500 and len(TEXTS) > 40
    for path in TEXTS:
        assert not runs_of_eight(path.read_text(encoding="utf-8")) & RUNS, path


@pytest.mark.parametrize("module", [*STEPS, "check_rater", "write_report"])
def test_a_step_is_there_without_torch(module):
    code = f"import sys, edu_filter.{module}; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr or "torch was imported"
