"""Recorded outputs of the released code, a few rows of each kind."""

from pathlib import Path

import pytest

from tests.parity_edu_filter import CHECKS

DATA = Path(__file__).parents[1] / "data" / "edu_filter"


@pytest.mark.parametrize("file", sorted(DATA.glob("edu_filter/*.jsonl")), ids=lambda file: file.name)
def test_the_released_outputs_come_out(file):
    checks = [check for name, check in CHECKS.items() if file.match(name)]
    assert checks or file.name == "train_rows.jsonl"
    for check in checks:
        found = list(check(file))
        assert found
        assert all(equal for equal, _ in found), next(what for equal, what in found if not equal)
