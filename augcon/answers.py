"""Prompts for answers, and what is read out of what the model writes.

Two layouts. The released one is that of dspy-ai 2.4.13: completions, reasoning and answer under English marks, at most
three requests (`released_answer`). Ours asks once, by chat, with the marks of the text's language (`read_answer`).
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

SEPARATOR = "\n\n---\n\n"
REASONING_CUE = "Reasoning: Let's think step by step in order to"
RELEASED_TOKENS = 150  # of the first completion, reasoning included; the further ones get half


@dataclass(frozen=True)
class Demonstration:
    context: str
    question: str
    answer: str
    reasoning: str | None = None  # None: an example that a person wrote


# ---- the released layout ---------------------------------------------------------------------------------------------


def released_prompt(
    instruction: str, field_texts: Sequence[str], demonstrations: Sequence[Demonstration], context: str, question: str
) -> str:
    """All up to the last cue; `released_answer` goes on from there. `field_texts` describe the three fields."""
    about_context, about_question, about_answer = field_texts
    form = (
        f"Follow the following format.\n\nContext: {about_context}\n\nQuestion: {about_question}\n\n"
        f"{REASONING_CUE} ${{produce the answer}}. We ...\n\nAnswer: {about_answer}"
    )
    query = f"{_field('Context:', context)}\n\n{_field('Question:', _one_line(question))}\n\n{REASONING_CUE}"
    return SEPARATOR.join([instruction, form, *map(_demonstration_block, demonstrations), query]).strip()


def _demonstration_block(shown: Demonstration) -> str:
    fields = [_field("Context:", shown.context), _field("Question:", _one_line(shown.question))]
    if shown.reasoning is None:
        return "\n".join([*fields, _field("Answer:", _one_line(shown.answer))])
    fields.append(_field(REASONING_CUE, _one_line(shown.reasoning)))
    return "\n\n".join([*fields, _field("Answer:", _one_line(shown.answer))])


def _field(name: str, value: str) -> str:
    return f"{name}{chr(10) if chr(10) in value else ' '}{value}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


async def released_answer(
    prompt: str, ask: Callable[[str, int], Awaitable[str]], tokens: int = RELEASED_TOKENS
) -> tuple[str, str]:
    """(reasoning, answer). `await ask(prompt, max_tokens)` gives a completion at temperature 0."""
    text = (await ask(prompt, tokens)).strip()
    reasoning, mark, answer = text.partition("\nAnswer:")
    reasoning, answer = reasoning.strip(), answer.strip()
    if answer:
        return reasoning, answer
    if reasoning:
        again = f"{prompt} {_one_line(reasoning)}\n\nAnswer:"
        return reasoning, (await ask(again, tokens // 2)).strip()
    answer = (await ask(prompt, tokens // 2)).strip()
    return "", answer or (await ask(prompt, tokens // 2)).strip()


def field_texts(lang: str) -> tuple[str, str, str]:
    return _FIELDS[lang]


# ---- ours ------------------------------------------------------------------------------------------------------------

ANSWER_MARK = re.compile(
    r"^[ \t]*[*#_]{0,3}[ \t]*(?:answer|final answer|回答|答案|最终答案|respuesta|resposta)"
    r"[ \t]*[*_]{0,3}[ \t]*[:：][*_]{0,3}",
    re.IGNORECASE | re.MULTILINE,
)
_FIELDS = {
    "en": ("what the answer rests on", "what a user asks", "what a person who knows the matter would say"),
    "zh": ("回答所依据的内容", "用户提出的问题", "了解情况的人会给出的回答"),
    "es": ("aquello en que se apoya la respuesta", "lo que pregunta un usuario", "lo que diría quien conoce el asunto"),
    "pt": ("aquilo em que a resposta se apoia", "o que um usuário pergunta", "o que diria quem conhece o assunto"),
}
_LABELS = {
    "en": ("Context", "Question", "Answer"),
    "zh": ("上下文", "问题", "回答"),
    "es": ("Contexto", "Pregunta", "Respuesta"),
    "pt": ("Contexto", "Pergunta", "Resposta"),
}


def shown_text(lang: str, context: str, question: str, answer: str | None = None) -> str:
    """One example, or (without an answer) what is asked; line breaks stay."""
    labels = _LABELS[lang]
    values = [context, question] if answer is None else [context, question, answer]
    return "\n".join(f"{label}: {value}" for label, value in zip(labels, values, strict=False))


def read_answer(text: str, marked: bool = True) -> str | None:
    """What stands after the last mark at the start of a line. Without a mark: None, or all where none is wanted."""
    marks = list(ANSWER_MARK.finditer(text))
    if marks:
        return text[marks[-1].end() :].strip()
    return None if marked else text.strip()
