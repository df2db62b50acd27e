"""The released verdicts on mathematics and on pairs of answers, recorded: `python tests/parity.py eval FOLDER`."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from common.rows import read_rows, write_rows
from eval import cmath_eval, evaluate_ape210k, judge_pairs
from eval.verdicts import combine, released_scores
from tests.in_process import Verdicts, compare, run_program


def check_ape210k(path: Path) -> Verdicts:
    wanted = list(read_rows(path))
    with TemporaryDirectory() as folder:
        answers = ({key: value for key, value in row.items() if key != "is_correct"} for row in wanted)
        write_rows(Path(folder, "answers.jsonl"), answers)
        run_program(evaluate_ape210k, "--base_output_path", folder, "--eval_file", "answers.jsonl", "--paper_exact")
        scored = list(read_rows(Path(folder, "answers.jsonl.scored.jsonl")))
    yield from compare((row["is_correct"] for row in scored), (row["is_correct"] for row in wanted))


def check_cmath(path: Path) -> Verdicts:
    wanted = list(read_rows(path))
    with TemporaryDirectory() as folder:
        answers = Path(folder, "answers.jsonl")
        write_rows(answers, ({key: row[key] for key in ("golden", "response")} for row in wanted))
        run_program(cmath_eval, "--response_dir", answers, "--response_key", "response", "--paper_exact")
        scored = list(read_rows(f"{answers}.scored.jsonl"))
    verdicts = ([(row["match"], row["extracted"]) for row in rows] for rows in (scored, wanted))
    yield from compare(*verdicts)


def check_judge_scores(path: Path) -> Verdicts:
    wanted = list(read_rows(path))
    yield from compare((released_scores(row["review"]) for row in wanted), (row["scores"] for row in wanted))


def check_combined(path: Path) -> Verdicts:
    """One review file a row."""
    wanted = list(read_rows(path))
    found = (combine(row["data"]) for row in wanted)
    yield from compare(found, ({key: value for key, value in row.items() if key != "data"} for row in wanted))


def check_published_reviews(path: Path) -> Verdicts:
    """{review file: [wins, ties, losses]}; the files lie in reviews/ beside."""
    for name, wanted in json.loads(path.read_text(encoding="utf-8")).items():
        with TemporaryDirectory() as folder:
            result = Path(folder, "result.json")
            reviews = path.parent / "reviews" / name
            run_program(judge_pairs, "combine", "--review_paths", reviews, "--save_path", result)
            (found,) = json.loads(result.read_text(encoding="utf-8")).values()
        yield from compare([[found[key] for key in ("wins", "ties", "losses")]], [wanted])


JUDGING = {
    "judge_scores*_expected.jsonl": check_judge_scores,
    "combine*_expected.jsonl": check_combined,
    "pairwise_expected.json": check_published_reviews,
}
CHECKS = {"ape210k*_expected.jsonl": check_ape210k, "cmath*_expected.jsonl": check_cmath} | JUDGING
COMPANIONS = ("reviews/*",)
