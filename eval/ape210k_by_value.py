"""A second verdict on Ape210k, which the released code has not: is the last stated answer equal by value?"""

import re
from fractions import Fraction

from eval.ape210k_rule import ANSWER

STATED = [
    re.compile(r"答：[^\n]*"),
    re.compile(r"（\d+）[^\n]*"),
    re.compile(r"故(?:答案为|选).*", re.DOTALL),
]
NUMBERED = re.compile(r"（\d+）")
NUMBER = re.compile(
    r"(\d{1,40})?\((\d{1,40})/(\d{1,40})\)|(\d{1,40}(?:\.\d{1,40})?)(?:/(\d{1,40}(?:\.\d{1,40})?))?(%)?"
)
ONE_WAY = [  # of writing what is written in several
    (re.compile(r"(?<=\d),(?=\d{3}(?!\d))"), ""),
    (re.compile(r"\\[dt]?frac\{(\d+)\}\{(\d+)\}"), r"(\1/\2)"),
    (re.compile(r"(\d+)分之(\d+)"), r"(\2/\1)"),
    (re.compile(r"(\d+)又(?:\((\d+/\d+)\)|(\d+/\d+))"), r"\1(\2\3)"),
    (re.compile(r"\\?％|\\%"), "%"),
]


def values(text: str) -> set[Fraction]:
    """The numbers of a text by value: 0.50 is 0.5, (1/2) and 2分之1 are 1/2, 2(1/2) and 2又1/2 are 5/2, 50% is 1/2."""
    found = set()
    for pattern, plain in ONE_WAY:
        text = pattern.sub(plain, text)
    for whole, upper, lower, number, divisor, percent in NUMBER.findall(text):
        if upper:
            if int(lower):
                found.add(int(whole or 0) + Fraction(int(upper), int(lower)))
        elif not divisor or Fraction(divisor):
            found.add(Fraction(number) / Fraction(divisor or 1) / (100 if percent else 1))
    return found


def last_statement(output: str) -> str:
    """The last line with 答：, the last numbered part, what follows 故答案为 or 故选, or the last line."""
    for pattern in STATED:
        if found := pattern.findall(output):
            return found[-1]
    return "".join(output.strip().splitlines()[-1:])


def is_equal(target: str, output: str) -> bool | None:
    """Whether the last stated answer has the gold value, however written; None for a gold that is not one number."""
    gold = values(target)
    if len(gold) != 1:
        return None
    stated = NUMBERED.sub("", last_statement(output)).removeprefix(ANSWER)
    return bool(gold & values(stated.rpartition("=")[2]))
