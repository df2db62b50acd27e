"""A few rows of what the released functions gave, by the checks of tests/parity.py."""

from pathlib import Path

import pytest

from tests.parity_augcon import CHECKS

ROWS = sorted((Path(__file__).parents[1] / "data" / "augcon").glob("augcon_*.jsonl"))


@pytest.mark.parametrize("path", ROWS, ids=lambda path: path.stem)
def test_rows_of_the_released_functions(path):
    (check,) = (check for name, check in CHECKS.items() if path.match(name))
    results = list(check(path))
    assert results and all(equal for equal, _ in results), [difference for equal, difference in results if not equal][
        :1
    ]
