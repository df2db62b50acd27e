"""The stand-in as judge: yes or no, and points for two answers."""

import pytest

from tests.common.standin_texts import TEXTS, rule

JUDGE_LAYOUTS = [
    "[Question]\n{q}\n\n[The Start of Assistant 1's Answer]\n{a}\n\n[The End of Assistant 1's Answer]\n\n"
    "[The Start of Assistant 2's Answer]\n{b}\n\n[The End of Assistant 2's Answer]\n\n"
    "[System]\nRate each on a scale of 1 to 10.",
    "Score both answers from 1 to 10 on the first line.\n\nQuestion: {q}\n\nAnswer 1:\n{a}\n\nAnswer 2:\n{b}\n",
    "请给两个回答各打1到10分。\n\n问题：{q}\n\n回答1：\n{a}\n\n回答2：\n{b}\n",
]


@pytest.mark.parametrize(
    "wish, yes, no",
    [
        ("Reply yes or no.", "Yes", "No"),
        ("只回答“是”或“否”。", "是", "否"),
        ("Responda sí o no.", "Sí", "No"),
        ("Responda sim ou não.", "Sim", "Não"),
    ],
)
def test_yes_or_no(wish, yes, no):
    language = {"Yes": "en", "是": "zh", "Sí": "es", "Sim": "pt"}[yes]
    text = TEXTS[language]
    frame = f"{wish}\n\nContext: {text}\nQuestion: ?\nReference answer: {text[:40]}\nModel answer: "
    assert rule(frame + text[:30]) == yes
    assert rule(frame + "xyzzy plugh") == no


@pytest.mark.parametrize("layout", JUDGE_LAYOUTS)
def test_judge_scores_both_orders_alike(layout):
    good, bad = "The moon pulls the sea, and so the tides come twice a day, on both sides of the earth.", "No idea."
    first = rule(layout.format(q="Why are there tides?", a=good, b=bad))
    second = rule(layout.format(q="Why are there tides?", a=bad, b=good))
    scores, reverse = ([int(word) for word in text.split("\n")[0].split(" ")] for text in (first, second))
    assert scores == reverse[::-1] and scores[0] > scores[1]
    assert all(1 <= score <= 10 for score in scores) and first.split("\n\n")[1]
