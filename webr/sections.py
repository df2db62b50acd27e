"""What a page is used for, and how much of it: the draws that WebR makes before it asks for a request.

kinds = kind_of_page(1000, [2, 2, 1, 1])       # kinds(400) -> "WI_part": pages in order, nothing left over
draw = draws(seed, page, "section")            # the same page draws the same, in every run
take_section(page, draw)                       # all sections, or with probability 1/2 the first few
"""

import hashlib
import random
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

from webr import as_released

KINDS = ("WI_all", "WI_part", "WR_all", "WR_part")  # web as instruction or as response, the whole text or a part
RATIO = (2, 2, 1, 1)
_BLANK_LINES = re.compile(r"\n[^\S\n]*\n\s*")


def draws(seed: int, page: str, purpose: str) -> random.Random:
    """Random draws that depend on the page and not on its place, so a repeated or extended run repeats them."""
    text = f"{seed}\n{purpose}\n{page}".encode("utf-8", "surrogatepass")
    return random.Random(hashlib.sha256(text).digest())


def sizes(count: int, ratio: Sequence[int]) -> list[int]:
    """How many of `count` rows each share gets, rounded to the nearest so that none is left over."""
    total = sum(ratio)
    ends = [(2 * count * share + total) // (2 * total) for share in accumulate(ratio)]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def kind_of_page(count: int, ratio: Sequence[int], paper_exact: bool = False) -> Callable[[int], str]:
    """From a page's place among all of them to its kind."""
    ends = list(accumulate((as_released.sizes if paper_exact else sizes)(count, ratio)))
    return lambda place: KINDS[bisect_right(ends[:-1], place)]


def take_section(page: str, draw: random.Random, paper_exact: bool = False) -> str:
    """The sections of a page without their heading marks: all of them, or a first part of uniform length."""
    sections, glue = (as_released.sections(page), "\n\n") if paper_exact else sections_of(page)
    if draw.random() < 0.5:
        sections = sections[: draw.randint(1, len(sections))]
    section = glue.join(sections)
    return section if section.strip("# \n") or paper_exact else page


def sections_of(page: str) -> tuple[list[str], str]:
    """The sections of a page and what stands between them. They end at blank lines; nine in ten pages of a crawl have
    none: then they end at line ends, which the released code does not do, so it never shortens such a page."""
    sections = _BLANK_LINES.split(page.strip())
    if len(sections) > 1:
        return [section.lstrip("#").strip() for section in sections], "\n\n"
    # A line is no heading for beginning with a space, as code does, or with #include.
    return [re.sub(r"^ ?#+ +", "", line) for line in page.strip().split("\n")], "\n"
