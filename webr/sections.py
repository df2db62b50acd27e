"""What a page is used for, and how much of it: the draws that WebR makes before it asks for a request.

kinds = kind_of_page(pages, [2, 2, 1, 1])      # kinds(7) -> "WI_part": pages in order, nothing left over
draw = draws(seed, page, "section")            # the same page draws the same, in every run
take_section(page, draw)                       # all sections, or with probability 1/2 the first few
"""

import hashlib
import random
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

KINDS = ("WI_all", "WI_part", "WR_all", "WR_part")  # web as instruction or as response, the whole text or a part
RATIO = (2, 2, 1, 1)


def draws(seed: int, page: str, purpose: str) -> random.Random:
    """Random draws that depend on the page and not on its place, so a repeated or extended run repeats them."""
    text = f"{seed}\n{purpose}\n{page}".encode("utf-8", "surrogatepass")
    return random.Random(hashlib.sha256(text).digest())


def sizes(count: int, ratio: Sequence[int], as_released: bool = False) -> list[int]:
    """How many of `count` pages each kind gets. As released, the last one takes what is left over."""
    total = sum(ratio)
    if as_released:
        first = [share * (count // total) for share in ratio[:-1]]
        return [*first, count - sum(first)]
    ends = [(2 * count * share + total) // (2 * total) for share in accumulate(ratio)]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def kind_of_page(pages: Sequence[int], ratio: Sequence[int], as_released: bool = False) -> Callable[[int], str]:
    """From page number to kind. `pages` are the numbers of all pages that there are, in order."""
    ends = list(accumulate(sizes(len(pages), ratio, as_released)))
    borders = [pages[end] if end < len(pages) else pages[-1] + 1 for end in ends[:-1]]
    return lambda page: KINDS[bisect_right(borders, page)]


def take_section(page: str, draw: random.Random, as_released: bool = False) -> str:
    """The sections of a page without their heading marks: all of them, or a first part of uniform length.

    Sections end at blank lines. Nine in ten pages of a crawl have none: then they end at line ends, which the
    released code does not do, so it never shortens such a page.
    """
    if as_released:
        sections, glue = page.split("\n\n"), "\n\n"
    else:
        sections, glue = re.split(r"\n[^\S\n]*\n\s*", page.strip()), "\n\n"
        if len(sections) == 1:
            sections, glue = page.strip().split("\n"), "\n"
    if glue == "\n":  # a line is no heading for beginning with a space, as code does, or with #include
        sections = [re.sub(r"^ ?#+ +", "", section) for section in sections]
    else:
        sections = [section.lstrip("# ") for section in sections]
    if draw.random() < 0.5:
        sections = sections[: draw.randint(1, len(sections))]
    section = glue.join(sections)
    return section if section.strip("# \n") or as_released else page
