"""The rater of replicate_small.sh: rules for English technical prose, with all six ratings in use. A rating is half the
number of different explaining words, less the links and notices.

python -m common.llm.standin --rules edu_filter/small_rater.py
"""

import random
import re

from common.llm.standin.prompts import Prompt

EXPLAINING = (
    "because if when while example must should otherwise means note default error which how why each value used instead"
    " returns function argument same different first then called object list string number"
).split()
SELLING = r"https?://|\bpip install|\bbadge|\bversion|\bcopyright|\blicen[cs]e|\bdownload|\bsponsor|\bstar\b|\bdonat"


def counted(text: str) -> tuple[int, int]:
    """Different explaining words; links and notices."""
    words = set(re.findall(r"[a-z]+", text.lower()))
    return sum(word in words for word in EXPLAINING), len(re.findall(SELLING, text.lower()))


def rating_of(text: str) -> int:
    explaining, selling = counted(text)
    return min(5, max(0, (explaining - selling) // 2))


def rate_prose(prompt: Prompt, rng: random.Random) -> str | None:
    if "EDUCATIONAL SCORE" not in prompt.user:
        return None
    explaining, selling = counted(prompt.given)
    reason = f"{explaining} explaining words, {selling} links or notices."
    return f"{reason}\n\nEDUCATIONAL SCORE: {rating_of(prompt.given)}"


MARK_RULES = (rate_prose,)
