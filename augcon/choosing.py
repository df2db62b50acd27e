"""Which examples are shown in the prompts of the answers: for each language that there are some in, the set with which
the model's answers to all examples are judged best.

    with Step([numbered], tried) as step:
        work_rows(step, options, example_trier(examples, sets, answering))     # each example with each set, all at once
    shown, facts = chosen_examples(read_rows(tried), examples, sets, how)      # {"zh": [Demonstration, …], "en": […]}
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from augcon.answering import Answering, answer_question, judge_answer
from augcon.answers import Demonstration
from augcon.context_tree import all_or_none
from augcon.demonstrations import MOST_ERRORS, best_candidate, bootstrap, search_candidates, teacher_demonstrations
from common.errors import AnswerRejected, CommonError
from common.llm import Ask
from common.rows import read_rows
from common.step import need

Examples = dict[str, list[Demonstration]]  # by language, in the order of the file


def numbered_examples(language_of: Callable[[str], str]) -> Callable[[dict], dict]:
    """Rows that know their place among the examples of their language."""
    counts: dict[str, int] = {}

    def number(row: dict) -> dict:
        texts = {name: need(row, name) for name in ("context", "question", "answer")}
        lang = language_of(texts["context"])
        counts[lang] = counts.get(lang, -1) + 1
        return texts | {"lang": lang, "place": counts[lang]}

    return number


def read_examples(path: str) -> Examples:
    examples: Examples = {}
    for row in read_rows(path):
        examples.setdefault(row["lang"], []).append(demonstration(row))
    return examples


def demonstration(row: dict) -> Demonstration:
    return Demonstration(row["context"], row["question"], row["answer"])


def candidate_sets(examples: Examples, how: str, size: int, candidates: int, seed: int) -> dict[str, list[list[int]]]:
    """Places of examples, for each language: as released one set, ours several drawn ones."""
    if how == "bootstrap":
        return {lang: [teacher_demonstrations(len(those))] for lang, those in examples.items()}
    return {lang: search_candidates(len(those), size, candidates, seed) for lang, those in examples.items()}


def example_trier(examples: Examples, sets: dict[str, list[list[int]]], answering: Answering) -> Callable:
    async def work(row: dict, ask: Ask) -> dict:
        example, lang, others = demonstration(row), row["lang"], examples[row["lang"]]

        async def answer_with(places: list[int]) -> dict:
            shown = [others[place] for place in places if place != row["place"]]  # never the example itself
            try:
                answered = await answer_question(ask, example.context, example.question, lang, shown, answering)
            except AnswerRejected as why:
                return {"shown": places, "accepted": None, "why": why.reason}
            accepted = await judge_answer(ask, example, answered.answer, lang, answering)
            return {"shown": places, "accepted": accepted, "answer": answered.answer, "reasoning": answered.reasoning}

        return row | {"tried": await all_or_none(answer_with(places) for places in sets[lang])}

    return work


def chosen_examples(rows: Iterable[dict], examples: Examples, how: str) -> tuple[Examples, dict[str, Any]]:
    """What is shown in each language, and how it came to that."""
    tried: dict[str, list[list[dict]]] = {}
    for row in rows:
        tried.setdefault(row["lang"], []).append(row["tried"])
    shown, facts = {}, {}
    for lang, results in tried.items():
        choose = _bootstrapped if how == "bootstrap" else _best_set
        shown[lang], facts[lang] = choose(results, examples[lang])
    return shown, facts


def _best_set(results: list[list[dict]], examples: list[Demonstration]) -> tuple[list[Demonstration], dict]:
    sets = [result["shown"] for result in results[0]]
    best, shares = best_candidate([[result[place]["accepted"] for result in results] for place in range(len(sets))])
    accepted = {str(places): share for places, share in zip(sets, shares, strict=True)}
    return [examples[place] for place in sets[best]], {"shown": sets[best], "accepted": accepted}


def _bootstrapped(results: list[list[dict]], examples: list[Demonstration]) -> tuple[list[Demonstration], dict]:
    """The model's own answers where the judge accepted them, then what people wrote."""
    answered = [result[0] for result in results]
    choice = bootstrap([result["accepted"] for result in answered])
    if choice.ended:
        raise CommonError(
            f"the judge was undecided, or no answer came, for {MOST_ERRORS} examples: as released, no more is tried"
        )
    own = [replace(examples[i], answer=answered[i]["answer"], reasoning=answered[i]["reasoning"]) for i in choice.taken]
    facts = {"bootstrapped": choice.taken, "labelled": choice.labelled, "judged": choice.judged}
    return own + [examples[place] for place in choice.labelled], facts
