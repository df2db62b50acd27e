"""Every recorded output of the released code, by the functions and steps that users run (tests/parity.py)."""

import pytest

from tests import parity_eval, parity_web_to_sft
from tests.web_to_sft.test_steps import DATA

CHECKS = parity_web_to_sft.CHECKS | parity_eval.CHECKS
RECORDED = [(name, path) for name in CHECKS for path in sorted(DATA.glob(name))]


@pytest.mark.parametrize(("name", "path"), RECORDED, ids=lambda value: getattr(value, "name", None))
def test_as_released(name, path):
    differing = [difference for equal, difference in CHECKS[name](path) if not equal]
    assert not differing, differing[0]


def test_every_recording_is_checked():
    companions = [path for name in parity_web_to_sft.COMPANIONS for path in DATA.glob(name)]
    assert {path for _, path in RECORDED} | set(companions) == set(DATA.iterdir())
