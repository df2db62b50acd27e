"""Which examples stand in the prompt of an answer, and the judge that decides it.

search_candidates(examples=10, size=3, candidates=16, seed=0)      # sets of places; the best judged one is taken
bootstrap([True, None, False, True, …])                            # the released choice, from what the judge said
"""

import random
import re
from collections.abc import Sequence
from typing import NamedTuple

SHOWN = 3
MOST_ERRORS = 5  # the released run ends at so many


class Bootstrapped(NamedTuple):
    taken: list[int]  # shown with the model's own reasoning and answer
    labelled: list[int]  # shown as people wrote them
    judged: int  # examples that were tried
    ended: bool  # the fifth error ends the released run


def teacher_demonstrations(examples: int) -> list[int]:
    """Shown while an example is tried, without that example itself."""
    return random.Random(0).sample(range(examples), min(SHOWN, examples))


def bootstrap(accepted: Sequence[bool | None]) -> Bootstrapped:
    """`accepted` is what the judge would say to each example's answer; None: an error, or neither yes nor no."""
    taken: list[int] = []
    errors = judged = 0
    for place, verdict in enumerate(accepted):
        if len(taken) == SHOWN:
            break
        judged += 1
        errors += verdict is None
        if errors == MOST_ERRORS:
            return Bootstrapped(taken, [], judged, True)
        if verdict:
            taken.append(place)
    rest = [place for place in range(len(accepted)) if place not in taken]
    random.Random(0).shuffle(rest)
    labelled = random.Random(0).sample(rest, min(SHOWN - len(taken), len(rest)))
    return Bootstrapped(taken, labelled, judged, False)


def search_candidates(examples: int, size: int, candidates: int, seed: int) -> list[list[int]]:
    """Different sets of examples, each in a drawn order; fewer where there are not so many."""
    size = min(size, examples)
    rng, sets = random.Random(seed), {}
    for _ in range(20 * candidates):
        if len(sets) < candidates:
            sets.setdefault(frozenset(drawn := rng.sample(range(examples), size)), drawn)
    return list(sets.values())


def best_candidate(verdicts: Sequence[Sequence[bool | None]]) -> tuple[int, list[float]]:
    """The first candidate with the largest share of accepted answers, and all shares. Undecided is not accepted."""
    shares = [sum(verdict is True for verdict in each) / max(1, len(each)) for each in verdicts]
    return max(range(len(shares)), key=lambda place: (shares[place], -place)), shares


def released_verdict(reply: str) -> bool | None:
    """Anything with yes in it is yes, 不是 and "eyes" included; then anything with no in it is no."""
    reply = reply.strip().lower()
    if "是" in reply or "yes" in reply:
        return True
    return False if "否" in reply or "no" in reply else None


_VERDICT = re.compile(
    r"[\W_]*(?:"
    r"(?P<no>(?:no|não|nao|incorrect[ao]?|incorreto|false|falso)\b|(?:不是的?|不正确|不准确|不对|否|错误)(?![\u3400-\u9fff]))"
    r"|(?P<yes>(?:yes|sí|si|sim|correct[ao]?|correto|true)\b|(?:是的?|正确|准确|对)(?![\u3400-\u9fff])))"
    r"(?!\s*[/|]|\s*(?:or|o|ou)\s+(?:yes|no|sí|si|sim|não)\b|\s*或)",
    re.IGNORECASE,
)


def verdict(reply: str) -> bool | None:
    """What the first word says, or else the last line, or what stands after its last colon."""
    lines = [line for line in reply.strip().split("\n") if line.strip()]
    if not lines:
        return None
    for place in (lines[0], lines[-1], re.split("[:：]", lines[-1])[-1]):
        if found := _VERDICT.match(place):
            return found["yes"] is not None
    return None
