import pytest
from hypothesis import given
from hypothesis import strategies as st

from webr.clean_up import (
    clean_request,
    clean_response,
    without_improvement_note,
    without_lead_in,
    without_outer_quotes,
)

LEAD_INS = [
    "Here is the request:",
    "Here's a rewritten version of the text, in a warmer tone:",
    "Sure! Here is the revised answer:",
    "Certainly! Below is the improved response:",
    "**Improved Answer:**",
    "## Response",
    "以下是改进后的回答：",
    "好的，这是您要的请求：",
    "改进后的回答：",
    "Aquí está la versión revisada del texto:",
    "Claro, aquí tienes la petición:",
    "Respuesta mejorada:",
    "Aqui está a versão reescrita do texto:",
    "Com certeza! Segue a resposta melhorada:",
    "Resposta aprimorada:",
]


@pytest.mark.parametrize("lead_in", LEAD_INS)
@pytest.mark.parametrize("gap", ["\n", "\n\n", "  \n\n"])
def test_a_lead_in_goes(lead_in, gap):
    assert without_lead_in(f"{lead_in}{gap}The tap drips.\n\nCall a plumber.") == "The tap drips.\n\nCall a plumber."


@pytest.mark.parametrize(
    "text",
    [
        "Here is how to fix a dripping tap:\n\n1. Turn off the water.",
        "Here are three reasons to learn to swim:\n- health\n- safety",
        "Here is the thing about taps. They drip.\n\nCall a plumber.",
        "Here is the request:",  # nothing follows: this is all there is
        "以下是三个理由：\n1. 健康",
        "Aquí tienes tres consejos para dormir mejor:\n\n1. Apaga el móvil.",
        "The answer: 42\nThat is all.",
        "Response times matter.\nSo does cost.",
    ],
)
def test_an_answer_that_looks_like_a_lead_in_stays(text):
    assert without_lead_in(text) == text
    assert without_improvement_note(text) == text


@pytest.mark.parametrize(
    "text", ['"Write a poem."', "“Write a poem.”", "「Write a poem.」", "'Write a poem.'", "«Write a poem.»"]
)
def test_outer_quotes_go(text):
    assert without_outer_quotes(f" {text}\n") == "Write a poem."


@pytest.mark.parametrize(
    "text", ['"A" and "B"', '"', '""', "\"It's", "'tis the reader's, 'tis not", "“A” or “B”", 'He said "no"']
)
def test_other_quotes_stay(text):
    assert without_outer_quotes(text) == text


def test_a_label_before_a_request_goes():
    assert clean_request('Here is the request:\n\n"Request: Write a poem."') == "Request: Write a poem."
    assert clean_request("**Instruction:** Write a poem.") == "Write a poem."
    assert clean_request("请求：写一首诗。") == "写一首诗。"
    assert clean_response("Question: who? Answer: me.") == "Question: who? Answer: me."


def test_an_improved_answer_keeps_its_text():
    assert without_improvement_note("Improved answer: Turn it off.") == "Turn it off."
    assert without_improvement_note("改进后的回答：关掉它。") == "关掉它。"
    assert (
        without_improvement_note("Your improved answer to the exam is below.")
        == "Your improved answer to the exam is below."
    )
    assert without_improvement_note("Here is the improved answer:\n\nTurn it off.") == "Turn it off."


@given(st.text())
def test_cleaning_only_takes_away(text):
    for clean in (clean_request, clean_response, without_improvement_note):
        assert clean(text) in text


@given(st.text(min_size=1).filter(str.strip))
def test_careful_cleaning_never_empties_a_text(text):
    for clean in (clean_request, clean_response, without_improvement_note):
        assert clean(text)
