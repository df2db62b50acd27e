"""The stand-in for this method: a question, and the context cut in two."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augcon import standin as augcon_standin
from common.llm.standin import prompts
from tests.common.standin_texts import EN, TEXTS, ZH, rule

SHOTS = (
    "Ask about the context, then cut it in two.\n\n---\n\nContext: A b c. D e f.\nQuestion: What is b?\n"
    "Context 1: A b c.\nContext 2: D e f.\n\n---\n\n"
)


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("cue", ["Question:", ""])
def test_context_split(language, cue):
    answer = rule(f"{SHOTS}Context: {TEXTS[language]}\n{cue}")
    question, first, second = re.fullmatch(r"(.+?)\s+Context 1: (.+)\s+Context 2: (.+)", answer, re.DOTALL).groups()
    assert question.startswith("Question:") == (not cue)
    assert "".join((first + second).split()) == "".join(TEXTS[language].split())
    assert first.strip()[-1] in ".。" and 0.25 < len(first) / len(TEXTS[language]) < 0.75
    assert prompts.language_of(question.removeprefix("Question:")) == language


@given(st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), min_size=2, max_size=400))
def test_cut_in_two_covers_the_text_with_shorter_parts(text):
    text = " ".join(text.split())
    if len(text) >= 2:
        first, second = augcon_standin.cut_in_two(text)
        assert 0 < len(first) < len(text) and 0 < len(second) < len(text)
        assert "".join((first + second).split()) == "".join(text.split())


def test_context_tree_ends_and_its_questions_differ():
    questions, contexts = [], [ZH * 3]
    while contexts:
        context = contexts.pop()
        answer = rule(f"{SHOTS}Context: {context}\nQuestion:", seed=len(questions))
        question, first, second = re.fullmatch(r"(.+?)\s+Context 1: (.+)\s+Context 2: (.+)", answer, re.DOTALL).groups()
        questions.append(question)
        contexts += [part.strip() for part in (first, second) if len(part) > 20]
    assert len(set(questions)) >= 8


def test_answers_from_context():
    block = f"Context: {EN}\nQuestion: When was the dam built?\nAnswer:"
    assert "In 1969 a dam was built." in rule(f"Context: A.\nQuestion: B?\nAnswer: C.\n\n---\n\n{block}")
    reasoned = rule(f"Context: A.\nQuestion: B?\nReasoning: R.\nAnswer: C.\n\n---\n\n{block[:-7]}Reasoning:")
    assert re.fullmatch(r'The context says: ".+"\nAnswer: .*In 1969.*', reasoned)
