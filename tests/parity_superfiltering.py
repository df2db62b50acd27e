"""Superfiltering against the released code's outputs: `python tests/parity.py superfiltering FOLDER`."""

import math
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from common.rows import read_rows
from superfiltering import step1_score_ifd, step2_attach_scores, step3_select
from tests import parity_eval
from tests.in_process import Verdicts, run_program

LONG_WINDOW, SHORT_WINDOW = 1024, 64  # the released default, and the window of the hard rows
OF_MODELS, OF_RATIOS = 1e-4, 1e-12  # relative


def find_near(path: Path, name: str) -> Path:
    """A companion: beside the file, in a folder above it, or in one beside those."""
    for folder in path.parents[:3]:
        for found in (folder / name, *sorted(folder.glob(f"*/{name}"))):
            if found.exists():
                return found
    raise FileNotFoundError(f"{name}: not found near {path}")


def check_scores(path: Path) -> Verdicts:
    yield from scores(path, find_near(path, "alpaca_sample.json"), find_near(path, "tiny_gpt2"), LONG_WINDOW)


def check_hard_scores(path: Path) -> Verdicts:
    """ifd_hard_MODEL_expected.jsonl, of ifd_hard_rows.json."""
    model = path.name.removeprefix("ifd_hard_").removesuffix("_expected.jsonl")
    yield from scores(path, find_near(path, "ifd_hard_rows.json"), find_near(path, model), SHORT_WINDOW)


def scores(path: Path, rows: Path, model: Path, max_length: int) -> Verdicts:
    with TemporaryDirectory() as folder:
        found = Path(folder, "scores.jsonl")
        paths = ("--data_path", rows, "--save_path", found, "--model_name_or_path", model)
        run_program(step1_score_ifd, *paths, "--max_length", max_length, "--paper_exact", "--device", "cpu")
        yield from compare(read_rows(found, allow_nan=True), read_rows(path, allow_nan=True), OF_MODELS)


def check_attached(path: Path) -> Verdicts:
    """Step 2 on the released scores."""
    with TemporaryDirectory() as folder:
        found = attach(find_near(path, "ifd_scores_expected.jsonl"), find_near(path, "alpaca_sample.json"), folder)
        yield from compare(read_rows(found, allow_nan=True), read_rows(path, allow_nan=True), OF_RATIOS)


def check_selected(path: Path) -> Verdicts:
    """Step 3 on the released rows with scores."""
    with TemporaryDirectory() as folder:
        found = select(find_near(path, "with_ifd_expected.json"), folder)
        yield from compare(read_rows(found, allow_nan=True), read_rows(path, allow_nan=True), OF_RATIOS)


def check_hard_selection(path: Path) -> Verdicts:
    """Steps 2 and 3 on the released scores: the ratio of every row, then the numbers of those selected."""
    (wanted,) = read_rows(path, allow_nan=True)
    scored = path.with_name(path.name.replace("_selection_expected.json", "_expected.jsonl"))
    with TemporaryDirectory() as folder:
        attached = attach(scored, find_near(path, "ifd_hard_rows.json"), folder)
        ratios = [row["ifd_ppl"] for row in read_rows(attached, allow_nan=True)]
        yield from compare(ratios, wanted["ifd_ppl"], OF_RATIOS)
        selected = select(attached, folder, "--add_index")
        yield from compare([row["index"] for row in read_rows(selected)], wanted["selected_10pct"], OF_RATIOS)


def attach(scored: Path, rows: Path, folder: str) -> Path:
    found = Path(folder, "with_ifd.jsonl")
    paths = ("--pt_data_path", scored, "--json_data_path", rows, "--json_save_path", found)
    run_program(step2_attach_scores, *paths, "--paper_exact")
    return found


def select(rows: Path, folder: str, *flags: str) -> Path:
    found = Path(folder, "selected.jsonl")
    paths = ("--json_data_path", rows, "--json_save_path", found, "--sample_rate", 0.1, "--paper_exact")
    run_program(step3_select, *paths, *flags)
    return found


def compare(found: Iterator, wanted: Iterator, tolerance: float) -> Verdicts:
    found, wanted = list(found), list(wanted)
    for number in range(max(len(found), len(wanted))):
        ours = found[number] if number < len(found) else "nothing"
        released = wanted[number] if number < len(wanted) else "nothing"
        yield same(ours, released, tolerance), f"ours {ours!r}, released {released!r}"


def same(ours: object, released: object, tolerance: float) -> bool:
    """Floats within a relative tolerance, NaN equal to NaN, everything else exactly."""
    if isinstance(released, dict) and isinstance(ours, dict):
        return list(ours) == list(released) and all(same(ours[key], released[key], tolerance) for key in released)
    if isinstance(released, list) and isinstance(ours, list):
        return len(ours) == len(released) and all(map(same, ours, released, [tolerance] * len(ours)))
    if isinstance(released, float) and isinstance(ours, int | float):
        both_nan = math.isnan(released) and math.isnan(ours)
        return both_nan or math.isclose(ours, released, rel_tol=tolerance)
    return ours == released


CHECKS = {
    "ifd_scores_expected.jsonl": check_scores,
    "ifd_hard_*_expected.jsonl": check_hard_scores,
    "with_ifd_expected.json": check_attached,
    "selected_10pct_expected.json": check_selected,
    "ifd_hard_*_selection_expected.json": check_hard_selection,
} | parity_eval.JUDGING
COMPANIONS = ("alpaca_sample.json", "ifd_hard_rows.json", "tiny_gpt2/*", "tiny_bos/*", *parity_eval.COMPANIONS)
