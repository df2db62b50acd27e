"""The rater of replicate_small.sh: rules for English technical prose, with all six ratings in use.

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


def rate_prose(prompt: Prompt, rng: random.Random) -> str | None:
    """Half the different explaining words, less the links and notices."""
    if "EDUCATIONAL SCORE" not in prompt.user:
        return None
    words = set(re.findall(r"[a-z]+", prompt.given.lower()))
    explaining = sum(word in words for word in EXPLAINING)
    selling = len(re.findall(SELLING, prompt.given.lower()))
    score = min(5, max(0, (explaining - selling) // 2))
    return f"{explaining} explaining words, {selling} links or notices.\n\nEDUCATIONAL SCORE: {score}"


MARK_RULES = (rate_prose,)
