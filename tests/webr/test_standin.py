"""The stand-in for this method: authors, requests and refined answers in four languages."""

import pytest

from common.llm.standin import quoting
from tests.common.standin_texts import EN, TEXTS, rule
from webr import standin as webr_standin

PROFILE_WISHES = {
    "en": "Describe the author of this page in at most 30 words.",
    "zh": "请用不超过30个字描述这篇文章的作者。",
    "es": "Describa al autor de la página en un máximo de 30 palabras.",
    "pt": "Descreva o autor da página em no máximo 30 palavras.",
}
REWRITE_WISHES = {
    "en": "As this author, write a request to rewrite the page, in at most 100 words.",
    "zh": "以作者身份写一个改写网页的请求，不超过100字。",
    "es": "Escriba una petición para reescribir la página, en 100 palabras como máximo.",
    "pt": "Escreva um pedido para reescrever a página, em no máximo 100 palavras.",
}
ASK_WISHES = {
    "en": "Which question would this text be a great answer to? At most 50 words.",
    "zh": "推测这段文字最可能回答的问题，不超过50字。",
    "es": "Escriba la pregunta a la que este texto responde, en 50 palabras como máximo.",
    "pt": "Escreva a pergunta à qual este texto responde, em no máximo 50 palavras.",
}
LAYOUTS = [
    "{wish}\n\n{text}",
    "{text}\n\n{wish}",
    "{wish}\n\n<page>\n{text}\n</page>",
    "### Page\n{text}\n\n### Task\n{wish}",
    "{wish}\n\nText:\n{text}",
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("language", TEXTS)
def test_webr_profile_request_and_question(language, layout):
    text = TEXTS[language]
    profile, request, question = (
        rule(layout.format(wish=wishes[language], text=text)) for wishes in (PROFILE_WISHES, REWRITE_WISHES, ASK_WISHES)
    )
    frames = webr_standin
    assert any(opening_of(frame) in profile for frame in frames.PROFILES[language])
    assert len(profile.split()) <= 30 and (language != "zh" or len(profile) <= 40)
    assert request.startswith(frames.REWRITES[language].partition("{")[0]) and len(request.split()) <= 50
    assert question[-1] in "?？" and len(question.split()) <= 50
    assert any(" ".join(phrase.split()) in question for phrase in quoting.clauses(text, language))


def opening_of(frame):
    return frame.partition("{")[0]


def test_webr_refinement_uses_page_and_draft_and_sometimes_leads_in():
    prompt = f"Improve the draft answer.\n\n### Page\n{EN}\n\n### Question\nWhat about the dam?\n\n"
    prompt += "### Draft answer\nIt was made of stone.\n"
    answers = [rule(prompt, seed=seed) for seed in range(20)]
    assert all("1969 a dam was built" in answer and "It was made of stone" in answer for answer in answers)
    assert 0 < sum(answer.startswith("Here is") for answer in answers) < 20
