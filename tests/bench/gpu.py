"""One part of the figures of a GPU: what users run, at full size, beside the released way and the scores of a CPU.

    bash tests/bench/gpu.sh                                          # all parts and one table
    python -m tests.bench.gpu ifd --folder /tmp/gpu --json ifd.json    # one of them
    python -m tests.bench.gpu ifd --folder /tmp/gpu --small            # the same code on a CPU

Models have the shape of the real ones and random weights: speed does not depend on what they have learned.
"""

import argparse
import functools
import json
import shutil
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without an install

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification, GPT2Config

from common.errors import CommonError
from common.program import make_parser, run_main
from common.rows import write_rows
from edu_filter import step3_score_corpus
from edu_filter.corpus import Scoring, load_for, score_rows
from edu_filter.encoder import BATCH_TOKENS
from edu_filter.head import Head, train_head
from edu_filter.model import load_scorer
from edu_filter.training import DTYPES
from superfiltering import step1_score_ifd
from superfiltering.facility_location import facility_location
from superfiltering.ifd import lines_with_reasons
from superfiltering.score_parts import BATCH_TOKENS as IFD_BATCH_TOKENS
from superfiltering.scored_text import ScoredText
from superfiltering.token_losses import load_scorer as load_ifd_scorer
from tests.bench import bench_ifd, figures
from tests.bench.bench_facility_location import timed as timed_picks
from tests.bench.gpu_programs import measure_training, measure_vllm
from tests.bench.gpu_sizes import CARD, SMALL, Size, seconds
from tests.edu_filter.tiny_models import wordpiece
from tests.in_process import run_program
from tests.oracles import edu_head
from tests.oracles import facility_location as naive
from tests.oracles.facility_location import unit_vectors

RELEASED_BATCH = 4096  # texts, of edu_filter's released scoring


def parity(what: str, difference: float, bound: float) -> dict:
    return figures.figure(f"{what} against fp32 on the CPU, largest difference", difference, "", bound, at_most=True)


# ---------------------------------------------------------------- superfiltering


def measure_ifd(size: Size, folder: Path) -> list[dict]:
    config = GPT2Config(**size.gpt2)
    found = bench_ifd.compare(size.ifd_rows, size.ifd_oracle_rows, 1, size.device, ["bf16"], config)
    model, data, scores = folder / "gpt2", folder / "alpaca.jsonl", folder / "scores.jsonl"
    bench_ifd.model("cpu", config).save_pretrained(model)
    bench_ifd.tokenizer().save_pretrained(model)
    texts = bench_ifd.rows_like_alpaca(size.ifd_rows)
    write_rows(data, map(alpaca_row, texts))
    on_cpu = score_sample(model, texts[: size.ifd_parity_rows], "cpu", "fp32")
    for dtype, bound in bench_ifd.BOUNDS.items():
        there = score_sample(model, texts[: size.ifd_parity_rows], size.device, dtype)
        found.append(parity(f"IFD, losses in {dtype}, as a part", bench_ifd.largest_difference(there, on_cpu), bound))
    words = ["--data_path", data, "--save_path", scores, "--model_name_or_path", model, "--device", size.device]
    taken, _ = seconds(lambda: run_program(step1_score_ifd, *words, "--dtype", "bf16"), size.device)
    what = f"superfiltering's step 1 whole, {size.ifd_rows:,} rows: reading, scoring, writing"
    return [*found, figures.figure(what, taken, "s")]


def alpaca_row(text: ScoredText) -> dict:
    prompt = text.text[: text.answers[0][0]].rstrip("\n")
    return {"instruction": prompt, "input": "", "output": bench_ifd.answer_of(text)}


def score_sample(model: Path, texts: list, device: str, dtype: str) -> list[dict]:
    scorer = load_ifd_scorer(str(model), device, dtype)
    return lines_with_reasons(scorer, texts, 1024, IFD_BATCH_TOKENS[device])


