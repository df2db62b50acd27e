"""Whether a text describes a person, or asks for something. The texts are ours, of the kinds that models write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webr.forms import is_person, is_request

PERSONS = {
    "en": [
        "A retired teacher who writes about gardens for beginners.",
        "The author is a financial journalist with an interest in credit unions.",
        "A curious, detail-loving amateur astronomer from Leeds",
        "Experienced nurse, calm and practical, writing for new parents.",
        "Likely an economist: critical of budget cuts, addressing readers of a national newspaper.",
        "Maria, a 34-year-old baker",
        "I am a farmer in the north.",
        "Someone who loves trains.",
        "Occupation: engineer. Interests: bridges, rivers.",
        "A university press office informing the public about research.",
        "A mother of two who blogs about cheap meals.",
    ],
    "zh": [
        "一位退休教师，喜欢园艺，面向初学者写作。",
        "作者是关注民生的记者，立场中立。",
        "热爱天文的业余爱好者，读者为青少年。",
    ],
    "es": [
        "Periodista económico que escribe para lectores no especializados.",
        "El autor es un profesor jubilado, aficionado a la jardinería.",
        "Una enfermera práctica y serena.",
    ],
    "pt": [
        "Jornalista que escreve sobre economia para o público geral.",
        "O autor é um professor aposentado que gosta de jardinagem.",
        "Uma enfermeira prática e serena.",
    ],
}
NO_PERSONS = {
    "en": [
        "Credit unions must raise interest rates, says new report.",
        "# Storm warnings\n\nThe coast expects gales on Friday.",
        "It rained for three days and the river rose.",
        "Title: The unsung hero",
        "In the spring, water is let into the fields.",
    ],
    "zh": ["[网页]\n阳光看起来是白色，其实由各种颜色的光混合而成。", "今天下了大雨，河水上涨。"],
    "es": ["El mercado vuelve a la plaza desde el sábado.", "Llovió tres días y el río creció."],
    "pt": ["A água não deve ferver.", "Choveu três dias e o rio subiu."],
}
REQUESTS = {
    "en": [
        "Turn this notice into a short letter to farmers.",
        "How do I store apples over the winter?",
        "I want a checklist of ten points.",
        "Please shorten it to 50 words, in a friendly tone.",
        "As a teacher, I would like a quiz on this page.",
        "For my newsletter: summarize the section on ratings.",
        "Ideas for a garden party",
        "The summary should be written for children.",
        "Using only the facts given, compare both proposals and list their costs.",
    ],
    "zh": ["请把这则通知改写成给农民的短信。", "冬天怎样储存苹果？", "列出十个要点", "以教师的口吻写一份测验。"],
    "es": [
        "Convierta este aviso en una carta breve.",
        "¿Cómo guardo manzanas en invierno?",
        "Quiero una lista de diez puntos.",
    ],
    "pt": [
        "Transforme este aviso em uma carta breve.",
        "Como guardo maçãs no inverno?",
        "Quero uma lista de dez pontos.",
    ],
}
NO_REQUESTS = {
    "en": [
        "The river rose for three days. Farmers moved their animals to the hills, and the bridge was closed.",
        "Certainly! The tap drips because the washer is worn.",
        "Dear neighbours, our report is nearly ready.",
        "It rained.",
        "Vinegar, made from wine or cider, keeps for years in a dark cupboard and loses little of its taste in them.",
    ],
    "zh": ["河水涨了三天，农民把牲畜赶到山上，桥也封了，村里的人都住在学校。", "当然，水龙头漏水是因为垫圈磨损。"],
    "es": [
        "El río creció tres días y las vacas pasaron al monte.",
        "Claro, el grifo gotea por la junta.",
    ],
    "pt": ["O rio subiu três dias e as vacas foram para o morro.", "Claro, a torneira pinga."],
}


def cases(texts):
    return [(text, lang) for lang, some in texts.items() for text in some]


@pytest.mark.parametrize("text, lang", cases(PERSONS))
def test_a_person(text, lang):
    assert is_person(text, lang)


@pytest.mark.parametrize("text, lang", cases(NO_PERSONS))
def test_no_person(text, lang):
    assert not is_person(text, lang)


@pytest.mark.parametrize("text, lang", cases(REQUESTS))
def test_a_request(text, lang):
    assert is_request(text, lang)
    assert is_request(f'"{text}"', lang)


@pytest.mark.parametrize("text, lang", cases(NO_REQUESTS))
def test_no_request(text, lang):
    assert not is_request(text, lang)
    assert not is_request(f"**{text}**", lang)


@given(st.text(), st.sampled_from(["fr", "und", "ja"]))
def test_of_other_languages_every_text_passes(text, lang):
    assert is_person(text, lang) and is_request(text, lang)
