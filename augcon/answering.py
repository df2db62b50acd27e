"""How one question is answered and one answer judged: requests, tries, what is not good enough.

text = await answer_question(ask, context, question, "zh", shown, answering)       # raises AnswerRejected
"""

from collections.abc import Sequence
from dataclasses import dataclass

from augcon.answers import (
    SEPARATOR,
    Demonstration,
    field_texts,
    read_answer,
    released_answer,
    released_prompt,
    shown_text,
)
from augcon.asking import STOPS
from augcon.context_tree import only_question
from augcon.demonstrations import released_verdict, verdict
from augcon.prompts import template
from common.errors import AnswerRejected
from common.llm import Answer, Ask, Request
from common.prompts import fill
from common.refusals import is_refusal

JUDGE_TOKENS = 4096


@dataclass(frozen=True)
class Answering:
    attempts: int = 3
    prompt_folder: str | None = None
    principles: bool = True
    keep_truncated: bool = False
    keep_refusals: bool = False
    paper_exact: bool = False
    released_tokens: int = 150


async def answer_question(
    ask: Ask, context: str, question: str, lang: str, shown: Sequence[Demonstration], answering: Answering
) -> Demonstration:
    """The question with its answer (and, as released, the reasoning before it)."""
    if answering.paper_exact:
        reasoning, answer = await _as_released(ask, context, question, lang, shown, answering)
        return Demonstration(context, question, answer, reasoning)
    request = answer_request(context, question, lang, shown, answering)
    for sample in range(answering.attempts):
        answer = await ask(request, sample)
        text, fault = checked_answer(answer, answering)
        if fault is None:
            return Demonstration(context, question, text)
    raise AnswerRejected(fault, answer.text)


def answer_request(
    context: str, question: str, lang: str, shown: Sequence[Demonstration], answering: Answering
) -> Request:
    """What stays the same comes first, so that a server can reuse its work on it."""
    blocks = [shown_text(lang, one.context, one.question, one.answer) for one in shown]
    user = SEPARATOR.join([*blocks, shown_text(lang, context, question)])
    if not answering.principles:
        return Request(messages=[{"role": "user", "content": user}])
    system = template("answer", lang, answering.prompt_folder)
    return Request(messages=[{"role": "system", "content": system}, {"role": "user", "content": user}])


def checked_answer(answer: Answer, answering: Answering) -> tuple[str, str | None]:
    """The answer's text, and what is wrong with it."""
    text = read_answer(answer.text, marked=answering.principles)
    if answer.finish_reason == "length" and not answering.keep_truncated:
        return "", "cut off at --max_tokens (--keep_truncated keeps such answers)"
    if text is None:
        return "", "empty answer" if not answer.text.strip() else "no mark before the answer"
    if not text:
        return "", "empty answer"
    if is_refusal(text) and not answering.keep_refusals:
        return "", "refusal (--keep_refusals keeps such answers)"
    return text, None


async def _as_released(
    ask: Ask, context: str, question: str, lang: str, shown: Sequence[Demonstration], answering: Answering
) -> tuple[str, str]:
    principles = template("answer", lang, answering.prompt_folder).rpartition("\n\n")[0]
    prompt = released_prompt(principles, field_texts(lang), shown, context, question)
    asked = 0

    async def complete(prompt: str, max_tokens: int) -> str:
        nonlocal asked
        asked += 1
        request = Request(prompt=prompt, temperature=0.0, top_p=1.0, max_tokens=max_tokens, stop=["---"])
        return (await ask(request, asked - 1)).text

    return await released_answer(prompt, complete, answering.released_tokens)


async def judge_answer(ask: Ask, example: Demonstration, answer: str, lang: str, answering: Answering) -> bool | None:
    """Whether the answer is as good as the example's own; None: undecided, also when asked again."""
    words = {"context": example.context, "question": example.question, "reference": example.answer, "answer": answer}
    request = _judge_request("judge", lang, words, answering)
    if answering.paper_exact:
        return released_verdict((await ask(request)).text)
    return await _verdict(ask, request, answering.attempts)


async def is_supported(ask: Ask, answered: Demonstration, lang: str, answering: Answering) -> bool | None:
    """Whether the context holds everything that the answer says."""
    words = {"context": answered.context, "question": answered.question, "answer": answered.answer}
    return await _verdict(ask, _judge_request("support", lang, words, answering), answering.attempts)


async def self_contained(
    ask: Ask, context: str, question: str, lang: str, answering: Answering, rewrite: bool = False
) -> str:
    """The question, or what a model makes of it, as somebody understands it who does not know the context."""
    words = {"context": context, "question": question}
    if await _verdict(ask, _judge_request("self_contained", lang, words, answering), answering.attempts):
        return question
    if rewrite:
        answer = await ask(_judge_request("rewrite_question", lang, words, answering))
        found = only_question(answer.text)
        other = found.question if found and answer.finish_reason != "length" else ""
        check = _judge_request("self_contained", lang, words | {"question": other}, answering)
        if other and await _verdict(ask, check, answering.attempts):
            return other
    raise AnswerRejected("cannot be understood without its context", question)


def _judge_request(name: str, lang: str, words: dict[str, str], answering: Answering) -> Request:
    prompt = fill(template(name, lang, answering.prompt_folder), **words)
    stop = list(STOPS) if answering.paper_exact else None
    return Request(messages=[{"role": "user", "content": prompt}], temperature=0.2, max_tokens=JUDGE_TOKENS, stop=stop)


async def _verdict(ask: Ask, request: Request, attempts: int) -> bool | None:
    for sample in range(attempts):
        said = verdict((await ask(request, sample)).text)
        if said is not None:
            return said
    return None
