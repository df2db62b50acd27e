"""The context-split tree: a question about a context, the context split in two, and the same for both parts.

    tree = await grow(text, ask, TreeRules(), max_nodes=141)
    tree.nodes[0].question, tree.nodes[0].depth      # of the whole context; then all of part 1, then all of part 2

`await ask(context, attempt)` gives what a model writes about a context. All nodes that are known are asked at once. The
result does not depend on the order of the answers, and neither does what is left out when `max_nodes` is reached: a
node hands the rest of its allowance to its parts, in proportion to their lengths.
"""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from rapidfuzz.distance import LCSseq

from augcon.corpus import sentences
from augcon.tree_answer import Found, from_json, parse, parse_released

CHARACTERS_A_QUESTION = 35


@dataclass(frozen=True)
class TreeRules:
    min_length: int = 20  # characters; a context of this length or less is not asked about
    min_question: int = 5  # characters
    min_precision: float = 0.7  # share of the parts' words that the context has, in order; 0: any
    max_depth: int = 12
    attempts: int = 4  # answers to ask for until one parses
    split: str = "llm"  # where the parts come from: llm, middle (the sentence in the middle ends part 1), none
    paper_exact: bool = False


class Node(NamedTuple):
    context: str
    question: str
    depth: int
    coverage: float | None  # share of the context's words that the parts have, in order


class Grown(NamedTuple):
    nodes: list[Node]  # preorder
    asked: int  # contexts that the model was asked about


class Root(NamedTuple):
    nodes: list[Node]
    trees: int
    asked: int
    ended: str  # why no further tree was grown


Ask = Callable[[str, int], Awaitable[str]]


def quota(context: str, characters: int = CHARACTERS_A_QUESTION) -> int:
    return len(context) // characters


def node_cap(context: str) -> int:
    """A tree that halves has a node for 16 characters; a root may ask for four such trees."""
    return 4 * len(context) // 16 + 16


async def grow(context: str, ask: Ask, rules: TreeRules, max_nodes: int, depth: int = 0) -> Grown:
    if len(context) <= rules.min_length or max_nodes < 1 or depth > rules.max_depth:
        return Grown([], 0)
    found = await ask_node(context, ask, rules)
    if found is None:
        return Grown([], 1)
    question, parts = found.question.strip(), list(found[1:])
    if rules.paper_exact:
        if len(question) < rules.min_question:
            return Grown([], 1)
        followed, coverage = all(len(part.strip()) < len(context) for part in parts), None
    else:
        parts = halves(context) if rules.split == "middle" else parts
        followed, coverage = _may_follow(context, parts, rules)
    nodes = [Node(context, question, depth, coverage)] if len(question) >= rules.min_question else []
    if not followed or rules.split == "none":
        return Grown(nodes, 1)
    allowances = _share(max_nodes - 1, parts, rules.min_length)
    grown = await all_or_none(
        grow(part, ask, rules, allowance, depth + 1)
        for part, allowance in zip(parts, allowances, strict=True)
        if allowance  # the others ask nothing
    )
    return Grown(nodes + [node for tree in grown for node in tree.nodes], 1 + sum(tree.asked for tree in grown))


async def ask_node(context: str, ask: Ask, rules: TreeRules) -> Found | None:
    """The first answer that will do. A question that is too short is asked for again, but ends the tries in the
    released code; at last its parts are followed without it."""
    read = parse_released if rules.paper_exact else parse if rules.split == "llm" else only_question
    last = None
    for attempt in range(rules.attempts):
        found = read(await ask(context, attempt))
        last = found or last
        if found and (rules.paper_exact or len(found.question) >= rules.min_question):
            break
    return last


async def grow_root(
    grow_tree: Callable[[int, int], Awaitable[Grown]],
    enough: float,
    max_trees: int,
    max_nodes: int,
    least_trees: int = 0,
    at_once: bool = False,
) -> Root:
    """Whole trees, one after the other, until there are enough questions (and at least `least_trees` trees).

    `await grow_tree(number, allowance)` grows one of at most so many nodes. `at_once`: trees are single questions, so
    as many as are wanted can be asked for together.
    """
    nodes: list[Node] = []
    trees = asked = 0
    if at_once:
        wanted = min(max(math.ceil(enough), least_trees), max_nodes)
        grown = await all_or_none(grow_tree(number, 1) for number in range(wanted))
        nodes, trees, asked = [node for tree in grown for node in tree.nodes], wanted, wanted
        max_trees += trees
    while len(nodes) < enough or trees < least_trees:
        if trees >= max_trees or asked >= max_nodes:
            return Root(nodes, trees, asked, "max_trees" if trees >= max_trees else "max_nodes")
        tree = await grow_tree(trees, max_nodes - asked)
        nodes, trees, asked = nodes + tree.nodes, trees + 1, asked + max(1, tree.asked)
    return Root(nodes, trees, asked, "enough questions" if enough else "too short for a question")


def only_question(text: str) -> Found | None:
    """The first line of the answer to a prompt that asks for a question alone, or the question of an object."""
    if found := from_json(text):
        return found
    found = parse(f"{text.strip().partition(chr(10))[0]}\nContext 1: -\nContext 2: -")
    return found and Found(found.question, "", "")


def _may_follow(context: str, parts: list[str], rules: TreeRules) -> tuple[bool, float | None]:
    """Whether the parts are shorter than the context and say what it says, and how much of it."""
    if not all(len(part) < len(context) for part in parts):
        return False, None
    own, joined = context_words(context), context_words("\n".join(parts))
    common = LCSseq.similarity(joined, own)
    precise = common >= rules.min_precision * len(joined)
    return precise, round(common / max(1, len(own)), 3)


_WORD = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|\w+?(?=[\u3400-\u9fff\uf900-\ufaff]|\b)")


def context_words(text: str) -> list[str]:
    """Chinese characters one by one, other words whole: fast enough for each node, and close to jieba's words."""
    return _WORD.findall(text.lower())


def _share(allowance: int, parts: list[str], min_length: int) -> list[int]:
    """Of the nodes that may still be asked, for each part: by its length; parts that ask nothing get none."""
    weights = [len(part) if len(part) > min_length else 0 for part in parts]
    first = allowance * weights[0] // max(1, sum(weights))
    return [first, allowance - first if weights[1] else 0]


def halves(context: str) -> list[str]:
    """The paper's mechanical split: the sentence in the middle goes whole into the first part. A single sentence is cut
    at the blank nearest to its middle, or at its middle."""
    pieces = sentences(context)
    end, place = 0, 0
    while place < len(pieces) - 1 and 2 * end < len(context):
        end += len(pieces[place])
        place += 1
    if len(pieces) < 2 or end == 0:
        middle = len(context) // 2
        end = context.rfind(" ", 1, middle) + 1 or middle
    return [context[:end].strip(), context[end:].strip()]


async def all_or_none(coroutines: Iterable[Awaitable[Grown]]) -> list[Grown]:
    """Their results in order. When one fails, the others end before the failure goes on."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
