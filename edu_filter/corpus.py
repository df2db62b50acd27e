"""One file of a corpus: scored window by window, written back in the order of its rows.

counts = score_file(Scoring("out/head/model"), "web/000.parquet", "scored/000.parquet")
kept_at(counts)       # {0.0: rows, 0.1: rows, ...}: what a threshold would keep, from the counts alone
"""

import functools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from common.errors import BadRow, BadValue, CommonError, Reject
from common.languages import detect_language
from common.rows import RowWriter, scan_rows, schema_of
from common.step import need
from edu_filter.ratings import HIGHEST, int_score, released_int_score

LONG = ("head", "chunks_mean", "chunks_max", "head_tail")
DETECTED_IN = 500  # characters: enough to tell a language, and a tenth of the time
MOST_GROUPS = 1000  # of sources in one file's counts; what comes later counts as "other"
BINS = np.arange(10 * HIGHEST + 1) / 10


@dataclass(frozen=True)
class Scoring:
    """How texts are scored; the same for all files of a run."""

    model: str
    text_column: str = "texto"
    long: str = "head"
    max_length: int | None = None
    window: int = 16384
    batch_tokens: int | None = None
    device: str = "cpu"
    dtype: str = "fp32"
    threshold: float | None = None
    source_column: str | None = None
    keep_chunks: bool = False
    on_bad_row: str = "stop"
    split: str | None = None
    paper_exact: bool = False
    workers: int = 1


def score_file(scoring: Scoring, source: str, target: str) -> dict[str, int]:
    """Score the rows of one file. Runs in a worker, which keeps the model for the next file."""
    scorer = load(
        scoring.model, scoring.max_length, scoring.device, scoring.dtype, scoring.paper_exact, scoring.workers
    )
    counts: Counter[str] = Counter()
    rejected_path = Path(f"{target}.rejected.jsonl")
    # Every column comes back with its type; only the released scores may be no numbers.
    writer = RowWriter(target, allow_nan=scoring.paper_exact, schema=schema_of(source, scoring.split))
    with writer, RowWriter(rejected_path, allow_nan=True) as rejected:
        rows = enumerate(scan_rows(source, scoring.split))
        while window := list(islice(rows, scoring.window)):
            good = list(usable(window, scoring, source, rejected))
            results = score_rows([row for _, row in good], scoring, scorer, counts)
            for (index, row), scores in zip(good, results, strict=True):
                if isinstance(scores, Reject):
                    set_aside(index, scores.reason, row, scoring, source, rejected)
                else:
                    writer.write(row | scores)
        counts["rows"], counts["rejected"] = writer.count, rejected.count
    if not counts["rejected"]:
        rejected_path.unlink()
    return dict(counts)


@functools.cache
def load(model: str, max_length: int | None, device: str, dtype: str, paper_exact: bool, workers: int):
    import torch

    from edu_filter.model import load_scorer

    if device == "cpu":
        torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    elif not torch.cuda.is_available():
        raise CommonError("no GPU for this worker: --num_gpus is more than there are, or --device cpu is wanted")
    encoder_dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]
    return load_scorer(model, max_length).to(device, encoder_dtype, encoder_dtype if paper_exact else torch.float32)


def usable(
    window: Iterable[tuple[int, dict | BadRow]], scoring: Scoring, source: str, rejected: RowWriter
) -> Iterator[tuple[int, dict]]:
    for index, row in window:
        if isinstance(row, BadRow):
            set_aside(index, row.problem, row.raw, scoring, source, rejected)
            continue
        try:
            need(row, scoring.text_column)
        except BadValue as why:
            set_aside(index, why.reason, row, scoring, source, rejected)
        else:
            yield index, row


def set_aside(index: int, reason: str, row: object, scoring: Scoring, source: str, rejected: RowWriter) -> None:
    if scoring.on_bad_row == "stop":
        raise BadRow(source, index, f"{reason} (--on_bad_row skip sets it aside)")
    rejected.write({"index": index, "reason": reason, "row": row})


# ---------------------------------------------------------------- scores


