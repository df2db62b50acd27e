"""From a row to one text and the places of its answers in it.

    {"instruction": "Add.", "input": "1 2", "output": "3"}   ->  "Add.\\n1 2\\n3", answers at [(9, 10)]

Rows are read by common/conversations.py; what stands here is how the scorer lays the turns out.
"""

from typing import Any, NamedTuple

from common.conversations import as_messages, templated
from common.errors import BadValue, Reject
from common.prompts import fill
from common.step import need


class ScoredText(NamedTuple):
    text: str
    answers: list[tuple[int, int]]  # [start, end) in characters


def released_text(row: dict) -> ScoredText:
    """As released: no template, because a base model has seen none. What is no text is written as Python writes it."""
    instruction, more = need(row, "instruction", object), row.get("input", "")
    prompt, answer = f"{instruction}\n" if more == "" else f"{instruction}\n{more}\n", need(row, "output")
    if has_lone_surrogate(prompt):
        raise BadValue("a lone surrogate in the prompt: the released code ends here")
    return ScoredText(prompt + answer, [(len(prompt), len(prompt) + len(answer))])


def plain_text(row: dict) -> ScoredText:
    """Turn after turn, a line break between them, as in the paper's prompt."""
    messages, answers, start = as_messages(row), [], 0
    for message in messages:
        end = start + len(message["content"])
        if message["role"] == "assistant":
            answers.append((start, end))
        start = end + 1
    return ScoredText("\n".join(message["content"] for message in messages), answers)


def chat_text(row: dict, tokenizer: Any) -> ScoredText:
    """The same turns in the model's own chat template."""
    messages = as_messages(row)
    if not any(message["role"] == "assistant" for message in messages):
        raise Reject("the conversation has no answer")
    text = templated(tokenizer, messages)
    answers = []
    for number, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before = templated(tokenizer, messages[:number], add_generation_prompt=True) if number else ""
        content = message["content"].strip()  # many templates strip
        start = text.find(content, len(before)) if text.startswith(before) else -1
        if start < 0:
            raise Reject("the chat template does not keep the answer as it is")
        answers.append((start, start + len(content)))
    return ScoredText(text, answers)


def template_text(row: dict, template: str) -> ScoredText:
    """A template of the user's, with {instruction} and {input}."""
    instruction, more, answer = alpaca_texts(row)
    before = fill(template, instruction=instruction, input=more)
    return ScoredText(before + answer, [(len(before), len(before) + len(answer))])


def alpaca_texts(row: dict) -> tuple[str, str, str]:
    more = need(row, "input") if row.get("input") is not None else ""
    return need(row, "instruction"), more, need(row, "output")


def checked(scored: ScoredText) -> ScoredText:
    """A text whose answers can be scored."""
    if not scored.answers:
        raise Reject("the conversation has no answer")
    if any(start == end for start, end in scored.answers):
        raise Reject("the answer is empty")
    if has_lone_surrogate(scored.text):
        raise Reject("a lone surrogate in the text, which no tokenizer reads")
    return scored


def has_lone_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text) if not text.isascii() else False
