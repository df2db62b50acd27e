"""What the questions are about: how much of a root, and which of its sentences.

level("a part", "the whole text …")                       # "detail", "middle" or "whole"
coverage("One. Two.", ["One."])                           # {"One. ": 4, "Two.": None}: length of the nearest context
"""

from collections.abc import Sequence

from rapidfuzz.distance import LCSseq

from augcon.context_tree import context_words
from augcon.corpus import sentences

WHOLE, DETAIL = 0.6, 0.2  # of a root's length
HELD = 0.7  # of a sentence's words, in order
LEVELS = ("whole", "middle", "detail")


def level(context: str, root: str) -> str:
    share = len(context) / max(1, len(root))
    return "whole" if share > WHOLE else "detail" if share < DETAIL else "middle"


def coverage(root: str, contexts: Sequence[str]) -> dict[str, int | None]:
    """For each sentence the length of the shortest context that says what it says; None: no question is about it."""
    nearest: dict[str, int | None] = {}
    by_length = [(len(context), context_words(context)) for context in sorted(contexts, key=len)]
    for sentence in sentences(root):
        words = context_words(sentence)
        held = (length for length, others in by_length if LCSseq.similarity(words, others) >= HELD * len(words))
        nearest[sentence] = next(held, None) if words else 0
    return nearest
