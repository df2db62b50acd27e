"""From a row to one text and the places of its answers in it.

    {"instruction": "Add.", "input": "1 2", "output": "3"}   ->  "Add.\\n1 2\\n3", answers at [(9, 10)]

Also {"messages": [{"role": "user", "content": ...}, ...]}, and ShareGPT's {"conversations": [{"from": "human",
"value": ...}, ...]}.
"""

from typing import Any, NamedTuple

from jinja2 import TemplateError

from common.errors import BadValue, Reject
from common.step import need

SHAREGPT_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}


class Text(NamedTuple):
    whole: str
    answers: list[tuple[int, int]]  # [start, end) in characters

    @property
    def prompt(self) -> str:
        return self.whole[: self.answers[0][0]]

    @property
    def answer(self) -> str:
        return self.whole[slice(*self.answers[0])]


def alpaca_prompt(row: dict) -> str:
    """The paper's prompt: no template, because a base model has never seen one."""
    question = need(row, "input") if row.get("input") is not None else ""
    return f"{need(row, 'instruction')}\n{question}\n" if question else f"{need(row, 'instruction')}\n"


def as_messages(row: dict) -> list[dict]:
    """The row's turns as {"role", "content"}; a row that has none of the known forms is bad."""
    if isinstance(row.get("messages"), list):
        turns = [(turn, "role", "content") for turn in row["messages"]]
    elif isinstance(row.get("conversations"), list):
        turns = [(turn, "from", "value") for turn in row["conversations"]]
    else:
        return [
            {"role": "user", "content": alpaca_prompt(row)[:-1]},
            {"role": "assistant", "content": need(row, "output")},
        ]
    messages = []
    for turn, role_key, text_key in turns:
        if not isinstance(turn, dict):
            raise BadValue(f"a turn is a {type(turn).__name__}, expected an object with {role_key!r} and {text_key!r}")
        role = need(turn, role_key)
        if role_key == "from" and role not in SHAREGPT_ROLES:
            raise BadValue(f"unknown speaker {role!r}; known: {', '.join(SHAREGPT_ROLES)}")
        messages.append({"role": SHAREGPT_ROLES.get(role, role), "content": need(turn, text_key)})
    return messages


def plain_text(row: dict) -> Text:
    """Turn after turn, a line break between them."""
    if "messages" not in row and "conversations" not in row:
        prompt, answer = alpaca_prompt(row), need(row, "output")
        return Text(prompt + answer, [(len(prompt), len(prompt) + len(answer))])
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

    def templated(turns: list[dict], **options: bool) -> str:
        try:
            return tokenizer.apply_chat_template(turns, tokenize=False, **options)
        except TemplateError as error:
            raise Reject(f"the chat template refuses it: {error}") from None

    whole = templated(messages)
    answers = []
    for number, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before = templated(messages[:number], add_generation_prompt=True) if number else ""
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
