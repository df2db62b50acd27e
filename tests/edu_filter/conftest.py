"""Tiny encoders, and the steps run in this process as a user runs them, against the stand-in."""

from pathlib import Path

import pytest
from hypothesis import settings

import edu_filter
from common.rows import read_rows

settings.register_profile("edu_filter", deadline=None)  # many run at once on few cores
settings.load_profile("edu_filter")
SAMPLE = Path(edu_filter.__file__).parent / "sample"


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
