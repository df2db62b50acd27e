"""How the stand-in answers this method's prompts.

Context 1: … Context 2:                 a question and the last context cut in two
[yes/no], [mark] and their like at the end   whether the answer says what stands above it; how much of it the text holds
a system message that names a mark      a sentence of the context, the mark, the sentences nearest to the question
"""

import math
import random
import re

from common.llm.standin.prompts import Prompt, split_sections
from common.llm.standin.quoting import answer_question, clauses, closeness, sentences
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


YES_NO = {"yes/no": ("Yes", "No"), "是/否": ("是", "否"), "sí/no": ("Sí", "No"), "sim/não": ("Sim", "Não")}
MARKS = ("mark", "分数", "puntuación", "nota")
LAST_CUE = re.compile(r"\[([^\[\]\n]{1,20})\]\s*$")
BRACKETED = re.compile(r"^\[[^\[\]\n]{1,30}\] (.*(?:\n(?!\[|\n).*)*)", re.MULTILINE)
NAMED_MARK = re.compile(r"[\"“«](answer:|回答：|respuesta:|resposta:)[\"”»]")


def judge(prompt: Prompt, rng: random.Random) -> str | None:
    """Texts stand behind names in brackets, the judged one last."""
    cue = LAST_CUE.search(prompt.user)
    texts = BRACKETED.findall(prompt.user)
    if not cue or cue[1] not in (*YES_NO, *MARKS) or len(texts) < 2:
        return None
    alike = max(closeness(texts[-1], text) for text in texts[:-1])
    if cue[1] in YES_NO:
        return YES_NO[cue[1]][alike < 0.5]
    return str(min(10, 1 + round(8 * alike) + rng.randint(0, 1)))


def answer_under_mark(prompt: Prompt, rng: random.Random) -> str | None:
    mark = NAMED_MARK.search(prompt.asked)
    answer = mark and answer_question(prompt, rng)
    if not answer:
        return None
    thought = rng.choice(sentences(prompt.given))
    return f"{thought}\n\n{mark[1].capitalize()} {answer}"


MARK_RULES = (split_context, judge)
WISH_RULES = (answer_under_mark,)
