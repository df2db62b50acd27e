"""edu_filter step 3: score every document of a corpus, one file after the other on each GPU.

    python edu_filter/step3_score_corpus.py --model_path out/head/model --dataset 'web/*.parquet' --output_dir out/web

in   {"texto": "La célula es la unidad básica de los seres vivos. ...", ...} a row, in any number of files
out  out/web/NAME: the same rows, columns and format, with "score" (3.27) and "int_score" (3); beside it
     NAME.done.json with the numbers of rows and tokens at each score, by language: what a threshold would keep is known
     before anything is filtered. Started again, the same command skips finished files
"""

import argparse
import functools
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common import manifest
from common.model_identity import model_identity
from common.program import make_parser, positive, run_main
from common.rows import count_rows, read_rows, refuse_overlap
from common.shards import Task, add_shard_arguments, pair_shards, run_shards, shard_options
from edu_filter.asking import documents
from edu_filter.corpus import LONG, Scoring, kept_at, named_models, score_file

SAMPLE = 100  # every so many rows are read for --dry_run


def default_device(num_gpus: int) -> str:
    import torch

    return "cuda" if num_gpus or torch.cuda.is_available() else "cpu"


def scoring_of(args: argparse.Namespace) -> Scoring:
    device = args.device or default_device(args.num_gpus)
    return Scoring(
        models=named_models(args.model_path),
        text_column=args.text_column,
        long=args.long,
        max_length=args.max_length,
        window=args.window,
        batch_tokens=args.batch_tokens,
        device=device,
        dtype=args.dtype or ("bf16" if args.paper_exact or device != "cpu" else "fp32"),
        threshold=args.threshold,
        combine=args.combine,
        source_column=args.source_column,
        keep_chunks=args.keep_chunks,
        on_bad_row=args.on_bad_row,
        split=args.split,
        paper_exact=args.paper_exact,
        workers=args.num_workers,
    )


def fingerprint(scoring: Scoring) -> dict:
    """What the scores of a file depend on, beside the file."""
    names = "text_column long max_length dtype threshold source_column keep_chunks on_bad_row split paper_exact".split()
    names += ["combine"] if len(scoring.models) > 1 else []
    models = [model_identity(model) for model in scoring.models.values()]
    return {"model": models if len(models) > 1 else models[0]} | {name: getattr(scoring, name) for name in names}


def print_plan(scoring: Scoring, tasks: list[Task], workers: int) -> None:
    """--dry_run: documents, tokens and hours, from every hundredth row and the rate at which those are scored here."""
    from edu_filter.corpus import load_for, score_rows

    rows = sum(count_rows(source, scoring.split) for source, _ in tasks)
    groups = load_for(scoring)
    step = SAMPLE if rows >= 50 * SAMPLE else 1
    texts = (row for source, _ in tasks for row in read_rows(source, scoring.split))
    sample = [row for at, row in enumerate(texts) if at % step == 0 and isinstance(row.get(scoring.text_column), str)]
    counts: Counter[str] = Counter()
    started = time.perf_counter()
    score_rows(sample, scoring, groups, counts)
    seconds = time.perf_counter() - started
    tokens = counts["tokens"] * rows / max(1, len(sample))
    rate = counts["tokens"] / max(seconds, 1e-9)
    print(
        f"documents  {rows:,} in {len(tasks):,} files\ntokens     about {tokens:,.0f} (from {len(sample):,} documents)"
    )
    print(f"time       about {tokens / rate / workers / 3600:,.2f} h at {rate:,.0f} tokens/s x {workers}")


def summary(counts: dict, output_dir: str) -> str:
    kept = kept_at(counts)
    shown = ", ".join(f"{kept[t] / max(1, counts['rows']):.1%} at {t:g}" for t in (2.0, 2.5, 3.0, 3.5))
    line = f"{output_dir}: {counts['rows']:,} rows, {counts['tokens']:,} tokens scored; kept would be {shown}"
    line += f"; {counts['cut at the window']:,} texts are longer than the window"
    return line + (f"; {counts['rejected']:,} rows set aside" if counts["rejected"] else "")


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument(
        "--model_path", "--model_name_or_path", dest="model_path", nargs="+", required=True,
        help="folder of step 2, or several: each gets a column too, texts and equal encoders are gone through once",
    )  # fmt: skip
    parser.add_argument(
        "--dataset", "--data_path", dest="dataset", required=True, help="documents: folder, file or glob"
    )
    parser.add_argument("--output_dir", required=True, help="folder of the scored files")
    parser.add_argument("--text_column", default="texto", help="key of a document's text")
    parser.add_argument("--source_column", help="key of where a document is from, for counts by source")
    parser.add_argument("--split", help="split to read when an input is a dataset folder with several")
    parser.add_argument(
        "--on_bad_row",
        choices=["stop", "skip"],
        default="stop",
        help="a row without text: its file fails, or the row is set aside in NAME.rejected.jsonl",
    )
    group = parser.add_argument_group("scores")
    group.add_argument(
        "--long", choices=LONG, default="head",
        help="a text longer than the window: its beginning, all its chunks (mean or best), or beginning and end",
    )  # fmt: skip
    group.add_argument("--combine", choices=["mean", "max"], default="mean", help="score of several models")
    group.add_argument("--max_length", type=positive, help="window in tokens; without it the model's")
    group.add_argument("--threshold", type=float, help='add "keep": whether the score is at least this')
    group.add_argument("--keep_chunks", action="store_true", help='add "chunks": the score of each window')
    group.add_argument("--paper_exact", action="store_true", help="bf16 throughout; int_score rounds halves to even")
    group = parser.add_argument_group("speed")
    group.add_argument("--device", help="cpu or cuda; without it a GPU if there is one")
    group.add_argument("--dtype", choices=["fp32", "bf16"], help="of the encoder; without it fp32 on a CPU, else bf16")
    group.add_argument("--batch_tokens", type=positive, help="of a batch; without it 2048 on a CPU, 131072 on a GPU")
    group.add_argument("--window", type=positive, default=16384, help="rows sorted by length together")
    group.add_argument(
        "--dry_run", action="store_true", help="count documents and tokens, estimate the hours, write nothing"
    )
    add_shard_arguments(parser)
    args = parser.parse_args()
    if args.paper_exact and len(args.model_path) > 1:
        parser.error("--paper_exact: the released command takes one --model_path")
    return args


def main() -> None:
    args = parse_args()
    tasks = pair_shards(documents(args.dataset), args.output_dir)
    refuse_overlap([source for source, _ in tasks], [target for _, target in tasks])
    scoring = scoring_of(args)
    if args.dry_run:
        print_plan(scoring, tasks, args.num_gpus or args.num_workers)
        return
    started = time.time()
    work = functools.partial(score_file, scoring)
    counts = run_shards(work, tasks, fingerprint(scoring), **shard_options(args))
    manifest.write(
        Path(args.output_dir) / "scores",
        **manifest.about_this_process(),
        arguments={name: value for name, value in vars(args).items() if not callable(value)},
        inputs={source: manifest.hash_file(source) for source, _ in tasks},
        outputs={target: manifest.hash_file(target) for _, target in tasks},
        counts=dict(counts),
        seconds=round(time.time() - started, 3),
    )
    print(summary(counts, args.output_dir), file=sys.stderr)


if __name__ == "__main__":
    run_main(main)
