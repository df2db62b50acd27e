"""How the stand-in answers this method's prompts: a question about a context, and the context cut in two.

Context 1: … Context 2:                 a question and the last context cut in two
"""

import math
import random
import re

from common.llm.standin.prompts import Prompt, split_sections
from common.llm.standin.quoting import clauses
from common.llm.standin.words import QUESTIONS

CONTEXT_1 = re.compile(r"(?:[Cc]ontexto?|CONTEXTO?|子?上下文) ?[1一](?=[:：])")


def split_context(prompt: Prompt, rng: random.Random) -> str | None:
    mark = CONTEXT_1.search(prompt.user)
    if not mark:
        return None
    context = " ".join((prompt.body("text") or prompt.block).split())
    first, second = cut_in_two(context)
    question = rng.choice(QUESTIONS[prompt.language]).format(rng.choice(clauses(context, prompt.language)))
    cue = prompt.sections[-1]
    label = "" if cue.role == "question" and not cue.body else _question_label(prompt)
    other = mark[0].replace("1", "2").replace("一", "二")
    return f"{label}{question}\n\n{mark[0]}: {first}\n\n{other}: {second}"


def _question_label(prompt: Prompt) -> str:
    labels = [part.label for part in split_sections(prompt.user) if part.role == "question"]
    return labels[-1].replace(":", ": ") if labels and labels[-1][-1] in ":：" else ""


def cut_in_two(text: str) -> tuple[str, str]:
    """At the end of a sentence nearest to the middle, else of a clause, a word, anywhere; the text is stripped."""
    middle = len(text) / 2
    for end in (r"[。！？]+[”’」]?|[.!?]+(?=\s)", r"[，,；;：:、]", r"\s"):
        cuts = [match.end() for match in re.finditer(end, text) if match.end() < len(text)]
        if cuts:
            cut = min(cuts, key=lambda place: abs(place - middle))
            return text[:cut].strip(), text[cut:].strip()
    return text[: math.ceil(middle)], text[math.ceil(middle) :]


MARK_RULES = (split_context,)