def score_rows(rows: Sequence[dict], scoring: Scoring, scorer: object, counts: Counter[str]) -> list[dict | Reject]:
    """The new columns of each row."""
    from edu_filter.encoder import BATCH_TOKENS

    texts = [row[scoring.text_column] for row in rows]
    if scoring.long == "head":
        tokens = scorer.tokenizer(texts)
        windows, cut = [[text.ids] for text in tokens], [text.cut for text in tokens]
    else:
        windows = scorer.tokenizer.windows(texts)
        cut = [len(found) > 1 for found in windows]
        if scoring.long == "head_tail":
            windows = [found[:1] + found[1:][-1:] for found in windows]
    flat = [ids for found in windows for ids in found]
    budget = scoring.batch_tokens or BATCH_TOKENS[scorer.device.type]
    scores, used = scorer.score(flat, budget)
    if used < budget:
        counts[f"windows scored with {used} tokens a batch"] += 1  # the memory did not suffice for more
    results: list[dict | Reject] = []
    start = 0
    for row, found, was_cut in zip(rows, windows, cut, strict=True):
        chunks = scores[start : start + len(found)].tolist()
        start += len(found)
        columns = columns_of(chunks, scoring)
        results.append(columns)
        if isinstance(columns, dict):
            count(counts, row, columns["score"], sum(map(len, found)), was_cut, scoring)
    return results


def columns_of(chunks: Sequence[float], scoring: Scoring) -> dict | Reject:
    score = max(chunks) if scoring.long == "chunks_max" else sum(chunks) / len(chunks)
    if math.isnan(score) and not scoring.paper_exact:
        return Reject("the score is not a number")
    columns = {"score": score, "int_score": released_int_score(score) if scoring.paper_exact else int_score(score)}
    if scoring.threshold is not None:
        columns["keep"] = score >= scoring.threshold
    if scoring.keep_chunks:
        columns["chunks"] = chunks
    return columns


# ---------------------------------------------------------------- what the counts tell


def count(counts: Counter[str], row: dict, score: float, tokens: int, cut: bool, scoring: Scoring) -> None:
    """`rows 2.5|es|wiki` and `tokens 2.5|es|wiki`: how much scores from 2.5 to 2.6, by language and source."""
    lang = row.get("lang") or detect_language(row[scoring.text_column][:DETECTED_IN])
    source = str(row.get(scoring.source_column, "")) if scoring.source_column else ""
    place = f"{lower_edge(score)}|{lang}|{source}"
    if f"rows {place}" not in counts and len(counts) > MOST_GROUPS * len(BINS):
        place = f"{lower_edge(score)}|{lang}|other"
    counts["tokens"] += tokens
    counts["cut at the window"] += cut
    counts[f"rows {place}"] += 1
    counts[f"tokens {place}"] += tokens


def lower_edge(score: float) -> str:
    """Of the step of 0.1 that a score lies in: "2.5"; "below 0" has no edge."""
    place = int(np.searchsorted(BINS, score, side="right")) - 1
    return f"{BINS[place]:.1f}" if place >= 0 else "below 0"


def histogram(counts: Mapping[str, int], unit: str = "rows") -> dict[tuple[str, str, str], int]:
    """(lower edge, language, source) -> rows or tokens."""
    return {
        tuple(name.removeprefix(f"{unit} ").split("|", 2)): number
        for name, number in counts.items()
        if name.startswith(f"{unit} ") and "|" in name
    }


def kept_at(counts: Mapping[str, int], unit: str = "rows", lang: str | None = None) -> dict[float, int]:
    """What each threshold would keep, of all or of one language."""
    steps = {float(edge): 0 for edge in (f"{edge:.1f}" for edge in BINS)}
    for (edge, its_lang, _), number in histogram(counts, unit).items():
        if edge != "below 0" and lang in (None, its_lang):
            steps[float(edge)] += number
    kept, running = {}, 0
    for edge in sorted(steps, reverse=True):
        running += steps[edge]
        kept[edge] = running
    return dict(sorted(kept.items()))
