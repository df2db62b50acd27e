"""Training on vectors that were computed once: the same as running the encoder in every epoch."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from transformers import AutoModelForSequenceClassification

from common.errors import BadInput
from edu_filter.features import FeatureStore
from edu_filter.head import Head, fit_ridge, head_scores, train_head
from edu_filter.model import load_scorer, new_scorer
from edu_filter.training import Rated, Settings, balanced, train
from tests.edu_filter.tiny_models import make_encoder
from tests.oracles import edu_head


def rated_rows(documents: list[str], number: int, classes: int = 5) -> list[Rated]:
    """Texts whose class is how many of five words they hold."""
    words = ["estudiante", "ejemplo", "compra", "precio", "学习"]
    rng = np.random.default_rng(0)
    rows = []
    for row in range(number):
        label = int(rng.integers(0, classes))
        text = " ".join([*words[:label], *rng.choice(documents[row % len(documents)].split(), 4)]) + f" {row}"
        rows.append(Rated(row, text, float(label), label, "es", "a"))
    return rows


@pytest.fixture
def settings(encoders, tmp_path):
    return Settings(
        str(encoders["bert"]), str(tmp_path / "features"), epochs=6, batch_size=16, learning_rate=1e-2, test_share=0.2
    )


def test_it_equals_the_loop_that_encodes_in_every_epoch(encoders, documents):
    folder, rows = str(encoders["bert"]), rated_rows(documents, 40)
    scorer = new_scorer(folder, "pooler", "first", seed=0)
    texts, labels = [row.text for row in rows], np.array([row.label for row in rows])
    slow = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1).eval()  # eval: without drop-out
    slow.bert.pooler.dense.load_state_dict(scorer.head.dense.state_dict())
    slow.classifier.load_state_dict(scorer.head.out.state_dict())
    vectors = scorer.vectors([text.ids for text in scorer.tokenizer(texts)], 512)
    train_rows = list(range(4, 40))
    history = train_head(scorer.head, vectors, labels, train_rows, [], 5, 16, 1e-2, logging_steps=1)
    losses = edu_head.train(slow, texts, labels, train_rows, 5, 16, 1e-2, scorer.tokenizer.hf, 32)
    assert [entry["loss"] for entry in history.log] == pytest.approx(losses, abs=2e-4)
    assert torch.allclose(scorer.head.dense.weight, slow.bert.pooler.dense.weight, atol=1e-4)
    assert torch.allclose(scorer.head.out.weight, slow.classifier.weight, atol=1e-4)


def test_the_best_evaluation_is_what_stays():
    vectors, labels = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32), np.arange(60) % 6
    head = Head(8)
    history = train_head(head, vectors, labels, range(40), range(40, 60), 30, 40, 0.5)
    evaluations = [entry for entry in history.log if "eval_f1_macro" in entry]
    best = max(entry["eval_f1_macro"] for entry in evaluations)
    assert history.best_f1_macro == best
    assert history.best_step == next(entry["step"] for entry in evaluations if entry["eval_f1_macro"] == best)
    scores = head_scores(head, vectors, range(40, 60))
    mse = next(entry["eval_loss"] for entry in evaluations if entry["step"] == history.best_step)
    assert np.mean((scores - labels[40:60]) ** 2) == pytest.approx(mse)


def test_patience_ends_a_training_that_gets_no_better():
    vectors, labels = np.ones((60, 4), dtype=np.float32), np.arange(60) % 6
    history = train_head(Head(4), vectors, labels, range(40), range(40, 60), 50, 40, 1e-6, patience=3)
    assert len([entry for entry in history.log if "eval_loss" in entry]) == 4


def test_the_linear_head_is_least_squares():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 12)).astype(np.float32)
    labels = vectors @ rng.normal(size=12) + 2
    head = Head(12, "linear")
    penalty = fit_ridge(head, vectors, labels, range(300))
    centred = vectors.astype(float) - vectors.mean(0)
    scale = np.linalg.eigvalsh(centred.T @ centred).mean()
    wanted = Ridge(alpha=penalty * scale).fit(vectors.astype(float), labels)
    assert head_scores(head, vectors) == pytest.approx(wanted.predict(vectors.astype(float)), abs=1e-4)


def test_a_text_is_encoded_once_and_others_are_not_mixed_in(encoders, documents, settings, tmp_path, monkeypatch):
    rows = rated_rows(documents, 30)
    seen = []
    vectors_of = type(new_scorer(settings.base_model, "pooler", "first", 0)).vectors
    monkeypatch.setattr(
        "edu_filter.model.Scorer.vectors", lambda self, ids, tokens: seen.extend(ids) or vectors_of(self, ids, tokens)
    )
    first = train(rows, settings, tmp_path / "model")
    assert len(seen) == first.metrics["features"]["encoded"] == 30
    more = train(rated_rows(documents, 40), settings, tmp_path / "model")
    assert len(seen) == 40 and more.metrics["features"]["encoded"] == 10
    for changed in ({"max_length": 16}, {"pooling": "mean"}, {"base_model": str(encoders["xlm-roberta"])}):
        with pytest.raises(BadInput, match="holds other vectors.*choose another --cache_dir"):
            train(rows, replace(settings, **changed), tmp_path / "model")


def test_vectors_of_an_interrupted_encoding_are_kept(encoders, documents, tmp_path, monkeypatch):
    monkeypatch.setattr("edu_filter.features.PART", 10)
    scorer = new_scorer(str(encoders["bert"]), "pooler", "first", 0)
    identity = {"kept_as": "float32"}
    whole = FeatureStore(tmp_path / "whole", identity).vectors(documents, scorer, 512)[0]
    store, calls = FeatureStore(tmp_path / "begun", identity), []

    def fails_later(ids, tokens, vectors_of=scorer.vectors):
        calls.append(len(ids))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return vectors_of(ids, tokens)

    monkeypatch.setattr("edu_filter.model.Scorer.vectors", lambda self, ids, tokens: fails_later(ids, tokens))
    with pytest.raises(KeyboardInterrupt):
        store.vectors(documents, scorer, 512)
    again = FeatureStore(tmp_path / "begun", identity)
    assert np.array_equal(again.vectors(documents, scorer, 512)[0], whole)
    assert again.encoded == len(set(documents)) - 20


def test_one_seed_gives_the_same_bytes_and_fp16_vectors_change_no_class(documents, settings, tmp_path):
    rows = rated_rows(documents, 60)
    results = []
    for run, kept_as in enumerate(["float16", "float16", "float32"]):
        found = replace(settings, cache_dir=str(tmp_path / f"features{run}"), kept_as=kept_as)
        results.append(train(rows, found, tmp_path / f"model{run}"))
    names = [file.name for file in (tmp_path / "model0").iterdir()]
    for name in names:
        assert (tmp_path / "model0" / name).read_bytes() == (tmp_path / "model1" / name).read_bytes()
    assert results[0].predictions == results[1].predictions
    same = [a["int_score"] == results[2].predictions[row]["int_score"] for row, a in results[0].predictions.items()]
    assert all(same)
    scorer = load_scorer(str(tmp_path / "model2"))
    held_out = list(results[2].predictions)
    scores, _ = scorer.score([text.ids for text in scorer.tokenizer([rows[row].text for row in held_out])], 512)
    assert scores == pytest.approx([results[2].predictions[row]["score"] for row in held_out], abs=1e-5)


def test_a_model_half_removed_or_just_begun_when_killed_is_replaced(documents, settings, tmp_path, monkeypatch):
    rows, model = rated_rows(documents, 30), tmp_path / "model"
    train(rows, settings, model)
    wanted = {file.name: file.read_bytes() for file in model.iterdir()}
    unlink, removed = Path.unlink, []

    def killed_after_two(self, *args, **more):
        if self.parent == model and len(removed) == 2:
            raise KeyboardInterrupt
        removed.extend([self.name] if self.parent == model else [])
        return unlink(self, *args, **more)

    monkeypatch.setattr(Path, "unlink", killed_after_two)
    with pytest.raises(KeyboardInterrupt):
        train(rows, settings, model)
    monkeypatch.undo()
    assert len(list(model.iterdir())) == len(wanted) - 2
    train(rows, settings, model)
    (tmp_path / "model.part").mkdir()
    (tmp_path / "model.part" / "settings.json.lock").touch()
    train(rows, settings, model)
    assert {file.name: file.read_bytes() for file in model.iterdir()} == wanted
    assert not (tmp_path / "model.part").exists()


@pytest.mark.parametrize("head", ["pooler", "linear"])
@pytest.mark.parametrize("labels", [[2] * 12, [0] * 11 + [5], [0, 1], [0, 1, 2, 3, 4, 5] * 2])
def test_odd_ratings_train_without_a_traceback(documents, settings, tmp_path, head, labels):
    rows = [replace(row, label=label) for row, label in zip(rated_rows(documents, len(labels)), labels, strict=True)]
    found = train(rows, replace(settings, head=head), tmp_path / "model")
    json.dumps(found.metrics, allow_nan=False)
    assert found.metrics["rows"]["trained_on"] + found.metrics["rows"]["held_out"] == len(labels)


def test_rare_classes_are_drawn_as_often_as_common_ones():
    groups = [0] * 90 + [1] * 10
    drawn = balanced(list(range(100)), groups, seed=0)
    assert len(drawn) == 100 and sum(groups[row] for row in drawn) == 50


def test_the_head_learns_and_beats_the_constant(documents, settings, tmp_path):
    # Tokenizers train differently each time: so wide that the words can be told apart with any of them.
    wide = make_encoder(tmp_path / "wide", "bert", documents, size=64)
    settings = replace(settings, base_model=str(wide), head="linear", pooling="mean", epochs=60)
    found = train(rated_rows(documents, 300), settings, tmp_path / "model").metrics
    assert found["head"]["mae"] < found["baselines"]["constant"]["mae"]
    assert [step["trained_on"] for step in found["learning_curve"]] == [30, 60, 120]
    assert sum(map(sum, found["head"]["confusion"])) == found["rows"]["held_out"] == 60
