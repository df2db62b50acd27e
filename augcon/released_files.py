"""The released code's own files, in and out, so that one can enter or leave at any step.

    {"0": [["the root's text", "a question"], ["a part", "another"]], "1": []}

is `queries.json` and `filtered_queries.json`: a key a root, in order; a pair a question, in order.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from augcon.context_tree import quota
from augcon.prompts import language
from common.errors import BadInput
from common.rows import read_rows, replacing, write_rows


def write_queries(path: str | Path, pairs_of_roots: Iterable[list[tuple[str, str]]]) -> None:
    """With Python's own separators and escapes, as released; a root at a time."""
    with replacing(path) as part, open(part, "w", encoding="utf-8") as file:
        for root, pairs in enumerate(pairs_of_roots):
            file.write(f'{", " if root else "{"}"{root}": {json.dumps(pairs)}')
        file.write("}" if file.tell() else "{}")


def is_queries(path: str | Path) -> bool:
    """Whether a .json file holds one object with the numbers of roots as keys; rows would be an array or lines."""
    if not str(path).endswith(".json") or not Path(path).is_file():
        return False
    with open(path, encoding="utf-8") as file:
        head = file.read(200).lstrip()
    return head[:1] == "{" and head[1:].lstrip()[:2] in ('"0', "}")


def read_queries(path: str | Path) -> dict[int, list[tuple[str, str]]]:
    try:
        queries = json.loads(Path(path).read_text(encoding="utf-8"))
        return {int(root): [(context, question) for context, question in pairs] for root, pairs in queries.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: expected an object of roots, each a list of [context, question]: {error}") from None


def root_rows(path: str | Path) -> Iterator[dict]:
    """Rows as step 1 writes them. The root's text is its longest context: its own node, unless that was lost."""
    for root, pairs in read_queries(path).items():
        text = max((context for context, _ in pairs), key=len, default="")
        questions = [{"context": context, "question": question} for context, question in pairs]
        yield {"root": root, "lang": language(text), "text": text, "quota": quota(text), "questions": questions}


def question_rows(path: str | Path) -> Iterator[dict]:
    """Rows as step 3 writes them."""
    for root, pairs in read_queries(path).items():
        for rank, (context, question) in enumerate(pairs):
            yield {"root": root, "rank": rank, "lang": language(context), "context": context, "question": question}


def as_rows(path: str, beside_path: str | Path, convert: Callable[[str], Iterable[dict]]) -> str:
    """`path` itself, or where it is in the released form a file of the rows that it becomes."""
    if not is_queries(path):
        return path
    target = beside(beside_path, "from_released")
    write_rows(target, convert(path))
    return target


def questions_by_root(path: str | Path) -> Iterator[list[tuple[str, str]]]:
    """Of the questions that step 1 wrote: a list a root."""
    for row in read_rows(path):
        yield [(question["context"], question["question"]) for question in row["questions"]]


def kept_by_root(roots_path: str | Path, kept_path: str | Path) -> Iterator[list[tuple[str, str]]]:
    """Of the questions that step 3 kept: a list a root, empty for those that kept none."""
    kept = groupby(read_rows(kept_path, allow_nan=True), key=itemgetter("root"))
    root, rows = next(kept, (None, ()))
    for row in read_rows(roots_path, allow_nan=True):
        yield [(one["context"], one["question"]) for one in rows] if row["root"] == root else []
        if row["root"] == root:
            root, rows = next(kept, (None, ()))


def split_of(path: str | Path, split: str) -> str | None:
    """That split of a dataset folder which has it, such as DailyM; None for anything else."""
    return split if Path(path, split).is_dir() else None


def beside(path: str | Path, name: str) -> str:
    """out/questions.jsonl and "pairs": out/questions.pairs.jsonl"""
    return str(Path(path).with_name(f"{Path(path).name.partition('.')[0]}.{name}.jsonl"))
