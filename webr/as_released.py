"""The released code's rules where ours differ: what --paper_exact does. Found by running it (YJiangcm/WebR e161704).

clean("Here is the poem:\\n\\nRoses")                   # "Roses": with the local flavour, of a request or a response
is_refusal("I'm sorry, but ...")                        # True: these two beginnings, and no others
without_improvement_note("Improved answer:\\n\\nx")     # "x": with either flavour, of web as response
sections("# A \\n\\nB")                                 # ["A", "B"]: a page is cut at empty lines alone
sizes(1000, [2, 2, 1, 1])                               # [332, 332, 166, 170]
"""

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

MOST = {"WI": 66_666, "WR": 33_333}  # rows of each side, whatever number is asked for
SAVED = 100_000

Row = TypeVar("Row")


def clean(text: str) -> str:
    """Without the first paragraph if it begins with "Here is", and without double quotes around the whole."""
    if text.startswith(("Here is", "Here's")):
        text = _without_first_paragraph(text)
    return text.strip('"')


def is_refusal(text: str) -> bool:
    return text.startswith(("I'm sorry", "I apologize"))


def without_improvement_note(text: str) -> str:
    """Without its first paragraph if it speaks of an improved answer anywhere."""
    if "improved answer" not in text.lower():
        return text
    return _without_first_paragraph(text).strip("-").strip("\n").strip()


def _without_first_paragraph(text: str) -> str:
    return text.partition("\n\n")[2]


def sections(page: str) -> list[str]:
    pieces = page.split("\n\n")
    return [page] if len(pieces) == 1 else [piece.lstrip("#").strip() for piece in pieces]


def sizes(count: int, ratio: Sequence[int]) -> list[int]:
    """How many of `count` pages each kind gets: shares rounded down, and the last one takes what is left over."""
    first = [share * (count // sum(ratio)) for share in ratio[:-1]]
    return [*first, count - sum(first)]


def choose(
    instructions: Sequence[Row], responses: Sequence[Row], page_of: Callable[[Row], str], draw: random.Random
) -> tuple[list[Row], list[Row], list[bool]]:
    """Rows of web as instruction, of web as response, and for each of the first whether the request goes before the
    page. A page serves one response, and none if it serves an instruction that is taken."""
    instructions, responses = list(instructions), list(responses)
    draw.shuffle(instructions)
    draw.shuffle(responses)
    taken = instructions[: MOST["WI"]]
    used, answered = {page_of(row) for row in taken}, []
    for row in responses:
        if len(answered) == MOST["WR"]:
            break
        if (page := page_of(row)) not in used:
            answered.append(row)
            used.add(page)
    return taken, answered, [draw.uniform(0, 1) > 0.5 for _ in taken]
