"""web_to_sft against recorded outputs of the released code: `python tests/parity.py web_to_sft FOLDER`."""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from common.rows import read_rows, write_rows
from tests.in_process import Verdicts, compare, run_program
from web_to_sft import rule_baseline, step1_match_pairs, step5_build_sft


def beside(expected: Path, what: str) -> Path:
    return expected.with_name(expected.name.replace("expected", what))


def run_step(step: ModuleType, rows: Iterable[dict], *arguments: str) -> list[dict]:
    """The rows that a step with --data_path and --save_path writes."""
    with TemporaryDirectory() as folder:
        source, target = Path(folder, "in.jsonl"), Path(folder, "out.jsonl")
        write_rows(source, rows)
        run_program(step, "--data_path", source, "--save_path", target, *arguments)
        return list(read_rows(target))


def check_rules(path: Path) -> Verdicts:
    texts = ({"raw_analysis": row["raw_analysis"]} for row in read_rows(path))
    yield from compare(run_step(rule_baseline, texts, "--paper_exact"), read_rows(path))


def check_conversions(path: Path) -> Verdicts:
    """Rows as the released code writes them, columns in order; or [instruction, output] by both released paths."""
    wanted = list(read_rows(path))
    if "as_released" not in wanted[0]:
        found = run_step(step5_build_sft, read_rows(beside(path, "input")), "--paper_exact")
        yield from compare((list(row.items()) for row in found), (list(row.items()) for row in wanted))
        return
    outputs = [{"dasou57w_idx": index, "output": row["output"]} for index, row in enumerate(wanted)]
    for form, column in (("small", "as_released"), ("crawl", "as_released_for_a_crawl")):
        rows = run_step(step5_build_sft, outputs, "--paper_exact", form)
        found = {row["dasou57w_idx"]: [row["instruction"], row["output"]] for row in rows}
        yield from compare(map(found.get, range(len(wanted))), (row[column] for row in wanted))


def check_pairs(path: Path) -> Verdicts:
    with TemporaryDirectory() as folder:
        target = Path(folder, "pairs.jsonl")
        inputs = "--web_path", beside(path, "web"), "--high_quality_path", beside(path, "high_quality")
        run_program(step1_match_pairs, *inputs, "--save_path", target)
        yield from compare(list(read_rows(target)), read_rows(path))


CHECKS = {
    "rule_cleaning*_expected.jsonl": check_rules,
    "converted*_expected.jsonl": check_conversions,
    "pairs*_expected.jsonl": check_pairs,
}
COMPANIONS = ("converted*_input.jsonl", "pairs*_web.jsonl", "pairs*_high_quality.jsonl")
