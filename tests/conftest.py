"""What the methods' tests share: steps run in this process as a user runs them, against the stand-in."""

import sys

import pytest

from common.llm import client
from common.llm.standin import standin_server


@pytest.fixture
def quick_retries(monkeypatch):
    monkeypatch.setattr(client, "FIRST_WAIT", 0.005)
    monkeypatch.setattr(client, "LONGEST_WAIT", 0.02)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture(scope="session")
def url():
    with standin_server() as base_url:
        yield base_url


@pytest.fixture
def run(monkeypatch, quick_retries):
    """run(step, "--flag", value, ...); paths and numbers are turned into words."""

    def run_step(step, *words):
        monkeypatch.setattr(sys, "argv", [f"{step.__name__.split('.')[-1]}.py", *map(str, words)])
        step.main()

    return run_step
