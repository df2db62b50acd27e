"""Trees: the same nodes in the same order at any latency, bounded however bad the model is, as released if asked."""

import asyncio
import random
import sys
import tracemalloc

import pytest

from augcon.context_tree import Grown, Node, TreeRules, grow, grow_root, halves, node_cap, only_question

RELEASED = TreeRules(min_precision=0, max_depth=sys.maxsize, paper_exact=True)
DEFAULT = TreeRules()
TEXT = "".join(f"第{n}句话说的是第{n}件事情，内容并不重要。" for n in range(24))


def halving(context: str) -> str:
    middle = len(context) // 2
    return f"关于{context[:12]}有什么问题？\n\nContext 1: {context[:middle]}\n\nContext 2: {context[middle:]}"


def tree_of(answer, context=TEXT, rules=DEFAULT, max_nodes=10_000, latencies=0):
    """`latencies`: the seed of answers that take up to so many milliseconds."""
    asked, draw = [], random.Random(latencies)

    async def ask(text, attempt):
        asked.append((text, attempt))
        await asyncio.sleep(draw.random() * latencies / 1000)
        return answer(text) if not isinstance(answer, dict) else answer.get(text, "")

    return asyncio.run(grow(context, ask, rules, max_nodes)), asked


def naive_preorder(context: str) -> list[str]:
    if len(context) <= 20:
        return []
    middle = len(context) // 2
    return [context, *naive_preorder(context[:middle]), *naive_preorder(context[middle:])]


def test_nodes_are_in_preorder_whatever_the_latencies():
    expected = naive_preorder(TEXT)
    for latencies in (0, 3, 10):
        tree, asked = tree_of(halving, latencies=latencies)
        assert [node.context for node in tree.nodes] == expected
        assert tree.asked == len(asked) == len(expected)
        assert tree.nodes[0].depth == 0 and max(node.depth for node in tree.nodes) == 4


def test_all_nodes_of_a_level_are_in_flight_together():
    in_flight = most = 0

    async def ask(text, attempt):
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        await asyncio.sleep(0.005)
        in_flight -= 1
        return halving(text)

    asyncio.run(grow(TEXT, ask, TreeRules(), 10_000))
    assert most >= 8


