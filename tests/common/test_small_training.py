"""The trainer and the tokenizer of the replications: what they learn, count and score, against the obvious way."""

import pytest

from common.training import small_training
from common.training.examples import NO_LOSS, encode_text
from common.training.small_model import small_model, tokenizer_of
from tests.in_process import run_program

TEXTS = ["the cat is 12 years old", "the dog is 7 years old\n", "The bird, of 3, sings"]


@pytest.fixture(scope="module")
def tokenizer():
    return tokenizer_of(TEXTS, "words", max_length=64)


@pytest.fixture
def model(tokenizer):
    return small_model(tokenizer, hidden=32, layers=1, seed=1).eval()


def test_words_are_tokens_digits_too_and_texts_come_back(tokenizer):
    assert tokenizer.tokenize(TEXTS[0]) == ["the", " cat", " is", " ", "1", "2", " years", " old"]
    for text in TEXTS:
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    ids = tokenizer("unheard")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["<|unknown|>"]


def test_losses_do_not_depend_on_who_shares_the_batch(model, tokenizer):
    examples = [encode_text(tokenizer, text) for text in TEXTS]
    examples[0]["labels"][:3] = [NO_LOSS] * 3
    together = small_training.losses(model, examples)
    apart = [model(**small_training.padded([one], 0)).loss.item() for one in examples]
    assert together == pytest.approx(apart, abs=1e-5)


def test_it_learns_stops_at_its_tokens_and_repeats_itself(model, tokenizer):
    examples = [encode_text(tokenizer, text) for text in TEXTS[:2]]
    before = small_training.losses(model, examples)
    seen = []
    model.register_forward_pre_hook(
        lambda module, args, given: seen.append(int(given["attention_mask"].sum())), with_kwargs=True
    )
    small_training.train(model, examples, tokens=600, learning_rate=1e-2, seed=3)
    assert 600 <= sum(seen) < 600 + max(seen)
    after = small_training.losses(model, examples)
    assert sum(after) < 0.5 * sum(before)
    again = small_model(tokenizer, hidden=32, layers=1, seed=1)
    small_training.train(again, examples, tokens=600, learning_rate=1e-2, seed=3)
    assert small_training.losses(again, examples) == after


def test_as_a_program_it_leaves_a_model_that_answers(model, tokenizer, tmp_path):
    for saved in (model, tokenizer):
        saved.save_pretrained(tmp_path / "start")
    data = tmp_path / "rows.jsonl"
    data.write_text('{"text": "the cat is 12"}\n{"instruction": "the", "output": " cat"}\n')
    words = ["--data_path", data, "--model_name_or_path", tmp_path / "start", "--train_tokens", 1500]
    run_program(small_training, *words, "--save_path", tmp_path / "made")
    trained, its = small_training.load(tmp_path / "made")
    rows = [{"instruction": "the", "output": ""}, {"instruction": "the", "output": ""}]
    assert small_training.written(trained, its, rows, most_tokens=8) == ["cat", "cat"]
