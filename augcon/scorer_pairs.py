"""Pairs to train the scorer with: a stored question against one that a worse prompt gives for the same context.

choice = choose(questions=9_000, pairs=500, seed=0)     # {place of a question: which worse prompt asks again}
"""

import random

from augcon.context_tree import Ask, TreeRules, ask_node
from augcon.question_filter import Similar

# The three worse prompts, in the released order: the short instruction, only the first example, and both.
WORSE_PROMPTS = ("short_instruction", "one_example", "short_instruction_one_example")


def shuffled(questions: int, seed: int) -> list[int]:
    order = list(range(questions))
    random.Random(seed).shuffle(order)
    return order


def choose(questions: int, pairs: int, seed: int) -> dict[int, int]:
    """Which questions get a worse one: `pairs` for each worse prompt, at most a third of all, no question twice."""
    count = min(pairs, questions // len(WORSE_PROMPTS))
    places = shuffled(questions, seed)[: count * len(WORSE_PROMPTS)]
    return {question: place // count for place, question in enumerate(places)}


async def negative_question(context: str, ask: Ask, rules: TreeRules) -> str | None:
    """The question of one node; its parts are not looked at."""
    found = await ask_node(context, ask, rules)
    question = found.question.strip() if found else ""
    return question if len(question) >= rules.min_question else None


def too_alike(question: str, negative: str, max_similar: float) -> bool:
    """A worse prompt often asks the same: nothing is learned from such a pair."""
    similar = Similar(max_similar)
    kept, other = similar.encode(question), similar.encode(negative)
    if not kept or not other or question == negative:
        return True
    similar.keep(kept)
    return similar.repeats(other) is not None
