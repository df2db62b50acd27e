"""Take what a model says around its answer off the answer, and tell refusals, in English, Chinese, Spanish, Portuguese.

    clean_request('Here is the request:\\n\\n"Turn this into a poem."')    # Turn this into a poem.
    clean_response("Here is how to fix a tap:\\n\\n1. ...")                # unchanged: that is the answer

The released code's rules, for --paper_exact, are those of as_released.py.
"""

import re

# "Sure! Here is the request:" is an opening, then the name of what was asked for, then a colon.
_OPENING = (
    r"(?:sure|certainly|of course|absolutely|okay|ok|great|understood)\b|here(?:['’]s| is| are)\b|below (?:is|are)\b"
    r"|the following is\b"
    r"|好的|当然|没问题|可以|明白了|(?:以下|下面|这里|这)就?是"
    r"|(?:claro|por supuesto|desde luego|de acuerdo)\b|aqu[íi] (?:está|están|tienes|tiene|va)\b|a continuación\b"
    r"|(?:com certeza|certo|pois não)\b|aqui (?:está|estão|vai)\b|segue\b|a seguir\b"
)
_REQUEST = (
    r"request|instruction|question|prompt|请求|指令|问题"
    r"|petición|solicitud|instrucción|pregunta|pedido|instrução|pergunta"
)
_ANSWER = r"answer|response|reply|version|text|回答|答案|回复|版本|文本|respuesta|versión|texto|resposta|versão"
_IMPROVED = (
    r"(?:improved|refined|revised|rewritten|enhanced)|(?:改进|优化|修改|改写)后?的?"
    r"|(?:mejorad|revisad|reescrit|refinad|melhorad|aprimorad)[oa]"
)
_LEAD_IN = re.compile(
    rf"[*#\s]*(?:{_OPENING})[^\n]{{0,200}}?(?:{_REQUEST}|{_ANSWER}|{_IMPROVED})[^\n]{{0,80}}[:：][*\s]*$", re.I
)
_NAME = rf"(?:(?:{_IMPROVED})\s*)*(?:{_REQUEST}|{_ANSWER})(?:\s*(?:{_IMPROVED}))*"
_HEADING = re.compile(rf"(?:[*#]+\s*{_NAME}\s*[*:：]*|{_NAME}\s*[:：])\s*$", re.I)  # on a line of its own
_REQUEST_LABEL = re.compile(rf"[*#\s]*(?:{_REQUEST})\s*\**\s*[:：][*\s]*", re.I)  # before the text, on its line
_IMPROVED_LABEL = re.compile(
    rf"[*#\s]*(?:(?:{_IMPROVED})\s*(?:{_ANSWER})|(?:{_ANSWER})\s*(?:{_IMPROVED}))\s*\**\s*[:：][*\s]*", re.I
)
_QUOTES = {'"': '"', "“": "”", "「": "」", "『": "』", "«": "»", "'": "'", "‘": "’"}


def clean_request(text: str) -> str:
    return without_outer_quotes(_without_label(without_lead_in(text), _REQUEST_LABEL))


def clean_response(text: str) -> str:
    return without_outer_quotes(without_lead_in(text))


def without_improvement_note(text: str) -> str:
    """A refined answer without the words that call it improved."""
    return _without_label(without_lead_in(text), _IMPROVED_LABEL)


def without_lead_in(text: str) -> str:
    """Without a first line that only announces the answer."""
    text = text.strip()
    first, _, rest = text.partition("\n")
    return rest.strip() if rest.strip() and (_LEAD_IN.match(first) or _HEADING.match(first)) else text


def without_outer_quotes(text: str) -> str:
    """Without quotes around the whole: one pair, and only if none of that kind stands inside."""
    text = text.strip()
    closing, inside = _QUOTES.get(text[:1]), text[1:-1]
    if closing and inside and text[-1] == closing and text[0] not in inside and closing not in inside:
        return inside.strip()
    return text


def _without_label(text: str, label: re.Pattern) -> str:
    found = label.match(text)
    return text[found.end() :] if found and found.end() < len(text) else text
