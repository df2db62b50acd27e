import os

import pytest

from common import model_identity as module
from common.model_identity import model_identity

SIZE = 4096 * 40


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "weights.safetensors").write_bytes(os.urandom(SIZE))
    return folder


def test_a_name_is_its_own_identity_and_a_copy_has_that_of_the_original(model, tmp_path):
    assert model_identity("org/model") == "org/model"
    before = model_identity(str(model))
    assert before.startswith("model ") and model_identity(f"{model}/") == before
    assert model_identity(str(model.rename(tmp_path / "other"))).split()[1] == before.split()[1]


@pytest.mark.parametrize("large", [SIZE, 2**24])  # hashes kept, or each read anew
def test_weights_trained_anew_are_another_model(model, monkeypatch, large):
    monkeypatch.setattr(module, "LARGE", large)
    weights = model / "weights.safetensors"
    seen = {model_identity(str(model))}
    content = bytearray(weights.read_bytes())
    for place in (0, len(content) - 1, len(content) // 3):
        content[place] ^= 1
        weights.write_bytes(content)
        seen.add(model_identity(str(model)))
    weights.write_bytes(content + b"0")
    seen.add(model_identity(str(model)))
    weights.rename(model / "other.safetensors")
    seen.add(model_identity(str(model)))
    assert len(seen) == 6


def test_a_large_file_is_read_once_until_it_changes(model, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "LARGE", SIZE)
    read = []
    monkeypatch.setattr(module, "hash_file", lambda file: (read.append(file.name), "hash")[1])
    for _ in range(3):
        model_identity(str(model))
    assert read.count("weights.safetensors") == 1 and read.count("config.json") == 3
    os.utime(model / "weights.safetensors", ns=(1, 1))
    model_identity(str(model))
    assert read.count("weights.safetensors") == 2


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}', '{"a": [1]}'])
def test_a_cache_that_cannot_be_used_costs_a_reading_only(model, monkeypatch, tmp_path, content):
    monkeypatch.setattr(module, "LARGE", SIZE)
    before = model_identity(str(model))
    module._cache().write_text(content)
    assert model_identity(str(model)) == before
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert model_identity(str(model)) == before
