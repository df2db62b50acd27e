"""Tiny encoders, and the steps run in this process as a user runs them, against the stand-in."""

import sys
from pathlib import Path

import pytest
from hypothesis import settings

import edu_filter
from common.llm import client
from common.llm.standin import standin_server
from common.rows import read_rows

settings.register_profile("edu_filter", deadline=None)  # many run at once on few cores
settings.load_profile("edu_filter")
SAMPLE = Path(edu_filter.__file__).parent / "sample"


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    monkeypatch.setattr(client, "FIRST_WAIT", 0.005)
    monkeypatch.setattr(client, "LONGEST_WAIT", 0.02)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture(scope="session")
def url():
    with standin_server() as base_url:
        yield base_url


@pytest.fixture(scope="session")
def documents() -> list[str]:
    return [row["texto"] for row in read_rows(SAMPLE / "documents.jsonl")]


@pytest.fixture(scope="session")
def encoders(tmp_path_factory, documents) -> dict[str, Path]:
    """One of each shape."""
    from tests.edu_filter.tiny_models import SHAPES, make_encoder

    folder = tmp_path_factory.mktemp("encoders")
    return {shape: make_encoder(folder / shape, shape, documents) for shape in SHAPES}


@pytest.fixture(scope="session")
def model(tmp_path_factory, encoders) -> Path:
    """A BERT with a drawn head, as step 2 saves it."""
    from edu_filter.model import new_scorer, save_scorer

    folder = tmp_path_factory.mktemp("model") / "model"
    scorer = new_scorer(str(encoders["bert"]), "pooler", "first", seed=3)
    scorer.head.out.bias.data.fill_(2.4)
    scorer.head.out.weight.data.mul_(6)
    save_scorer(scorer, folder)
    return folder


@pytest.fixture
def run(monkeypatch):
    """run(step, "--flag", value, ...); paths and numbers are turned into words."""

    def run_step(step, *words):
        monkeypatch.setattr(sys, "argv", [f"{step.__name__.split('.')[-1]}.py", *map(str, words)])
        step.main()

    return run_step
