import os

import pytest

from common import model_identity as module
from common.model_identity import model_identity


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "weights.safetensors").write_bytes(os.urandom(module.PIECE * 40))
    return folder


def test_a_name_is_its_own_identity_and_a_copy_has_that_of_the_original(model, tmp_path):
    assert model_identity("org/model") == "org/model"
    before = model_identity(str(model))
    assert before.startswith("model ") and model_identity(f"{model}/") == before
    assert model_identity(str(model.rename(tmp_path / "other"))).split()[1] == before.split()[1]


@pytest.mark.parametrize("pieces", [4, 1024])  # weights read in pieces, or whole
def test_weights_trained_anew_are_another_model(model, monkeypatch, pieces):
    monkeypatch.setattr(module, "PIECES", pieces)
    weights = model / "weights.safetensors"
    seen = {model_identity(str(model))}
    content = bytearray(weights.read_bytes())
    for place in (0, len(content) - 1, len(content) // 3 if pieces == 1024 else 1):
        content[place] ^= 1
        weights.write_bytes(content)
        seen.add(model_identity(str(model)))
    weights.write_bytes(content + b"0")
    seen.add(model_identity(str(model)))
    weights.rename(model / "other.safetensors")
    seen.add(model_identity(str(model)))
    assert len(seen) == 6
