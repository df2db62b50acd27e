"""From a row to one text and the places of its answers in it.

    {"instruction": "Add.", "input": "1 2", "output": "3"}   ->  "Add.\\n1 2\\n3", answers at [(9, 10)]

Rows are read by common/conversations.py; what stands here is how the scorer lays the turns out.
"""

from typing import Any, NamedTuple

from common.conversations import alpaca_prompt, as_messages, templated
from common.errors import Reject
from common.step import need


class Text(NamedTuple):
    whole: str
    answers: list[tuple[int, int]]  # [start, end) in characters

    @property
    def prompt(self) -> str:
        return self.whole[: self.answers[0][0]]

    @property
    def answer(self) -> str:
        return self.whole[slice(*self.answers[0])]


def paper_text(row: dict) -> Text:
    """The paper's prompt: no template, because a base model has seen none; one question and one answer."""
    prompt, answer = alpaca_prompt(row) + "\n", need(row, "output")
    return Text(prompt + answer, [(len(prompt), len(prompt) + len(answer))])


def plain_text(row: dict) -> Text:
    """Turn after turn, a line break between them, as in the paper's prompt."""
    messages, answers, start = as_messages(row), [], 0
    for message in messages:
        end = start + len(message["content"])
        if message["role"] == "assistant":
            answers.append((start, end))
        start = end + 1
    return Text("\n".join(message["content"] for message in messages), answers)


def chat_text(row: dict, tokenizer: Any) -> Text:
    """The same turns in the model's own chat template."""
    messages = as_messages(row)
    if not any(message["role"] == "assistant" for message in messages):
        raise Reject("the conversation has no answer")
    whole = templated(tokenizer, messages)
    answers = []
    for number, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before = templated(tokenizer, messages[:number], add_generation_prompt=True) if number else ""
        content = message["content"].strip()  # many templates strip
        start = whole.find(content, len(before)) if whole.startswith(before) else -1
        if start < 0:
            raise Reject("the chat template does not keep the answer as it is")
        answers.append((start, start + len(content)))
    return Text(whole, answers)


def checked(text: Text) -> Text:
    """A text whose answers can be scored."""
    if not text.answers:
        raise Reject("the conversation has no answer")
    if any(start == end for start, end in text.answers):
        raise Reject("the answer is empty")
    return text
