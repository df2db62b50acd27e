"""How the stand-in answers this method's prompts.

author/writer and 30 words              a profile of the writer
an answer to be improved                the answer with more of the text, sometimes with a lead-in
a (rewrite) request in at most N words  a request about the text; without "rewrite" a question that it answers
"""

import random
import re

from common.llm.standin.prompts import Prompt
from common.llm.standin.quoting import clauses, nearest_sentences, string_quotes
from common.llm.standin.words import QUESTIONS

# A request about a text: form, reader, one topic of the text, two constraints. Under 50 words.
REWRITES = {
    "en": 'Turn this text into {form} for {reader}. Keep the point about "{0}", {first} and {second}.',
    "zh": "请把这段文字改成给{reader}看的{form}。保留关于“{0}”的内容，{first}，{second}。",
    "es": "Convierta este texto en {form} para {reader}. Conserve lo dicho sobre «{0}», {first} y {second}.",
    "pt": "Converta este texto em {form} para {reader}. Conserve o que se diz sobre «{0}», {first} e {second}.",
}

FORMS = {
    "en": [
        "a summary of five sentences",
        "a list of the main facts",
        "a friendly letter",
        "a news item",
        "a short FAQ",
    ],
    "zh": ["五句话的摘要", "要点清单", "一封信", "一则新闻", "一组问答"],
    "es": [
        "un resumen de cinco frases",
        "una lista de hechos",
        "una carta amable",
        "una noticia",
        "unas preguntas frecuentes",
    ],
    "pt": [
        "um resumo de cinco frases",
        "uma lista de fatos",
        "uma carta amigável",
        "uma notícia",
        "umas perguntas frequentes",
    ],
}

READERS = {
    "en": ["school pupils", "busy managers", "newcomers to the subject", "a local audience", "experts"],
    "zh": ["中学生", "忙碌的管理者", "初学者", "当地读者", "专业人士"],
    "es": ["estudiantes de secundaria", "directivos con prisa", "principiantes", "un público local", "expertos"],
    "pt": ["estudantes do ensino médio", "gestores com pressa", "principiantes", "um público local", "especialistas"],
}

CONSTRAINTS = {
    "en": [
        "name every number that occurs",
        "begin with the result",
        "avoid technical terms",
        "end with advice",
        "use the present tense",
    ],
    "zh": ["写出所有数字", "先说结论", "避免术语", "最后给出建议", "语气平和"],
    "es": [
        "cite cada cifra",
        "empiece por el resultado",
        "evite tecnicismos",
        "termine con un consejo",
        "use el presente",
    ],
    "pt": [
        "cite cada número",
        "comece pelo resultado",
        "evite termos técnicos",
        "termine com um conselho",
        "use o presente",
    ],
}

PROFILES = {
    "en": [
        'A writer who informs general readers about "{0}" in a {tone} tone.',
        'A {tone} observer who reports on "{0}".',
    ],
    "zh": ["一位以{tone}笔调介绍“{0}”的作者。", "一位关注“{0}”、文风{tone}的撰稿人。"],
    "es": [
        "Autor que informa al público sobre «{0}» con tono {tone}.",
        "Observador de tono {tone} que escribe de «{0}».",
    ],
    "pt": [
        "Autor que informa o público sobre «{0}» em tom {tone}.",
        "Observador de tom {tone} que escreve sobre «{0}».",
    ],
}

TONES = {
    "en": ["matter-of-fact", "lively", "careful"],
    "zh": ["平实", "活泼", "严谨"],
    "es": ["sobrio", "vivo", "prudente"],
    "pt": ["sóbrio", "vivo", "prudente"],
}

LEAD_INS = {
    "en": "Here is an improved answer:",
    "zh": "以下是改进后的回答：",
    "es": "Aquí tienes una respuesta mejorada:",
    "pt": "Aqui está uma resposta melhorada:",
}

