"""Ranks without a trained scorer: a judge's mark for each question, or a draw.

rate_questions(step, llm_options(args), folder)      # rows with "questions" get "scores", 1 to 10
"""

import random
import re
from collections.abc import Callable

from augcon.context_tree import all_or_none
from augcon.prompts import template
from common.llm import Ask, LLMOptions, Request, work_rows
from common.prompts import fill
from common.step import Step, need

_MARK = re.compile(r"(?<![\d.])(10|[1-9])(?!\d|\.\d)")
UNRATED = float("nan")  # ranked last


def drawn_scores(root: int, questions: int, seed: int) -> list[float]:
    rng = random.Random(f"{seed} {root}")
    return [rng.random() for _ in range(questions)]


def read_mark(text: str) -> int | None:
    found = _MARK.search(text)
    return int(found[1]) if found else None


def rate_questions(step: Step, options: LLMOptions, prompt_folder: str | None) -> None:
    """Each question of a root is marked by itself, all at once; one whose answers hold no mark has none."""
    work_rows(step, options, rater(options.max_attempts, prompt_folder))


def rater(attempts: int, prompt_folder: str | None) -> Callable:
    async def work(row: dict, ask: Ask) -> dict:
        prompt = template("rate", row["lang"], prompt_folder)

        async def rate(question: dict) -> float:
            words = fill(prompt, context=question["context"], question=question["question"])
            for sample in range(attempts):
                answer = await ask(Request(messages=[{"role": "user", "content": words}]), sample)
                if mark := read_mark(answer.text):
                    return mark
            return UNRATED

        return row | {"scores": await all_or_none(rate(question) for question in need(row, "questions", list))}

    return work
