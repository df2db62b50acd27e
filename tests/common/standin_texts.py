"""Texts in four languages, and what the stand-in says to a prompt."""

import random

from hypothesis import strategies as st

from common.llm.standin.rules import answer, load_rules

RULES = load_rules()
EN = "The river rises in the north. It feeds four towns, and their mills. In 1969 a dam was built. Boats still pass."
ZH = "长江是中国最长的河流，全长约6300公里。它发源于青藏高原，注入东海。流域内有许多大城市。人口也很多。"
ES = "El río nace en el norte. Alimenta cuatro pueblos y sus molinos. En 1969 se construyó una presa. Los barcos pasan."
PT = (
    "O rio nasce no norte. Ele alimenta quatro vilas e os moinhos. Em 1969 foi feita uma barragem. Os barcos não param."
)
TEXTS = {"en": EN, "zh": ZH, "es": ES, "pt": PT}
PAGE = st.text(min_size=1, max_size=300)
SEEDS = st.integers(0, 2**32)


def rule(user, system="", seed=0):
    return answer(RULES, user, system, random.Random(seed))