WISHES = {  # what an instruction asks for, in the four languages, in small letters
    "profile": re.compile(
        r"(?s)(?:author|writer|作者|autor|escritor).*(?:(?<!\d)30(?!\d)|thirty|三十|treinta|trinta)"
        r"|(?:(?<!\d)30(?!\d)|thirty|三十|treinta|trinta).*(?:author|writer|作者|autor|escritor)"
    ),
    "refine": re.compile(
        r"\b(?:refin|improv|polish)\w*|改进|完善|润色|优化|\bmejor\w+|\bmelhor\w+|\brefin\w+|\baprimor\w+"
    ),
    "rewrite": re.compile(
        r"\brewrit\w+|\btransform\w*|\brephras\w+|改写|重写|转写|改编"
        r"|\breescri\w+|\breescrev\w+|\btransforma\w*"
    ),
    "question": re.compile(
        r"\b(?:most likely|likely|which|what|infer|guess|write|formulate|pose|ask|predict|make up)\b"
        r"[^.\n]{0,80}\b(?:question|request|instruction|query)\b"
        r"|(?:推测|写出|提出|推断|设想|想出|给出)[^。\n]{0,40}(?:问题|请求|指令|要求)"
        r"|\b(?:escrib|formul|infier|deduc|inferir|plante|redact|imagin|adivin|escrev|deduz|infira|elabor)\w*\b[^.\n]{0,80}"
        r"\b(?:pregunta|petici[óo]n|solicitud|instrucci[óo]n|consulta|pergunta|pedido|solicitação|instrução)\b"
    ),
    "limit": re.compile(
        r"\b(?:50|100|150|200)\b\s*(?:words|palabras|palavras|个?[字词])|(?:50|100|150|200)\s*个?[字词]"
    ),
}
REQUEST_WORD = re.compile(
    r"\b(?:request|instruction|petici[óo]n|solicitud|instrucci[óo]n|pedido|solicitação|instrução)|请求|指令|要求"
)


def describe_author(prompt: Prompt, rng: random.Random) -> str | None:
    if not WISHES["profile"].search(prompt.asked) or WISHES["limit"].search(prompt.asked):
        return None
    topic, tone = clauses(prompt.given, prompt.language)[0], rng.choice(TONES[prompt.language])
    return rng.choice(PROFILES[prompt.language]).format(topic, tone=tone)


def refine(prompt: Prompt, rng: random.Random) -> str | None:
    draft = prompt.body("answer")
    if not draft or not prompt.body("text") or not WISHES["refine"].search(prompt.asked):
        return None
    question = prompt.body("question")
    found = nearest_sentences(prompt.given, question, 6)
    phrases = [phrase for sentence in found for phrase in clauses(sentence, prompt.language)[:2]]
    # Drafts are quotes from the question; what the text says comes first, what the draft adds comes last.
    improved = string_quotes([*phrases[:6], clauses(draft, prompt.language)[-1]], prompt.language, rng)
    return f"{LEAD_INS[prompt.language]}\n\n{improved}" if rng.random() < 1 / 3 else improved


def make_request(prompt: Prompt, rng: random.Random) -> str | None:
    if not WISHES["limit"].search(prompt.asked) or not REQUEST_WORD.search(prompt.asked):
        return None
    if not WISHES["rewrite"].search(prompt.asked):
        return None
    language = prompt.language
    first, second = rng.sample(CONSTRAINTS[language], 2)
    form, reader = rng.choice(FORMS[language]), rng.choice(READERS[language])
    topic = rng.choice(clauses(prompt.given, language))
    return REWRITES[language].format(topic, form=form, reader=reader, first=first, second=second)


def ask_for_text(prompt: Prompt, rng: random.Random) -> str | None:
    if not WISHES["limit"].search(prompt.asked) or not WISHES["question"].search(prompt.asked):
        return None
    return rng.choice(QUESTIONS[prompt.language]).format(rng.choice(clauses(prompt.given, prompt.language)))


WISH_RULES = (describe_author, refine, make_request, ask_for_text)
