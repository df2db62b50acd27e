"""What the steps read: the columns of crawled and clean rows, and splits of dataset folders."""

import argparse
from pathlib import Path

from common.errors import BadRow, BadValue
from common.step import need

COLUMNS = {  # flag: the paper's name, and what stands there
    "web_question_key": ("question", "column of the crawled problem"),
    "web_analysis_key": ("raw_analysis", "column of the crawled solution"),
    "high_quality_question_key": ("input", "column of the clean problem"),
    "high_quality_solution_key": ("solve_step", "column of the clean solution"),
}


def add_column_arguments(parser: argparse.ArgumentParser, *names: str) -> None:
    group = parser.add_argument_group("columns (the paper's)")
    for name in names or COLUMNS:
        default, meaning = COLUMNS[name]
        group.add_argument(f"--{name}", default=default, help=meaning)


def split_of(path: str | Path, split: str | None) -> str | None:
    """`--split` is for the inputs that have splits; several inputs of a step need not all be such folders."""
    return split if (Path(path) / "dataset_dict.json").exists() else None


def text_of(row: dict, key: str) -> str:
    """The column's text; the paper's high-quality rows hold it as the only element of a list."""
    value = need(row, key, (str, list))
    if isinstance(value, list):
        if not value or not isinstance(value[0], str):
            raise BadValue(f"{key!r} is a list that does not begin with a text")
        value = value[0]
    return value


def texts_of(path: str | Path, index: int, row: dict | BadRow, keys: tuple[str, str]) -> tuple[str, str]:
    """Both texts of a row that cannot be done without."""
    if isinstance(row, BadRow):
        raise row
    try:
        return text_of(row, keys[0]), text_of(row, keys[1])
    except BadValue as problem:
        raise BadRow(str(path), index, problem.reason) from None
