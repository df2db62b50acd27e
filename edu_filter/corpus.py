"""One file of a corpus: scored window by window, written back in the order of its rows.

counts = score_file(Scoring({"head": "out/head/model"}), "web/000.parquet", "scored/000.parquet")
kept_at(counts)       # {0.0: rows, 0.1: rows, ...}: what a threshold would keep, from the counts alone
"""

import functools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.errors import BadInput, BadRow, BadValue, CommonError, Reject
from common.languages import detect_language
from common.rows import RowWriter, scan_rows, schema_of
from common.step import need
from edu_filter.ratings import HIGHEST, int_score, released_int_score

if TYPE_CHECKING:  # they bring torch along
    from edu_filter.encoder import Tokenizer
    from edu_filter.ensemble import Group

LONG = ("head", "chunks_mean", "chunks_max", "head_tail")
DETECTED_IN = 500  # characters: enough to tell a language, and a tenth of the time
MOST_GROUPS = 1000  # of sources in one file's counts; what comes later counts as "other"
BINS = np.arange(10 * HIGHEST + 1) / 10


@dataclass(frozen=True)
class Scoring:
    """How texts are scored; the same for all files of a run."""

    models: Mapping[str, str]  # by their short names
    text_column: str = "texto"
    long: str = "head"
    max_length: int | None = None
    window: int = 16384
    batch_tokens: int | None = None
    device: str = "cpu"
    dtype: str = "fp32"
    threshold: float | None = None
    combine: str = "mean"
    source_column: str | None = None
    keep_chunks: bool = False
    on_bad_row: str = "stop"
    split: str | None = None
    paper_exact: bool = False
    workers: int = 1


def score_file(scoring: Scoring, source: str, target: str) -> dict[str, int]:
    """Score the rows of one file. Runs in a worker, which keeps the model for the next file."""
    groups = load_for(scoring)
    counts: Counter[str] = Counter()
    rejected_path = Path(f"{target}.rejected.jsonl")
    # Every column comes back with its type; only the released scores may be no numbers.
    writer = RowWriter(target, allow_nan=scoring.paper_exact, schema=schema_of(source, scoring.split))
    with writer, RowWriter(rejected_path, allow_nan=True) as rejected:
        rows = enumerate(scan_rows(source, scoring.split))
        while window := list(islice(rows, scoring.window)):
            good = list(usable(window, scoring, source, rejected))
            results = score_rows([row for _, row in good], scoring, groups, counts)
            for (index, row), scores in zip(good, results, strict=True):
                if isinstance(scores, Reject):
                    set_aside(index, scores.reason, row, scoring, source, rejected)
                else:
                    writer.write(row | scores)
        counts["rows"], counts["rejected"] = writer.count, rejected.count
    if not counts["rejected"]:
        rejected_path.unlink()
    return dict(counts)


def named_models(paths: Sequence[str]) -> dict[str, str]:
    """Short names for columns: a path's last piece, of step 2's CHECKPOINT_DIR/model the last but one."""
    named: dict[str, str] = {}
    for path in paths:
        folder = Path(path)
        if folder.is_dir() and not (folder / "config.json").exists():
            meant = f"; {folder / 'model'} is" if (folder / "model" / "config.json").exists() else ""
            raise BadInput(f"--model_path {path}: is no model, it has no config.json{meant}")
        name = folder.absolute().parent.name if folder.name == "model" else folder.name
        if name in named:
            raise BadInput(f"--model_path: two models would be called {name}; their columns need names of their own")
        named[name] = path
    return named


def load_for(scoring: Scoring) -> list:
    same = scoring.max_length, scoring.device, scoring.dtype, scoring.paper_exact, scoring.workers
    return load(tuple(scoring.models.items()), *same)


@functools.cache
def load(
    models: tuple[tuple[str, str], ...],
    max_length: int | None,
    device: str,
    dtype: str,
    paper_exact: bool,
    workers: int,
) -> list:
    import torch

    from edu_filter.ensemble import group_scorers
    from edu_filter.model import load_scorer

    if device == "cpu":
        torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    elif not torch.cuda.is_available():
        raise CommonError("no GPU for this worker: --num_gpus is more than there are, or --device cpu is wanted")
    encoder_dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]
    dtypes = encoder_dtype, encoder_dtype if paper_exact else torch.float32
    return group_scorers({name: load_scorer(model, max_length).to(device, *dtypes) for name, model in models})


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


def score_rows(
    rows: Sequence[dict], scoring: Scoring, groups: Sequence["Group"], counts: Counter[str]
) -> list[dict | Reject]:
    """The new columns of each row. Tokens are counted as the first model cuts them."""
    from edu_filter.encoder import BATCH_TOKENS

    if not rows:
        return []
    texts = [row[scoring.text_column] for row in rows]
    cuts = {id(group.tokenizer): windows_of(group.tokenizer, texts, scoring.long) for group in groups}
    scores: dict[str, list[list[float]]] = {}
    for group in groups:
        windows, _ = cuts[id(group.tokenizer)]
        budget = scoring.batch_tokens or BATCH_TOKENS[group.device.type]
        found, used = group.score([ids for windows_of_text in windows for ids in windows_of_text], budget)
        if used < budget:
            counts[f"windows scored with {used} tokens a batch"] += 1  # the memory did not suffice for more
        ends = np.cumsum([len(windows_of_text) for windows_of_text in windows])[:-1]
        for name, column in zip(group.names, found.T, strict=True):
            scores[name] = [chunks.tolist() for chunks in np.split(column, ends)]
    results = []
    for at, (row, windows, was_cut) in enumerate(zip(rows, *cuts[id(groups[0].tokenizer)], strict=True)):
        results.append(columns := columns_of({name: chunks[at] for name, chunks in scores.items()}, scoring))
        if isinstance(columns, dict):
            count(counts, row, columns["score"], sum(map(len, windows)), was_cut, scoring)
    return results


def windows_of(tokenizer: "Tokenizer", texts: Sequence[str], long: str) -> tuple[list[list[list[int]]], list[bool]]:
    """The windows of each text that are scored, and whether it is longer than one."""
    if long == "head":
        tokens = tokenizer(texts)
        return [[text.ids] for text in tokens], [text.cut for text in tokens]
    windows = tokenizer.windows(texts)
    cut = [len(found) > 1 for found in windows]
    return [found[:1] + found[1:][-1:] for found in windows] if long == "head_tail" else windows, cut


def columns_of(chunks: Mapping[str, Sequence[float]], scoring: Scoring) -> dict | Reject:
    """Of the scores of each model's windows: one score, with a column each model where there are several."""
    best = scoring.long == "chunks_max"
    scores = {name: max(found) if best else sum(found) / len(found) for name, found in chunks.items()}
    if not scoring.paper_exact and (bad := [name for name, score in scores.items() if math.isnan(score)]):
        return Reject(f"the score of {bad[0]} is not a number")
    score = max(scores.values()) if scoring.combine == "max" else sum(scores.values()) / len(scores)
    columns = {"score": score, "int_score": released_int_score(score) if scoring.paper_exact else int_score(score)}
    if scoring.threshold is not None:
        columns["keep"] = score >= scoring.threshold
    several = len(chunks) > 1
    columns |= {f"score_{name}": score for name, score in scores.items() if several}
    if scoring.keep_chunks:
        columns |= {f"chunks_{name}" if several else "chunks": list(found) for name, found in chunks.items()}
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
