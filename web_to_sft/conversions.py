"""Both sides of a conversion: the prompt that shows a crawled problem, and what the converter writes back."""

import re
from collections.abc import Set

from common.errors import Reject
from common.prompts import fill
from common.step import need
from web_to_sft.inputs import text_of

REPAIRS = {
    "spaces": "white space around problem and solution goes; released, only on the path for a whole crawl",
    "empty_texts": "an empty problem or solution is set aside; released, it is trained on",
    "other_columns": "columns of the crawled row stay; released, seven named ones do",
    "lost_numbers": "numbers of the problem that the conversion lost are named",
}
FORMS = {"small": frozenset(), "crawl": frozenset({"spaces"})}  # two functions of the released code: what each mends
RELEASED_COLUMNS = ("question", "raw_analysis", "rule_processed_analysis", "rule_processed_solvestep", "dasou57w_idx")
QUESTION_MARK = "[问题]"
ANSWER_MARK = "\n\n[答案]\n"
NOT_MATHS = "这不是一道中文数学题。"
UNREADABLE = "存在语法错误。"
# As released, the first is looked for without its 。
REFUSED = {NOT_MATHS.rstrip("。"): "not a Chinese maths problem", UNREADABLE: "unreadable"}
NUMBER = re.compile(r"\d+(?:\.\d+)?")


def converter_prompt(template: str, question: str, analysis: str) -> str:
    return fill(template, question=question, analysis=analysis)


def converter_answer(question: str, solution: str) -> str:
    """The clean side; its full-width spaces become plain ones."""
    return f"{QUESTION_MARK}\n{question}{ANSWER_MARK}{solution}".replace("\u3000", " ")


def parse_conversion(output: str, repairs: Set[str] = REPAIRS.keys()) -> tuple[str, str]:
    """(question, answer) of a converter's output; Reject for a refusal or a missing mark.

    The question stands between the first question mark and the answer mark; the answer ends at a second one.
    """
    for sentence, meaning in REFUSED.items():
        if sentence in output:
            raise Reject(f"refused: {meaning}")
    for mark in (QUESTION_MARK, ANSWER_MARK):
        if mark not in output:
            raise Reject(f"malformed: no {mark.strip()}")
    question = output.split(QUESTION_MARK)[1].split(ANSWER_MARK)[0]
    answer = output.split(ANSWER_MARK)[1]
    if "spaces" in repairs:
        question, answer = question.strip(), answer.strip()
    if "empty_texts" in repairs and not (question.strip() and answer.strip()):
        raise Reject("malformed: empty question or answer")
    return question, answer


def to_sft_row(row: dict, response_key: str, question_key: str, repairs: Set[str], max_characters: int = 0) -> dict:
    """The fine-tuning row of a converted row, or Reject."""
    question, answer = parse_conversion(need(row, response_key), repairs)
    if max_characters and len(question) + len(answer) > max_characters:
        raise Reject(f"longer than {max_characters} characters")
    if "other_columns" in repairs:
        kept = {key: value for key, value in row.items() if key not in ("instruction", "output", response_key)}
    else:
        kept = {key: row[key] for key in RELEASED_COLUMNS if key in row}
    result = kept | {"instruction": question, "output": answer}
    lost = []
    if "lost_numbers" in repairs and row.get(question_key):
        lost = lost_numbers(text_of(row, question_key), question + answer)
    return result | {"lost_numbers": lost} if lost else result


def lost_numbers(original: str, converted: str) -> list[str]:
    """Numbers of the original problem that the conversion no longer has: a sign that it changed the problem."""
    kept = set(NUMBER.findall(converted))
    return [number for number in dict.fromkeys(NUMBER.findall(original)) if number not in kept]