def measure_facility(size: Size, folder: Path) -> list[dict]:
    points = unit_vectors(500, 384, 0, clusters=50)
    facility_location(points[:50], 5, device=size.device)  # the first call of a kernel is slow
    slow, expected = timed_picks(lambda: naive.facility_location(points, 100, "euclidean"))
    fast, picked = timed_picks(lambda: facility_location(points, 100, device=size.device))
    if picked != expected:
        raise CommonError("facility location: not the rows that the naive greedy picks")
    points = unit_vectors(size.points, 384, 0, clusters=size.points // 10)
    taken, there = timed_picks(lambda: facility_location(points, size.picks, device=size.device))
    on_cpu, here = timed_picks(lambda: facility_location(points, size.picks))
    shared = len(set(there) & set(here)) / size.picks
    what = f"facility location, {size.points:,} to {size.picks:,} rows of 384 numbers"
    return [
        figures.figure(f"{what}, against the CPU", on_cpu / taken, detail=f"{taken:.2f} s, on the CPU {on_cpu:.2f} s"),
        figures.figure("the same, picks that the CPU makes too", 100 * shared, "%", goal=99),
        figures.figure("facility location, 500 to 100, against the naive greedy", slow / fast, detail="the same rows"),
    ]


# ---------------------------------------------------------------- edu_filter


def make_texts(count: int, median: float) -> list[str]:
    """Log-normal lengths, as of web pages; made-up words, so that each is a token or a few."""
    draw = np.random.default_rng(0)
    words = np.array([f"word{number}" for number in range(5000)])
    lengths = np.maximum(5, draw.lognormal(np.log(median), 0.8, count)).astype(int)
    return [" ".join(words[draw.integers(len(words), size=length)]) for length in lengths]


def make_encoder(size: Size, folder: Path) -> str:
    """The shape of snowflake-arctic-embed-m, as a classifier of FineWeb-Edu's form."""
    torch.manual_seed(0)
    tokenizer = wordpiece(make_texts(50, 100))
    tokenizer.model_max_length = 512
    model = BertForSequenceClassification(BertConfig(num_labels=1, pad_token_id=tokenizer.pad_token_id, **size.bert))
    model.save_pretrained(folder / "encoder")
    tokenizer.save_pretrained(folder / "encoder")
    return str(folder / "encoder")


def measure_encoder(size: Size, folder: Path) -> list[dict]:
    name, texts = make_encoder(size, folder), make_texts(size.texts, size.words)
    scorer = load_scorer(name).to(size.device, torch.bfloat16)
    ids = [text.ids for text in scorer.tokenizer(texts)]
    budget = BATCH_TOKENS[size.device]
    scorer.score(ids[: size.parity_texts], budget)
    taken, (_, used) = seconds(lambda: scorer.score(ids, budget), size.device)
    tokens = sum(map(len, ids))
    what = "edu_filter's encoder (shape of snowflake-arctic-embed-m) in bf16, million tokens a second"
    found = [figures.figure(what, tokens / taken / 1e6, "M/s", goal=2, detail=f"{tokens:,} tokens, {used:,} a batch")]

    some = texts[: size.released_texts]
    rows = [{"texto": text, "lang": "en"} for text in some]
    scoring = Scoring({"score": name}, device=size.device, dtype="bf16")
    loaded = load_for(scoring)
    ours, scores = seconds(lambda: score_rows(rows, scoring, loaded, Counter()), size.device)
    released, expected = released_scores(name, some, size.device)
    differ = max(abs(one["score"] - other) for one, other in zip(scores, expected, strict=True))
    what = (
        f"edu_filter's scoring, tokenizing included, against the released loop ({RELEASED_BATCH:,} texts in file order)"
    )
    detail = f"{len(some):,} texts: {ours:.1f} s, released {released:.1f} s; scores differ by at most {differ:.0e}"
    found.append(figures.figure(what, released / ours, goal=3, detail=detail))

    sample = ids[: size.parity_texts]
    on_cpu = load_scorer(name).score(sample, BATCH_TOKENS["cpu"])[0]
    for dtype, bound in (("fp32", 1e-4), ("bf16", 0.02)):
        there = load_scorer(name).to(size.device, DTYPES[dtype]).score(sample, budget)[0]
        found.append(parity(f"edu_filter, scores in {dtype}", float(np.abs(there - on_cpu).max()), bound))
    write_rows(folder / "corpus" / "web.jsonl", rows)
    words = ["--model_path", name, "--dataset", folder / "corpus" / "web.jsonl", "--output_dir", folder / "scored"]
    words += ["--device", size.device, "--dtype", "bf16"]
    taken, _ = seconds(lambda: run_program(step3_score_corpus, *words), size.device)
    return [*found, figures.figure(f"edu_filter's step 3 whole, {len(rows):,} documents", taken, "s")]


def released_scores(name: str, texts: list[str], device: str) -> tuple[float, list[float]]:
    """File order, a padded batch of thousands of texts, bf16 throughout."""
    tokenizer = load_scorer(name).tokenizer.hf
    model = AutoModelForSequenceClassification.from_pretrained(name, dtype=torch.bfloat16).eval().to(device)

    def score(some: list[str]) -> list[float]:
        batch = tokenizer(some, truncation=True, max_length=512, padding=True, return_tensors="pt").to(device)
        with torch.inference_mode():
            return model(**batch).logits[:, 0].float().cpu().tolist()

    score(texts[:64])
    parts = range(0, len(texts), RELEASED_BATCH)
    return seconds(lambda: [one for at in parts for one in score(texts[at : at + RELEASED_BATCH])], device)


def measure_head(size: Size, folder: Path) -> list[dict]:
    """60 epochs of the head on kept vectors, against the released loop, whose encoder runs in each epoch."""
    name, epochs, batch_size = make_encoder(size, folder), 60, min(2800, size.head_texts)
    width = BertConfig(**size.bert).hidden_size
    draw = np.random.default_rng(0)
    vectors = draw.standard_normal((size.vectors, width)).astype(np.float16)
    labels = draw.integers(6, size=size.vectors)
    head = Head(width).to(size.device)
    train_head(head, vectors, labels, range(batch_size), [], 1, batch_size, 3e-4)
    taken, _ = seconds(
        lambda: train_head(head, vectors, labels, range(size.vectors), [], epochs, batch_size, 3e-4), size.device
    )
    texts = make_texts(size.head_texts, size.words)
    scorer = load_scorer(name).to(size.device, torch.bfloat16)
    encoding, _ = seconds(
        lambda: scorer.vectors([text.ids for text in scorer.tokenizer(texts)], BATCH_TOKENS[size.device]), size.device
    )
    slow = AutoModelForSequenceClassification.from_pretrained(name).to(size.device).train()
    work = functools.partial(edu_head.train, slow, texts, labels, range(len(texts)), 1, 256, 3e-4)
    with torch.autocast(size.device, torch.bfloat16):  # as released
        released, _ = seconds(lambda: work(scorer.tokenizer.hf, 512), size.device)
    ours = encoding + taken * len(texts) / size.vectors
    what = f"edu_filter's training, {epochs} epochs, against the released loop (its encoder in each epoch)"
    detail = f"{len(texts):,} texts: {ours:.1f} s, released {epochs * released:,.0f} s (from one epoch)"
    return [
        figures.figure(what, epochs * released / ours, goal=40, detail=detail),
        figures.figure(f"the head alone, {epochs} epochs of {size.vectors:,} kept vectors", taken, "s"),
    ]


# ---------------------------------------------------------------- command line

PARTS = {
    "ifd": measure_ifd,
    "encoder": measure_encoder,
    "head": measure_head,
    "facility": measure_facility,
    "training": measure_training,
    "vllm": measure_vllm,
}


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("part", choices=PARTS, help="what to measure")
    parser.add_argument("--folder", type=Path, required=True, help="folder for models, rows and outputs")
    parser.add_argument("--small", action="store_true", help="small sizes on a CPU: whether it runs")
    figures.add_argument(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if not args.small and not torch.cuda.is_available():
        raise CommonError("no GPU that torch can use; --small runs the same code on the CPU")
    folder = args.folder.resolve() / args.part
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    found = PARTS[args.part](SMALL if args.small else CARD, folder)
    machine = None if args.small else f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    figures.keep(args.json, "gpu", found, machine)
    print(json.dumps(found, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    run_main(main)