def test_a_failure_ends_the_siblings_before_it_goes_on():
    ended = []

    async def ask(text, attempt):
        if text == TEXT[: len(TEXT) // 2]:
            raise RuntimeError("server is gone")
        try:
            await asyncio.sleep(0 if text == TEXT else 60)
            return halving(text)
        finally:
            ended.append(text)

    with pytest.raises(RuntimeError):
        asyncio.run(grow(TEXT, ask, TreeRules(), 10_000))
    assert TEXT[len(TEXT) // 2 :] in ended


# ---------------------------------------------------------------- bad models


def one_shorter(context: str) -> str:
    return f"这里说的是什么问题？\n\nContext 1: {context[1:]}\n\nContext 2: {context[:-1]}"


@pytest.mark.parametrize("rules", [TreeRules(min_precision=0), TreeRules(min_precision=0, max_depth=10**6)])
def test_children_one_character_shorter_end_at_the_cap(rules):
    for cap in (1, 2, 7, 141, 500):
        tree, asked = tree_of(one_shorter, rules=rules, max_nodes=cap)
        assert tree.asked == len(asked) <= cap
        assert cap > 200 or tree.asked == cap


def test_what_the_cap_leaves_out_does_not_depend_on_the_order_of_answers():
    trees = [
        tree_of(one_shorter, rules=TreeRules(min_precision=0), max_nodes=141, latencies=latencies)[0]
        for latencies in (0, 3, 5)
    ]
    assert trees[0] == trees[1] == trees[2]


@pytest.mark.parametrize("answer", ["", " " * 10**6, "no form at all", "Context 1: a\nContext 2: b"])
def test_a_model_that_never_answers_well_ends_the_root_with_a_reason(answer):
    asked = 0

    async def ask(text, attempt):
        nonlocal asked
        asked += 1
        return answer

    async def grow_tree(number, allowance):
        return await grow(TEXT, ask, TreeRules(), allowance)

    tracemalloc.start()
    root = asyncio.run(grow_root(grow_tree, enough=14 * 1.15, max_trees=10, max_nodes=node_cap(TEXT)))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (root.nodes, root.trees, root.ended, asked) == ([], 10, "max_trees", 40)
    assert most < 20e6


def test_a_short_question_is_asked_for_again_and_its_parts_are_followed_without_it():
    tree, asked = tree_of(
        lambda text: halving(text) if text != TEXT else halving(text).replace(halving(text).split("\n")[0], "啊？")
    )
    assert [attempt for text, attempt in asked if text == TEXT] == [0, 1, 2, 3]
    assert TEXT not in [node.context for node in tree.nodes] and len(tree.nodes) == len(naive_preorder(TEXT)) - 1


def test_parts_that_say_something_else_are_not_followed():
    invented = "完全不同的内容，谁也没有说过。" * 5
    tree, asked = tree_of(lambda text: f"这里说的是什么问题？\nContext 1: {invented}\nContext 2: {invented}")
    assert [node.context for node in tree.nodes] == [TEXT] and len(asked) == 1
    tree, _ = tree_of(
        lambda text: f"这里说的是什么问题？\nContext 1: {invented}\nContext 2: {invented}",
        rules=TreeRules(min_precision=0),
    )
    assert len(tree.nodes) > 1


# ---------------------------------------------------------------- roots


def trees_of(sizes, **settings):
    async def grow_tree(number, allowance):
        return Grown([Node("c", f"question {number}", 0, None)] * sizes[number % len(sizes)], 1)

    return asyncio.run(grow_root(grow_tree, **{"max_trees": 10, "max_nodes": 10**6} | settings))


def test_whole_trees_are_grown_until_there_is_enough():
    root = trees_of([7, 3, 7], enough=11.5)
    assert (root.trees, len(root.nodes), root.ended) == (3, 17, "enough questions")
    assert trees_of([31], enough=0).trees == 0
    assert trees_of([31], enough=1, least_trees=3).trees == 3
    assert trees_of([1], enough=20, max_trees=4).ended == "max_trees"
    assert trees_of([1], enough=20, max_nodes=4).ended == "max_nodes"


def test_without_a_split_the_same_root_is_asked_for_all_its_questions_at_once():
    root = trees_of([1], enough=16.1, at_once=True)
    assert root.trees == 17 and len({node.question for node in root.nodes}) == 17


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("一一一一。二二二二二二。三三三三。", "一一一一。二二二二二二。"),
        ("One. Two two two two. Three.", "One. Two two two two."),
        ("一句很长而没有结束的话", "一句很长而"),
        ("a sentence with blanks but no end", "a sentence with"),
    ],
)
def test_the_sentence_in_the_middle_goes_whole_into_the_first_part(text, first):
    one, two = halves(text)
    assert one == first and two and (one + two).replace(" ", "") == text.replace(" ", "")


def test_a_mechanical_split_asks_only_for_questions():
    tree, _ = tree_of(lambda text: "问题：这里说了些什么？\n多余的一行", rules=TreeRules(split="middle"))
    assert {node.question for node in tree.nodes} == {"这里说了些什么？"}
    assert len(tree.nodes) > 15 and tree.nodes[1].context == halves(TEXT)[0]
    assert only_question("") is None or only_question("").question == ""


# ---------------------------------------------------------------- as released


def test_released_trees_follow_unstripped_parts_and_end_at_a_short_question():
    context = "a" * 60
    tree, asked = tree_of(
        {context: f"Question: what?\n\nContext 1:  {'b' * 58} \n\nContext 2: {'c' * 10}"}, context, RELEASED
    )
    assert tree.nodes[0].question == "Question: what?"
    assert asked[1][0] == f" {'b' * 58} " and [attempt for _, attempt in asked] == [0, 0, 1, 2, 3]
    tree, asked = tree_of(lambda text: "Why\nContext 1: b\nContext 2: c", context, RELEASED)
    assert tree.nodes == [] and len(asked) == 1
