"""The scorer: the loss is the formula, a trained one is saved and loaded, scores do not depend on batches, kills change
nothing."""

import json
import math
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from augcon import step2_train_scorer, step3_rank_and_filter
from augcon.scorer import head_scores, load_scorer, pad_right, released_loss, scorer_text, token_batches
from common import manifest
from common.errors import BadInput
from common.rows import read_rows, write_rows
from common.training import small_model

ROOT = Path(__file__).parents[2]
TOPICS = ("tea", "salt", "wool", "maps")


def toy_pairs(count: int) -> list[dict]:
    """Good questions ask about their context, worse ones about another root's."""
    draw = random.Random(1)
    pairs = []
    for _ in range(count):
        topic, other = draw.sample(TOPICS, 2)
        pairs.append({"context": f"On {topic}.", "pos_query": f"Why {topic}?", "neg_query": f"Why {other}?"})
    return pairs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pairs, and a model with random weights."""
    folder = tmp_path_factory.mktemp("scorer")
    write_rows(folder / "pairs.jsonl", toy_pairs(320))
    words = ["--data_path", folder / "pairs.jsonl", "--save_path", folder / "start", "--hidden", 64, "--layers", 2]
    call(small_model, *words)
    return folder


def call(program, *words) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["program.py", *map(str, words)])
        program.main()


def training(folder: Path, target: Path, *more) -> list:
    words = ["--config", ROOT / "augcon" / "train_scorer_small.yaml", "--data_path", folder / "pairs.jsonl"]
    words += ["--model_name_or_path", folder / "start", "--output_dir", target, "--learning_rate", "3e-3"]
    return [*words, "--per_device_train_batch_size", 16, "--num_train_epochs", 8, "--save_strategy", "no", *more]


@pytest.fixture(scope="module")
def trained(folder):
    call(step2_train_scorer, *training(folder, folder / "scorer"))
    return folder / "scorer"


TEXTS = [scorer_text("On " + "tea, " * (n % 7) + "tea.", f"Why {TOPICS[n % 4]}?") for n in range(17)]


# ---------------------------------------------------------------- formulas


def test_the_released_loss_is_its_formula_and_does_not_know_pairs():
    scores = torch.tensor([2.0, -1.0, 0.5, 3.0])
    sigmoid = [1 / (1 + math.exp(-score)) for score in scores.tolist()]
    expected = (sigmoid[2] + sigmoid[3]) / 2 - (sigmoid[0] + sigmoid[1]) / 2
    assert released_loss(scores).item() == pytest.approx(expected, abs=1e-6)
    assert released_loss(scores[[1, 0, 2, 3]]).item() == pytest.approx(expected, abs=1e-6)


def test_the_head_reads_the_last_attended_token_wherever_the_padding_is():
    hidden = torch.arange(24, dtype=torch.float32).reshape(2, 4, 3)
    mask = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 1]])
    expected = torch.stack([hidden[0, 1].sum(), hidden[1, 3].sum()]) + 0.5
    assert torch.equal(head_scores(hidden, mask, torch.ones(1, 3), 0.5), expected)


def test_batches_are_nearly_without_padding_and_hold_each_text_once():
    draw = random.Random(0)
    lengths = [draw.randint(20, 600) for _ in range(3000)]
    batches = list(token_batches(lengths, 16_384))
    assert sorted(place for batch in batches for place in batch) == list(range(3000))
    padded = sum(max(lengths[place] for place in batch) * len(batch) for batch in batches)
    assert padded <= 1.05 * sum(lengths) and len(batches) < 100
    few = list(token_batches(lengths[:30], 16_384))
    assert sum(lengths[batch[0]] * len(batch) for batch in few) <= 1.05 * sum(lengths[:30])
    assert all(max(lengths[place] for place in batch) * len(batch) <= 16_384 for batch in batches)
    assert list(token_batches([5000], 100)) == [[0]] and list(token_batches([], 100)) == []


def test_padding_is_on_the_right():
    batch = pad_right([[5, 6], [7]], pad=1)
    assert batch["input_ids"].tolist() == [[5, 6], [7, 1]] and batch["attention_mask"].tolist() == [[1, 1], [1, 0]]


# ---------------------------------------------------------------- training


def test_held_out_pairs_are_ranked_and_the_manifest_says_how_well(trained):
    made = manifest.read(trained)
    assert (made["pairs"], made["held_out"]) == (288, 32)
    assert made["held_out_accuracy"] >= 0.9
    assert made["loss"][-1][1] < made["loss"][0][1]


def test_scores_do_not_depend_on_batches_or_order(trained):
    scorer = load_scorer(str(trained))
    expected = scorer.score(TEXTS)
    for batch_tokens in (1, 60, 200, 10_000):
        assert scorer.score(TEXTS, batch_tokens) == pytest.approx(expected, abs=1e-4)
    assert scorer.score(TEXTS[::-1]) == pytest.approx(expected[::-1], abs=1e-4)
    # What the whole model says, vocabulary-free as it is, one text at a time.
    for text, score in zip(TEXTS[:3], expected, strict=False):
        inputs = scorer.tokenizer(text, return_tensors="pt")
        with torch.inference_mode():
            assert scorer.model(**inputs).logits.item() == pytest.approx(score, abs=1e-4)


def test_a_scorer_that_is_there_is_not_trained_again(trained, folder, capsys):
    before = {file.name: file.stat().st_mtime_ns for file in trained.iterdir()}
    call(step2_train_scorer, *training(folder, trained))
    assert json.loads(capsys.readouterr().out)["done"] == str(trained)
    assert {file.name: file.stat().st_mtime_ns for file in trained.iterdir()} == before


@pytest.mark.parametrize("more", [("--paper_exact", "true"), ("--lora_r", "4", "--learning_rate", "1e-2")])
def test_the_released_head_and_an_adapter_are_saved_and_load(more, folder, tmp_path):
    call(step2_train_scorer, *training(folder, tmp_path / "other", "--max_steps", 3, *more))
    scorer = load_scorer(str(tmp_path / "other"))
    scores = scorer.score(TEXTS)
    assert len(set(scores)) > 2
    if "--paper_exact" in more:
        assert all(0 < score < 1 for score in scores) and scorer.bias != 0
        assert manifest.read(tmp_path / "other")["held_out_accuracy"] is None
    else:
        assert (tmp_path / "other" / "adapter_config.json").exists()


@pytest.mark.parametrize("learning", [0, 1])
def test_a_scorer_may_be_the_first_layers_of_a_model_and_the_last_of_them_learn(learning, folder, tmp_path):
    few = ["--keep_layers", 1, "--train_layers", learning, "--max_steps", 3]
    call(step2_train_scorer, *training(folder, tmp_path / "short", *few))
    start, short = (
        AutoModelForSequenceClassification.from_pretrained(at) for at in (folder / "start", tmp_path / "short")
    )
    assert len(short.model.layers) == 1 < len(start.model.layers)
    before, after = start.model.layers[0].state_dict(), short.model.layers[0].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before) is (learning == 0)
    assert torch.equal(start.model.embed_tokens.weight, short.model.embed_tokens.weight)
    assert not torch.equal(start.model.norm.weight, short.model.norm.weight)
    assert len(set(load_scorer(str(tmp_path / "short")).score(TEXTS))) > 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--keep_layers", 3), "the model has 2 layers"),
        (("--train_layers", 2, "--keep_layers", 1), "the model has 2 layers"),
        (("--keep_layers", 1, "--lora_r", 4), "do not go with LoRA"),
    ],
)
def test_layers_that_are_not_there_are_named(more, said, folder, tmp_path):
    with pytest.raises(BadInput, match=said):
        call(step2_train_scorer, *training(folder, tmp_path / "none", *more))


def test_a_killed_training_goes_on_to_the_same_scorer(folder, tmp_path):
    words = training(folder, "TARGET", "--max_steps", 12, "--save_strategy", "steps", "--save_steps", 4)
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)}

    def command(target: str) -> list[str]:
        script = ROOT / "augcon" / "step2_train_scorer.py"
        return [
            sys.executable,
            *(str(tmp_path / target) if word == "TARGET" else str(word) for word in (script, *words)),
        ]

    process = subprocess.Popen(command("killed"), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "killed" / "checkpoint-4" / "trainer_state.json").exists() and time.monotonic() < deadline:
        if process.poll() is not None:
            break
    process.kill()
    assert process.wait() == -signal.SIGKILL
    done = subprocess.run(command("killed"), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    call(step2_train_scorer, *(tmp_path / "straight" if word == "TARGET" else word for word in words))
    straight, went_on = (load_scorer(str(tmp_path / name)).score(TEXTS) for name in ("straight", "killed"))
    assert went_on == pytest.approx(straight, abs=1e-5)


# ---------------------------------------------------------------- ranking with it


def test_step_3_ranks_by_the_scorer_and_a_last_batch_of_one_row_is_no_trouble(trained, tmp_path, monkeypatch):
    questions = [
        {"context": "On tea.", "question": f"Why {topic}?"} for topic in ("salt", "tea", "maps", "wool", "tea now")
    ]
    row = {"root": 0, "lang": "en", "text": "On tea.", "quota": 3, "questions": questions}
    write_rows(tmp_path / "q.jsonl", [row])
    words = ["--data_path", tmp_path / "q.jsonl", "--save_path", tmp_path / "f.jsonl", "--model_name_or_path", trained]
    call(step3_rank_and_filter, *words, "--batch_tokens", 80, "--device", "cpu")
    kept = list(read_rows(tmp_path / "f.jsonl"))
    assert kept[0]["question"].startswith("Why tea") and len(kept) == 3
    assert [row["score"] for row in kept] == sorted((row["score"] for row in kept), reverse=True)
    assert not list(tmp_path.glob("*.parts"))
