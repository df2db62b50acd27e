"""What the converter writes: a problem and its solution between two marks, or one of two refusals."""

import re

from common.errors import Reject

QUESTION_MARK = "[问题]"
ANSWER_MARK = "\n\n[答案]\n"
NOT_MATHS = "这不是一道中文数学题。"
UNREADABLE = "存在语法错误。"
NUMBER = re.compile(r"\d+(?:\.\d+)?")


def parse_conversion(output: str) -> tuple[str, str]:
    """(question, answer) of a converter's output, as they stand there; Reject for a refusal or a missing mark.

    The question is what stands between the first question mark and the answer mark; the answer ends at a second one.
    """
    for refusal, reason in ((NOT_MATHS, "refused: not a Chinese maths problem"), (UNREADABLE, "refused: unreadable")):
        if refusal in output:
            raise Reject(reason)
    for mark in (QUESTION_MARK, ANSWER_MARK):
        if mark not in output:
            raise Reject(f"malformed: no {mark.strip()}")
    question = output.split(QUESTION_MARK)[1].split(ANSWER_MARK)[0]
    return question, output.split(ANSWER_MARK)[1]


def lost_numbers(original: str, converted: str) -> list[str]:
    """Numbers of the original problem that the conversion no longer has: a sign that it changed the problem."""
    kept = set(NUMBER.findall(converted))
    return [number for number in dict.fromkeys(NUMBER.findall(original)) if number not in kept]
