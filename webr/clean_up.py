"""Take what a model says around its answer off the answer, and tell refusals, in English, Chinese, Spanish, Portuguese.

    clean_request('Here is the request:\\n\\n"Turn this into a poem."')    # Turn this into a poem.
    clean_response("Here is how to fix a tap:\\n\\n1. ...")                # unchanged: that is the answer
    is_refusal("I’m sorry, but I can't help with that.")                  # True

Each has `as_released`, the rule of the released code with its faults: a text of one paragraph that starts with
"Here is" becomes empty, an answer that mentions an improved answer anywhere loses its first paragraph, and of the
refusals only those that start with "I'm sorry" or "I apologize" are noticed.
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
_REFUSAL = re.compile(
    r"[\s\"'“‘*]*(?:"
    r"i(?:['’]?m| am) (?:(?:very|so|really|truly) )?sorry|i apologi[sz]e|my apologies|sorry[,.!]"
    r"|(?:sorry|unfortunately|apologies)\b.{0,20}?\bi (?:can|could|am|['’]?m|do|don['’]t|will|won['’]t)\b"
    r"|i (?:can ?not|can['’]?t|won['’]?t|will not|am not able to|am unable to) "
    r"(?:assist|help(?! but\b)|fulfill?|comply|provide|create|generate|write|answer|continue|do that|engage|support"
    r"|produce)"
    r"|i['’]m (?:not able|unable) to"
    r"|as an? (?:ai|artificial intelligence)(?: (?:language )?model| assistant| chatbot| system)?[,.;:]"
    r"|as an? (?:ai |large )*language model\b"
    r"|(?:很|非常|十分)?(?:抱歉|对不起)|(?:作为|身为)一?[个名款]?(?:人工智能|AI)?(?:大?语言模型|助手|模型|[，,])"
    r"|我(?:无法|不能)(?:提供|帮助|协助|回答|满足|完成|生成|创作)"
    r"|(?:lo siento|lo lamento|disculpa|disculpe|perdón)[,.;!]|(?:lo siento|lamento) (?:mucho|pero|no)\b|me disculpo"
    r"|no puedo (?:ayudar|asistir|proporcionar|cumplir|generar)"
    r"|(?:sinto muito|desculpe|desculpa|lamento)[,.;!]|(?:sinto muito|desculpe|lamento) (?:mas|não)\b|peço desculpas"
    r"|não posso (?:ajudar|auxiliar|fornecer|cumprir|gerar)"
    r"|como (?:uma? )?(?:ia|intelig[eê]ncia artificial|modelo de (?:lenguaje|linguagem))\b"
    r")",
    re.I | re.S,
)
_QUOTES = {'"': '"', "“": "”", "「": "」", "『": "』", "«": "»", "'": "'", "‘": "’"}


def is_refusal(text: str, as_released: bool = False) -> bool:
    if as_released:
        return text.startswith(("I'm sorry", "I apologize"))
    return _REFUSAL.match(text) is not None


def clean_request(text: str, as_released: bool = False) -> str:
    text = without_lead_in(text, as_released)
    return without_outer_quotes(text if as_released else _without_label(text, _REQUEST_LABEL), as_released)


def clean_response(text: str, as_released: bool = False) -> str:
    return without_outer_quotes(without_lead_in(text, as_released), as_released)


def without_improvement_note(text: str, as_released: bool = False) -> str:
    """A refined answer without the words that call it improved."""
    if as_released:
        return "\n\n".join(text.split("\n\n")[1:]) if "improved answer" in text.lower() else text
    return _without_label(without_lead_in(text), _IMPROVED_LABEL)


def without_lead_in(text: str, as_released: bool = False) -> str:
    """Without a first line that only announces the answer."""
    text = text.strip()
    if as_released:
        return "\n\n".join(text.split("\n\n")[1:]) if text.startswith(("Here is", "Here's")) else text
    first, _, rest = text.partition("\n")
    return rest.strip() if rest.strip() and (_LEAD_IN.match(first) or _HEADING.match(first)) else text


def without_outer_quotes(text: str, as_released: bool = False) -> str:
    """Without quotes around the whole: one pair, and only if none of that kind stands inside."""
    if as_released:
        return text.strip('"')
    text = text.strip()
    closing, inside = _QUOTES.get(text[:1]), text[1:-1]
    if closing and inside and text[-1] == closing and text[0] not in inside and closing not in inside:
        return inside.strip()
    return text


def _without_label(text: str, label: re.Pattern) -> str:
    found = label.match(text)
    return text[found.end() :] if found and found.end() < len(text) else text
