"""One document and one rater: asked, asked for the number alone if that is missing, rejected in the end."""

from collections.abc import Callable
from dataclasses import replace

from common.errors import AnswerRejected, Reject
from common.llm import Ask
from edu_filter.asking import Prompts, document_of
from edu_filter.ratings import MARKS, int_score, parse_rating, reason_of

ONLY_THE_NUMBER = {
    "es": "Falta la puntuación. Escribe solo esta línea, con un número de 0 a 5:\n{mark}: <número>",
    "pt": "Falta a pontuação. Escreva apenas esta linha, com um número de 0 a 5:\n{mark}: <número>",
    "en": "The score is missing. Write this line only, with a number from 0 to 5:\n{mark}: <number>",
    "zh": "缺少评分。只写这一行，填0到5的数字：\n{mark}: <数字>",
}
MORE_TOKENS = 4  # times as many for a reply that was cut off before its rating


def rate(
    prompts: Prompts, column: str, key: str, rater: str | None, max_tokens: int, attempts: int, first_sample: int = 0
) -> Callable:
    """For work_rows. Another rubric's rating goes by another key, and all that belongs to it. `first_sample` tells
    later askings of the same documents from earlier ones."""
    prefix = "" if key == "rating" else f"{key}_"

    async def work(row: dict, ask: Ask) -> dict:
        text = document_of(row, column)
        lang = prompts.language(text)
        mark = prompts.own_mark(lang)
        first = request = prompts.request(text, lang)
        for sample in range(attempts):
            answer = await ask(request, first_sample + sample)
            try:
                rating = parse_rating(answer.text, mark)
            except Reject as why:
                cut = answer.finish_reason == "length"
                rejected = AnswerRejected(f"cut off at max_tokens: {why.reason}" if cut else why.reason, answer.text)
                # The same request would get the same reply: temperature is 0.
                asked = ONLY_THE_NUMBER[lang].format(mark=mark or MARKS[lang])
                more = [{"role": "assistant", "content": answer.text}, {"role": "user", "content": asked}]
                longer = replace(first, max_tokens=MORE_TOKENS * max_tokens)
                request = longer if cut else replace(first, messages=first.messages + more)
                continue
            rated = {key: rating, f"int_{key}": int_score(rating), f"{prefix}reason": reason_of(answer.text, mark)}
            rated |= {"lang": lang, f"{prefix}rater": rater, f"{prefix}rated_chars": len(prompts.shown(text))}
            return row | rated
        raise rejected

    return work
