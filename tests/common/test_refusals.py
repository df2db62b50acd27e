import pytest

from common.refusals import is_refusal

REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, but I can’t help with that.",
    "I am very sorry, I cannot do this.",
    "I apologize, but the text is incomplete.",
    "Sorry, I can't do that.",
    "Sorry. There is no text.",
    "I cannot assist with this request.",
    "I can't help with that.",
    "I'm unable to access the page.",
    "As an AI language model, I have no opinion.",
    "Unfortunately, I can't see the page.",
    "很抱歉，我无法提供帮助。",
    "作为一个人工智能，我没有个人观点。",
    "我无法回答这个问题。",
    "Lo siento, no puedo ayudarte con eso.",
    "Como modelo de lenguaje, no tengo opiniones.",
    "Desculpe, não posso ajudar com isso.",
    "Como uma IA, não tenho opiniões.",
    "Peço desculpas, mas o texto está incompleto.",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals(text):
    assert is_refusal(text)
    assert is_refusal(f' "{text}')


@pytest.mark.parametrize(
    "text",
    [
        "Sorry Day is marked each year on 26 May.",
        "I cannot recommend this book enough.",
        "I can write this in two ways.",
        "As an aid to memory, make a list.",
        "As an airline, we fly.",
        "As an AI researcher at a startup, I need this page condensed.",
        "作为一名AI工程师，我希望了解这一点。",
        "I cannot help but admire the bread.",
        "Unfortunately, the tap drips.",
        "The minister said: I'm sorry.",
        "Como uma iguana vive no deserto",
        "我不能忘记那个夏天。",
        "Siento el frío del mar.",
        "",
    ],
)
def test_texts_that_are_no_refusals(text):
    assert not is_refusal(text)
