"""Where the small rules of the method lie: lengths, shares, allowances, worse questions, the further requests."""

import asyncio
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augcon.answers import Demonstration, field_texts, released_answer, released_prompt
from augcon.context_tree import Grown, TreeRules, grow, grow_root, node_cap, quota
from augcon.granularity import coverage, level
from augcon.rating import read_mark
from augcon.scorer_pairs import WORSE_PROMPTS, choose, negative_question, shuffled, too_alike


def answer(question="What is said here?", one="-", two="-"):
    return f"{question}\n\nContext 1: {one}\n\nContext 2: {two}"


DEFAULT = TreeRules()


def grown(context, reply, rules=DEFAULT, max_nodes=1000):
    asked = []

    async def ask(text, attempt):
        asked.append(text)
        return reply(text) if callable(reply) else reply

    return asyncio.run(grow(context, ask, rules, max_nodes)), asked


# ---------------------------------------------------------------- how many, how long, how much


def test_how_many_questions_and_nodes_a_root_may_have():
    assert [quota("a" * length) for length in (34, 35, 500)] == [0, 1, 14]
    assert quota("a" * 90, characters=30) == 3
    assert [node_cap("a" * length) for length in (0, 15, 16, 500)] == [16, 19, 20, 141]


@pytest.mark.parametrize("length, nodes", [(20, 0), (21, 1)])
def test_a_context_of_the_least_length_is_not_asked_about(length, nodes):
    tree, asked = grown("a" * length, answer())
    assert len(tree.nodes) == len(asked) == tree.asked == nodes


@pytest.mark.parametrize("question, kept", [("Why?", False), ("Why ?", True)])
def test_a_question_has_at_least_five_characters(question, kept):
    tree, _ = grown("a" * 30, answer(question))
    assert len(tree.nodes) == kept


