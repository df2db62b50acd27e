"""What is read out of an answer: what the released expression finds, by default more spellings, in linear time."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augcon.tree_answer import parse, parse_released
from tests.oracles import tree_answer as oracle

BITS = ["Context 1: ", "Context 2: ", "Context 1:", "Context", " ", "\n", "\u3000", "\u2028", "\r", "\x0b", "a", "问"]
answers = st.lists(st.sampled_from(BITS), max_size=14).map("".join)
ONE = "Tea grows on hills, where the nights are cool."
TWO = "It is picked by hand in spring."


@settings(max_examples=600)
@given(answers)
def test_released_reading_agrees_with_the_expression(text):
    assert parse_released(text) == oracle.parse_released(text)


@settings(max_examples=200)
@given(answers)
def test_where_the_released_code_finds_something_so_does_the_default(text):
    found = oracle.parse_released(text)
    if found:
        assert parse(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        f"What about tea?\n\nContext 1: {ONE}\n\nContext 2: {TWO}",
        f"What about tea?\nContext 1：{ONE}\nContext 2：{TWO}",
        f"What about tea?\n\n**Context 1:** {ONE}\n\n**Context 2:** {TWO}",
        f"What about tea?\n\n**Context 1**: {ONE}\n\n**Context 2**: {TWO}",
        f"What about tea?\n\nContext 1:\n{ONE}\n\nContext 2:\n{TWO}",
        f"What about tea?\n\ncontext 1: {ONE}\n\ncontext 2: {TWO}",
        f"What about tea?\n\nContext1:{ONE}\n\nContext2:{TWO}",
        f"What about tea?\n\n- Context 1: {ONE}\n- Context 2: {TWO}",
        f"What about tea?\n\n上下文1：{ONE}\n\n上下文2：{TWO}",
        f"¿?\nWhat about tea?\n\nContexto 1: {ONE}\n\nContexto 2: {TWO}",
        f"Question: What about tea?\n\nContext 1: {ONE}\n\nContext 2: {TWO}",
        f"**Question:** What about tea?\n\nContext 1: {ONE}\n\nContext 2: {TWO}",
        f"**What about tea?**\n\nContext 1: {ONE}\n\nContext 2: {TWO}",
        f"Q: What about tea?\n\nContext 1: {ONE}\n\nContext 2: {TWO}",
        f"1. What about tea?\n\nContext 1: {ONE}\n\nContext 2: {TWO}",
        f"问题：What about tea?\n\nContext 1: {ONE}\n\nContext 2: {TWO}",
        f"Sure, here it is.\n\nWhat about tea?\n---\nContext 1: {ONE}\n---\nContext 2: {TWO}\n---\nContext: next",
        f"What about tea?\n\nContext 1: {ONE}\n\nContext 2: {TWO}\n\nI hope this helps!",
        f"What about tea? Context 1: {ONE} Context 2: {TWO}",
    ],
)
def test_spellings(text):
    assert parse(text) == ("What about tea?", ONE, TWO)


def test_parts_of_several_lines_are_whole():
    found = parse("What about tea?\n\nContext 1: line one\nline two\n\nContext 2: line three\nline four\n\nEnd.")
    assert found == ("What about tea?", "line one\nline two", "line three\nline four")


@pytest.mark.parametrize("text", ["", " \n ", "No.", "What?\nContext 1: a", "Context 2: a\nContext 1: b"])
def test_nothing_is_found_where_there_is_nothing(text):
    assert parse(text) is None and parse_released(text) is None


HOSTILE = {
    "blanks": " " * 10**6,
    "blanks before a mark": "a\n" + " " * 10**6 + "Context 1: " + " " * 10**4 + "Context 2: ",
    "lines": "\n" * 10**6 + "Context 1: ",
    "marks 1": "Context 1: " * 90_000,
    "lines of marks 1": "Context 1: a\n" * 76_000,
    "both marks": "Context 1: Context 2: " * 45_000,
    "marks that nothing completes": "Context 1: a\nb\n" * 30_000 + "Context 2: ",
    "stars": "*" * 10**6,
    "cues": "Question: " * 90_000 + "\nContext 1: a\nContext 2: b",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("read", [parse, parse_released])
def test_a_megabyte_of_nonsense_is_read_at_once(read, text):
    fastest = min(seconds(read, text) for _ in range(3))
    assert fastest < 0.05


def seconds(read, text) -> float:
    started = time.process_time()
    read(text)
    return time.process_time() - started
