"""The runs behind a file, found through the manifests that they left."""

import shutil
from collections import Counter

import pytest

from common.history import runs_behind
from common.rows import write_rows
from common.step import Step
from webr.history import kept_refusals, pages_behind, result_of


def run(inputs, output, reject=False, **facts):
    with Step(inputs, output, settings=facts.pop("settings", {})) as step:
        for index, row in step.rows():
            step.reject(index, "why", row) if reject and index == 0 else step.write(row)
        step.counts["answers: too long"] += 3
        step.counts["answers: in another language"] += 2
        step.facts |= facts


@pytest.fixture
def steps(tmp_path):
    """Two inputs, a first step on each, a second on both results, a third on that."""
    for name, rows in (("a", 4), ("b", 3)):
        write_rows(tmp_path / f"{name}.jsonl", [{"n": n} for n in range(rows)])
    cheap, dear = ({"model": "m", "cost_of_this_run": cost} for cost in (0.25, None))
    run([tmp_path / "a.jsonl"], tmp_path / "1a.jsonl", reject=True, llm=cheap)
    run([tmp_path / "b.jsonl"], tmp_path / "1b.jsonl", llm=dear, settings={"keep_refusals": True})
    run([tmp_path / "1?.jsonl"], tmp_path / "2.jsonl", llm=cheap)
    run([tmp_path / "2.jsonl"], tmp_path / "3.jsonl")
    return tmp_path


def names(runs):
    return [run.path.rpartition("/")[2] for run in runs]


def test_runs_come_after_those_that_made_their_inputs_each_once(steps):
    assert names(runs_behind([steps / "3.jsonl", steps / "1a.jsonl"])) == ["1a.jsonl", "1b.jsonl", "2.jsonl", "3.jsonl"]
    assert names(runs_behind([steps / "1b.jsonl"])) == ["1b.jsonl"] and runs_behind([steps / "a.jsonl"]) == []
    first = runs_behind([steps / "3.jsonl"])[0]
    assert first.counts["in"] == 4 and first.guards == {"too long": 3, "in another language": 2}


def test_rejected_rows_are_where_the_run_left_them_or_beside_the_output_now(steps):
    left, none = (runs_behind([steps / f"{name}.jsonl"])[0].rejected for name in ("1a", "1b"))
    assert left == str(steps / "1a.jsonl.rejected.jsonl") and none is None
    moved = steps / "moved"
    moved.mkdir()
    for path in steps.glob("1a.jsonl*"):
        shutil.move(path, moved)
    assert runs_behind([moved / "1a.jsonl"])[0].rejected == str(moved / "1a.jsonl.rejected.jsonl")


def test_pages_refusals_cost_and_models_of_all_runs(steps):
    last = [str(steps / "3.jsonl")]
    assert pages_behind(last, 1) == 7 and pages_behind([str(steps / "1b.jsonl")], 1) == 3
    assert pages_behind([str(steps / "a.jsonl")], 5) == 5
    assert kept_refusals(last) and not kept_refusals([str(steps / "1a.jsonl")])
    found = result_of(last, Counter(WI=3, WR=1))
    assert found == {"rows": 4, "WI_share": 0.75, "cost": 0.5, "settings": {"rows": 4, "model": "m"}}
    assert result_of([str(steps / "1b.jsonl")], Counter(WI=1))["cost"] is None
