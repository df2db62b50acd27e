"""The released verdict on Ape210k, exactly: does the response state every part of the gold answer, in order?

ends, span = answer_span(response)
right = states(gold_parts("(4/5)"), span)     # the parts 4 and 5, neither cut out of a longer number
"""

from common.errors import Reject

ANSWER = "答："
PARTS = ("（1）", "（2）")
LATER_PARTS = ("（2）", "（3）", "（4）")
CONCLUSIONS = ("故答案为", "故选", ANSWER)
# Stripped as sets of characters, as released: what is meant is a word in front.
SENTENCE_ENDS = (".", "。", "．")
BEFORE_GOLD = "[解答过程]\n"


def without_echo(output: str, question: str) -> str:
    """A response that repeats its prompt, without it; released as a set of characters, so more may go."""
    return output.lstrip(f"Human: {question}\nAssistant: ").replace("⁇", "").strip()


def plain_gold(target: str) -> str:
    """`106．` is 106."""
    text = target.strip()
    for end in SENTENCE_ENDS:
        text = text.rstrip(end)
    return text.strip().lstrip(BEFORE_GOLD)


def gold_parts(target: str) -> list[str]:
    """`(4/5)` has the parts 4 and 5, `1；2` has 1 and 2."""
    return plain_gold(target).lstrip("(").rstrip(")").replace("/", "；").split("；")


def answer_span(output: str) -> tuple[str, str]:
    """(which rule found it, the text that states the answer)."""
    if output.count(ANSWER) > 1:
        lines = [part.split("\n")[0] for part in output.split(ANSWER)[1:]]
        return "answers after 答：", "".join(line + "\n" for line in lines).replace(" ", "")
    if all(part in output for part in PARTS):
        return "ends of numbered parts", "\n".join(_ends_of_parts(output.split("\n"))).strip().replace(" ", "")
    text = output.strip()
    for mark in CONCLUSIONS:
        if mark in text:
            text = text.split(mark)[1]
    return "last line", text.replace(" ", "").split("\n")[-1]


def _ends_of_parts(lines: list[str]) -> list[str]:
    """The last line that is not blank before each later part, and of the whole."""
    ends, last = [], ""
    for line in lines:
        if line.startswith(LATER_PARTS):
            ends.append(last)
        if line.strip():
            last = line
    return [*ends, last]


def states(parts: list[str], span: str) -> bool:
    """All parts stand in the span, one behind the other; a hit that cuts a number, or stands before $, is none."""
    end = 0
    for part in parts:
        while True:
            start = span.find(part, end)
            if start < 0:
                return False
            if not part and 0 < start == len(span):
                raise Reject("the gold answer has an empty part, on which the released rule fails here")
            end = start + len(part)
            cut_before = start > 0 and span[start].isdigit() and span[start - 1].isdigit()
            cut_behind = end < len(span) and span[end - 1].isdigit() and span[end].isdigit()
            dollar = end < len(span) and span[end] == "$" and span[end - 1] != "}"
            if not (cut_before or cut_behind or dollar):
                break
            if not part:
                raise Reject("the gold answer has an empty part, on which the released rule never ends here")
    return True
