"""The released verdicts on mathematics, recorded: `python tests/parity.py eval FOLDER`."""

from pathlib import Path
from tempfile import TemporaryDirectory

from common.rows import read_rows, write_rows
from eval import cmath_eval, evaluate_ape210k
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


CHECKS = {"ape210k*_expected.jsonl": check_ape210k, "cmath*_expected.jsonl": check_cmath}