@given(st.integers(0, 6))
def test_a_tree_is_no_deeper_than_the_rules_say(most):
    def reply(context):
        return answer(one=context[: len(context) // 2], two=context[len(context) // 2 :])

    text = " ".join(f"w{n:03}" for n in range(1000))
    tree, _ = grown(text, reply, TreeRules(max_depth=most))
    assert {node.depth for node in tree.nodes} == set(range(most + 1))
    assert Counter(node.depth for node in tree.nodes) == {depth: 2**depth for depth in range(most + 1)}


def test_parts_share_what_may_still_be_asked_by_their_lengths():
    def cut_at(place):
        return lambda text: answer(one=text[: place(text)], two=text[place(text) :])

    text = " ".join(f"w{n:02}" for n in range(100))  # 399 characters; the first part has 99
    tree, asked = grown(text, cut_at(lambda one: len(one) // 4), max_nodes=17)
    in_first = sum(one in text[:99] for one in asked)
    assert (tree.asked, len(asked), in_first) == (17, 17, 16 * 99 // 399)
    # A part that is too short to ask about takes nothing: the other one has all that is left.
    cut = cut_at(lambda one: 19 if len(one) == 400 else len(one) // 2)
    for most in range(22, 36):
        whole, longer = (grown("a" * n, cut, TreeRules(min_precision=0), most - (n < 400))[1] for n in (400, 381))
        assert len(whole) == 1 + len(longer)


@pytest.mark.parametrize("held, followed", [(7, True), (6, False)])
def test_seven_tenths_of_the_parts_words_stand_in_the_context(held, followed):
    text = " ".join(f"word{n}" for n in range(20))
    one = " ".join([f"word{n}" for n in range(held)] + [f"other{n}" for n in range(held, 10)])
    tree, _ = grown(text, lambda context: answer(one=one, two="") if context == text else answer())
    assert (len(tree.nodes) > 1) == followed and tree.nodes[0].coverage == pytest.approx(held / 20)


def test_trees_are_grown_with_what_is_left_of_the_cap():
    allowances = []

    async def grow_tree(number, allowance):
        allowances.append((number, allowance))
        return Grown([], 3 if number else 0)

    root = asyncio.run(grow_root(grow_tree, enough=5, max_trees=9, max_nodes=8))
    # A tree in which nothing was asked counts as one, so that there is an end.
    assert allowances == [(0, 8), (1, 7), (2, 4), (3, 1)] and (root.asked, root.ended) == (10, "max_nodes")
    assert asyncio.run(grow_root(grow_tree, enough=0, max_trees=9, max_nodes=8)).ended == "too short for a question"


@pytest.mark.parametrize("length, name", [(19, "detail"), (20, "middle"), (60, "middle"), (61, "whole")])
def test_a_context_is_a_detail_below_a_fifth_and_the_whole_above_three_fifths(length, name):
    assert level("a" * length, "a" * 100) == name and level("", "") == "detail"


def test_a_sentence_is_held_by_the_shortest_context_with_seven_of_ten_of_its_words():
    sentence = " ".join(f"w{n}" for n in range(10)) + "."
    seven, six = (" ".join(f"w{n}" for n in range(held)) for held in (7, 6))
    assert coverage(sentence, [sentence * 3, seven, six]) == {sentence: len(seven)}
    assert coverage(sentence, [six]) == {sentence: None} and coverage("...", []) == {"...": 0}


@pytest.mark.parametrize(
    "text, mark", [("1", 1), ("9 of 10", 9), ("10", 10), ("2.0", None), ("1.10", None), ("12 7", 7)]
)
def test_the_first_mark_from_one_to_ten_is_read(text, mark):
    assert read_mark(text) == mark


# ---------------------------------------------------------------- pairs for the scorer


@given(st.integers(0, 60), st.integers(0, 30), st.integers(0, 9))
def test_each_worse_prompt_gets_as_many_questions_and_none_twice(questions, pairs, seed):
    chosen = choose(questions, pairs, seed)
    count = min(pairs, questions // 3)
    assert Counter(chosen.values()) == {prompt: count for prompt in range(3) if count}
    assert set(chosen) <= set(range(questions)) and len(WORSE_PROMPTS) == 3
    assert chosen == choose(questions, pairs, seed) and list(chosen.values()) == sorted(chosen.values())


def test_questions_are_shuffled_by_the_seed():
    expected = list(range(30))
    random.Random(7).shuffle(expected)
    assert shuffled(30, 7) == expected != shuffled(30, 8)
    assert list(choose(30, 5, 7)) == expected[:15]


@pytest.mark.parametrize("question, found", [("  What is tea?  ", "What is tea?"), ("Why?", None)])
def test_a_worse_question_is_that_of_one_node(question, found):
    asked = []

    async def ask(text, attempt):
        asked.append(attempt)
        return answer(question, text[:30], text[30:])

    text = "Tea grows on hills where the nights are cool and wet."
    assert asyncio.run(negative_question(text, ask, TreeRules())) == found
    assert asked == ([0] if found else [0, 1, 2, 3])


def test_a_pair_of_nearly_the_same_questions_teaches_nothing():
    one = "how is tea grown on the hills in the north"
    assert too_alike(one, one, 2.0) and too_alike(one, one + " now", 0.7) and not too_alike(one, one + " now", 0.99)
    assert too_alike(one, "", 0.7) and too_alike("  ", one, 0.7) and not too_alike(one, "why is glass clear", 0.7)


# ---------------------------------------------------------------- as released: prompts and further requests


@pytest.mark.parametrize(
    "replies, result, prompts",
    [
        (["know it.\n\nAnswer: tea"], ("know it.", "tea"), ["P"]),
        (["know  it\nnow ", " tea "], ("know  it\nnow", "tea"), ["P", "P know it now\n\nAnswer:"]),
        (["", " tea"], ("", "tea"), ["P", "P"]),
        ([" \n", "", "tea "], ("", "tea"), ["P", "P", "P"]),
    ],
)
def test_what_is_asked_when_an_answer_is_missing(replies, result, prompts):
    asked, given = [], iter(replies)

    async def ask(prompt, tokens):
        asked.append((prompt, tokens))
        return next(given)

    assert asyncio.run(released_answer("P", ask, tokens=101)) == result
    assert asked == list(zip(prompts, [101, 50, 50], strict=False))


def test_the_released_prompt_says_first_what_its_fields_are():
    prompt = released_prompt("Do it.", field_texts("en"), [Demonstration("C", "Q?", "A")], "D", "E?")
    instruction, form, shown, query = prompt.split("\n\n---\n\n")
    context, question, said = field_texts("en")
    cue = "Reasoning: Let's think step by step in order to"
    assert form == (
        f"Follow the following format.\n\nContext: {context}\n\nQuestion: {question}\n\n"
        f"{cue} ${{produce the answer}}. We ...\n\nAnswer: {said}"
    )
    assert (instruction, shown, query) == (
        "Do it.",
        "Context: C\nQuestion: Q?\nAnswer: A",
        f"Context: D\n\nQuestion: E?\n\n{cue}",
    )
    assert len({field_texts(lang) for lang in ("en", "zh", "es", "pt")}) == 4
