"""The paper's pairing, written naively: every web row against every high-quality row until one fits."""

import re
from collections import Counter


def normalise(text: str, web_question: bool = False) -> str:
    if web_question:
        text = re.sub(r"(\\n)+", "\n", text)
    text = text.replace("【题文】", "")
    text = re.sub(r"[A-Za-z]{2,}", "", text)
    return "".join(re.findall(r"[0-9A-Za-z\u4e00-\u9fa5]", text))


def distance(question: str, other: str) -> int:
    ours, theirs = Counter(question), Counter(other)
    return sum((ours - theirs).values()) + sum((theirs - ours).values())


def is_subsequence(short: str, long: str) -> bool:
    rest = iter(long)
    return all(character in rest for character in short)


def is_pair(web_question: str, web_analysis: str, question: str, solution: str) -> bool:
    if web_question == question:
        return True
    if abs(len(web_question) - len(question)) > 5 or distance(web_question, question) > 5:
        return False
    return is_subsequence(solution, web_analysis)


def pairs(web: list[tuple[str, str]], high_quality: list[tuple[str, str]]) -> list[tuple[int, int]]:
    """(high-quality index, web index) of raw (question, analysis) against raw (question, solution)."""
    clean = [(normalise(question), normalise(solution)) for question, solution in high_quality]
    found = []
    for place, (question, analysis) in enumerate(web):
        question, analysis = normalise(question, web_question=True), normalise(analysis)
        for index, (clean_question, solution) in enumerate(clean):
            if is_pair(question, analysis, clean_question, solution):
                found.append((index, place))
                break
    return found
