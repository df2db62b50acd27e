"""A corpus that every installation has: docstrings of the standard library and descriptions of installed packages.

    python edu_filter/small_corpus.py --save_path out/texts.jsonl

out  {"texto": "Return the sum of ...", "source": "stdlib"}, pieces of real English of about 1,000 characters
"""

import importlib.metadata
import pkgutil
import random
import re
import sys
from ast import AsyncFunctionDef, ClassDef, FunctionDef, Module, get_docstring, parse, walk
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.program import make_parser, positive, run_main
from common.rows import write_rows

DOCUMENTED = (AsyncFunctionDef, ClassDef, FunctionDef, Module)
PAGE = 800  # characters


def docstrings() -> Iterator[list[str]]:
    """Of each pure Python module of the standard library, read without importing it."""
    folder = Path(random.__file__).parent
    for path in sorted(folder / f"{module.name}.py" for module in pkgutil.iter_modules([str(folder)])):
        if path.exists():
            nodes = [node for node in walk(parse(path.read_text(encoding="utf-8"))) if isinstance(node, DOCUMENTED)]
            yield [text for node in nodes if (text := get_docstring(node))]


def descriptions() -> Iterator[list[str]]:
    """Paragraphs of what each installed package says of itself."""
    for package in sorted(importlib.metadata.distributions(), key=lambda found: found.metadata["Name"] or ""):
        text = package.metadata.get_payload() or package.metadata["Description"] or ""
        yield [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]


def pieces(number: int, seed: int) -> list[dict]:
    """Paragraphs put together to about a page each."""
    found = {}
    for source, texts in (("stdlib", docstrings()), ("packages", descriptions())):
        for paragraphs in texts:
            page = ""
            for paragraph in paragraphs:
                page = f"{page}\n\n{paragraph}".strip()
                if len(page) >= PAGE:
                    found.setdefault(page[: 2 * PAGE], {"texto": page[: 2 * PAGE], "source": source})
                    page = ""
    rows = list(found.values())
    random.Random(seed).shuffle(rows)
    return rows[:number]


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--save_path", required=True, help="the texts (.jsonl)")
    parser.add_argument("--num", type=positive, default=1200, help="texts")
    parser.add_argument("--seed", type=int, default=0, help="which of them")
    args = parser.parse_args()
    print(f"{args.save_path}: {write_rows(args.save_path, pieces(args.num, args.seed)):,} texts")


if __name__ == "__main__":
    run_main(main)
