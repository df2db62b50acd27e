"""Tokens cut early, batches without padding, windows of long texts, and models that come back as they were saved."""

import json
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from common.errors import BadInput, CommonError
from edu_filter.corpus import LONG, Scoring, columns_of, load, windows_of
from edu_filter.encoder import Tokenizer, make_batches, run_batches, splits_at_blanks
from edu_filter.model import load_scorer, new_scorer, save_scorer
from tests.edu_filter.tiny_models import LENGTH, SHAPES
from tests.oracles import edu_head

PIECES = [
    " ",
    "  ",
    "\n",
    "a",
    "célula",
    "学习",
    "x" * 50,
    "e\u0301",
    " \u0301",
    ".",
    "\u3000",
    "\u00a0",
    "[SEP]",
    "👩‍🔬",
    "5/7",
]


def plain_tokens(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.hf(text, truncation=True, max_length=tokenizer.max_length)["input_ids"]


@pytest.mark.parametrize("shape", SHAPES)
def test_early_cuts_change_no_token(encoders, documents, shape):
    tokenizer, reference = Tokenizer.load(str(encoders[shape])), AutoTokenizer.from_pretrained(encoders[shape])
    rng = random.Random(0)
    texts = ["".join(rng.choices(PIECES, k=rng.choice([0, 3, 40, 900]))) for _ in range(200)]
    texts += [" ".join(rng.choices(documents, k=4)) for _ in range(50)] + ["学" * 20_000, "a" * 20_000]
    found = tokenizer(texts)
    assert [text.ids for text in found] == reference(texts, truncation=True, max_length=LENGTH)["input_ids"]
    lengths = [len(ids) for ids in reference(texts, verbose=False)["input_ids"]]
    assert [text.cut for text in found] == [length > LENGTH for length in lengths]


@pytest.mark.parametrize("shape", SHAPES)
def test_half_a_surrogate_pair_is_read_as_a_question_mark(encoders, shape):
    tokenizer = Tokenizer.load(str(encoders[shape]))
    half, sound = tokenizer(["a \ud800 b" * 50, "a ? b" * 50])
    assert half.ids == sound.ids and len(tokenizer.windows(["\udfff"])[0]) == 1


def test_texts_are_cut_only_where_no_token_can_span_the_cut():
    assert splits_at_blanks({"pre_tokenizer": {"type": "BertPreTokenizer"}})
    assert not splits_at_blanks({"pre_tokenizer": {"type": "ByteLevel", "use_regex": False}})
    assert not splits_at_blanks({"pre_tokenizer": {"type": "Metaspace", "split": False}})
    assert not splits_at_blanks({"pre_tokenizer": None})


def test_a_window_longer_than_the_model_takes_is_refused(encoders):
    with pytest.raises(BadInput, match="at most 32"):
        Tokenizer.load(str(encoders["xlm-roberta"]), 40)


@given(st.lists(st.integers(1, 300), max_size=80), st.integers(1, 2000))
def test_batches_hold_each_text_once_and_no_more_than_the_budget(lengths, budget):
    batches = make_batches(lengths, budget)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= budget


def test_padding_is_a_twentieth_at_most():
    rng = np.random.default_rng(0)
    lengths = np.minimum(512, rng.lognormal(5.1, 0.8, 2000).astype(int) + 2).tolist()
    computed = sum(len(batch) * max(lengths[place] for place in batch) for batch in make_batches(lengths, 4096))
    assert computed / sum(lengths) <= 1.05


@settings(max_examples=40)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(30, 200))
def test_less_memory_than_asked_for_halves_the_batches_and_changes_no_result(lengths, memory):
    texts = [list(range(1, length + 1)) for length in lengths]

    def function(ids, mask):
        if ids.numel() > memory:
            raise torch.OutOfMemoryError
        return ids.sum(1) if mask is None else (ids * mask).sum(1)

    found, used = run_batches(function, texts, pad_id=7, batch_tokens=1000)
    assert found.tolist() == [sum(text) for text in texts]
    assert used <= 1000


def test_a_single_text_that_does_not_fit_is_named():
    def function(ids, mask):
        raise torch.OutOfMemoryError

    with pytest.raises(CommonError, match="one text of 3 tokens"):
        run_batches(function, [[1, 2, 3]], 0, 100)


@pytest.mark.parametrize("budget", [16, 100, 8192])
def test_scores_are_those_of_one_text_at_a_time(model, documents, budget):
    scorer = load_scorer(str(model))
    scores, _ = scorer.score([text.ids for text in scorer.tokenizer(documents)], budget)
    assert np.abs(scores - edu_head.score(model, documents)).max() < 1e-5


@pytest.mark.parametrize("long", LONG)
def test_long_documents(model, documents, long):
    (group,) = load((("", str(model)),), None, "cpu", "fp32", False, 1)
    texts = ["", "a", " ".join(documents[:3]), documents[0]]
    for text, found in zip(texts, windows_of(group.tokenizer, texts, long)[0], strict=True):
        chunks = group.score(found, 512)[0][:, 0].tolist()
        assert columns_of({"": chunks}, Scoring({}, long=long))["score"] == pytest.approx(
            edu_head.score_long(model, text, long), abs=1e-5
        )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["pooler", "linear"])
@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_a_saved_model_scores_as_before(encoders, documents, tmp_path, shape, kind, pooling):
    scorer = new_scorer(str(encoders[shape]), kind, pooling, seed=1)
    with torch.no_grad():
        scorer.head.out.weight.mul_(4)
    ids = [text.ids for text in scorer.tokenizer(documents[:12])]
    before = scorer.score(ids, 512)[0]
    save_scorer(scorer, tmp_path / "model")
    after = load_scorer(str(tmp_path / "model")).score(ids, 512)[0]
    assert np.ptp(before) > 0.01 and np.abs(before - after).max() < 1e-6
    plain = shape != "modernbert" and kind == "pooler" and pooling == "first"
    assert plain == (not (tmp_path / "model" / "head.json").exists())
    settings = json.loads((tmp_path / "model" / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"  # also known to transformers 4
    if plain:  # what everybody loads
        assert np.abs(np.array(edu_head.score(tmp_path / "model", documents[:12])) - before).max() < 1e-5


def test_any_classifier_with_one_number_scores_and_others_are_refused(encoders, documents, tmp_path):
    """As FineWeb-Edu's own: an ordinary classification folder; also of a shape whose head is another."""
    for shape in ("bert", "modernbert"):
        for labels in (1, 3):
            folder = tmp_path / f"{shape}{labels}"
            AutoModelForSequenceClassification.from_pretrained(encoders[shape], num_labels=labels).save_pretrained(
                folder
            )
            AutoTokenizer.from_pretrained(encoders[shape]).save_pretrained(folder)
        scorer = load_scorer(str(tmp_path / f"{shape}1"))
        found = scorer.score([text.ids for text in scorer.tokenizer(documents[:5])], 100)[0]
        assert np.abs(found - edu_head.score(tmp_path / f"{shape}1", documents[:5])).max() < 1e-5
        with pytest.raises(BadInput, match="gives 3 numbers"):
            load_scorer(str(tmp_path / f"{shape}3"))
    with pytest.raises(BadInput, match="has no config.json"):
        load_scorer(str(tmp_path))
