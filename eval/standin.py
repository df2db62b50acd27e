"""How the stand-in answers the prompts of an evaluation.

a rating as [[n]]                       "Rating: [[7]]" of the last answer
a verdict as [[A>B]]                    one of the five, by both answers
the letter of the better output         m or M, by both outputs
two labelled answers, scale of 1 to 10  "7 5" and an explanation
yes or no                               one of the two
"""

import math
import random
import re

from common.llm.standin.prompts import Prompt
from common.llm.standin.quoting import closeness

YES_NO = {"en": ("Yes", "No"), "zh": ("是", "否"), "es": ("Sí", "No"), "pt": ("Sim", "Não")}

JUDGEMENTS = {
    "en": "Counted by rule: answer 1 has {0} characters, answer 2 has {1}; "
    "longer and closer to the question scores higher.",
    "zh": "按规则计分：回答一有{0}个字符，回答二有{1}个字符；更长、更贴近问题者得分更高。",
    "es": "Contado por reglas: la respuesta 1 tiene {0} caracteres, la 2 tiene {1}; "
    "la más larga y cercana a la pregunta puntúa más.",
    "pt": "Contado por regras: a resposta 1 tem {0} caracteres, a 2 tem {1}; "
    "a mais longa e próxima da pergunta pontua mais.",
}

WISHES = {  # what an instruction asks for, in the four languages, in small letters
    "yes_no": re.compile(
        r"\byes\b\W{0,3}(?:or|/)\W{0,3}no\b|(?:是|正确)\W{0,2}(?:或者?|/|还是)\W{0,2}(?:否|不是|错误)"
        r"|\bs[ií]\b\W{0,3}[ou/]\W{0,3}no\b|\bsim\b\W{0,3}(?:ou|/)\W{0,3}n[ãa]o\b"
    ),
    "ten_points": re.compile(
        r"\b(?:one|1)\s*(?:to|-|–|~|through|and|al?|até|y|e)\s*(?:10|ten)\b"
        r"|1\s*[到至~–-]\s*10|十分制|10\s*分"
    ),
}
PARTY = re.compile(
    r"(?im)^\W*(?:the |la |el |o |a |start of |begin(?:ning)? of |inicio de |início d[ae] "
    r"|respuesta del? |resposta d[oe] )*"
    r"(?:(?:ai )?assistant|answer|response|model|助手|回答|答案|模型|respuesta|resposta|asistente|assistente|modelo)"
    r"[ _#]{0,2}(?P<number>[12AB])\b[^\n:：\]】>]{0,30}(?:[\]】>]+[:：]?|[:：]|$)"
)


def judge_two(prompt: Prompt, rng: random.Random) -> str | None:
    parties = list(PARTY.finditer(prompt.user))
    if len(parties) < 2 or not WISHES["ten_points"].search(prompt.asked + prompt.user[-1500:].lower()):
        return None
    bodies: dict[str, str] = {}
    for party, following in zip(parties, [*parties[1:], None], strict=True):
        number = {"A": "1", "B": "2"}.get(party["number"], party["number"])
        body = prompt.user[party.end() : following.start() if following else None]
        body = re.split(r"(?m)^[\[【<#][^\n]*$", body)[0].strip()
        if "end of" not in party[0].lower():
            bodies.setdefault(number, body)
    if len(bodies) < 2:
        return None
    question = prompt.user[: parties[0].start()]
    scores = [_points(question, bodies[number]) for number in "12"]
    explanation = JUDGEMENTS[prompt.language].format(len(bodies["1"]), len(bodies["2"]))
    return f"{scores[0]} {scores[1]}\n\n{explanation}"


def _points(question: str, said: str) -> int:
    return min(10, max(1, round(1 + math.log2(1 + len(said)) * 0.6 + 3 * closeness(question, said)))) if said else 1


def say_yes_or_no(prompt: Prompt, rng: random.Random) -> str | None:
    if not WISHES["yes_no"].search(prompt.asked):
        return None
    answers = [part.body for part in prompt.sections if part.role == "answer" and part.body]
    against = answers[-2] if len(answers) > 1 else prompt.given
    yes, no = YES_NO[prompt.language]
    return yes if answers and closeness(answers[-1], against) >= 0.3 else no


HEADING = re.compile(r"(?m)^(?:\[[^\[\]\n]+\]|<\|[^|\n]+\|>)$")  # of a part, on a line of its own


def parts_of(prompt: Prompt) -> list[str]:
    """The texts under the headings, in order."""
    return [part.strip() for part in HEADING.split(prompt.user)[1:] if part.strip()]


def rate_one(prompt: Prompt, rng: random.Random) -> str | None:
    parts = parts_of(prompt) if "[[rating]]" in prompt.user else []
    return f"Counted by rule. Rating: [[{_points(parts[0], parts[-1])}]]" if len(parts) > 1 else None


def compare_two(prompt: Prompt, rng: random.Random) -> str | None:
    parts = parts_of(prompt) if "[[A>>B]]" in prompt.user else []
    if len(parts) < 3:
        return None
    ahead = _points(parts[-3], parts[-2]) - _points(parts[-3], parts[-1])
    verdicts = {0: "A=B", 1: "A>B", -1: "B>A"}
    return f"Counted by rule. [[{verdicts.get(ahead, 'A>>B' if ahead > 0 else 'B>>A')}]]"


def choose_letter(prompt: Prompt, rng: random.Random) -> str | None:
    parts = parts_of(prompt) if "[Output of m]" in prompt.user else []
    if len(parts) < 3:
        return None
    return "m" if _points(parts[0], parts[1]) >= _points(parts[0], parts[2]) else "M"


MARK_RULES = (rate_one, compare_two, choose_letter)
WISH_RULES = (judge_two, say_yes_or_no)
