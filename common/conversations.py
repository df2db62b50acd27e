r"""The turns of a row, in whichever of the known forms it has them; every program that reads conversations asks here.

    as_messages({"instruction": "Add.", "input": "1 2", "output": "3"})
    # [{"role": "user", "content": "Add.\n1 2"}, {"role": "assistant", "content": "3"}]

Alpaca      {"instruction": …, "input": …, "output": …}, also with earlier turns, "history": [["1+1?", "2"], …], and
            with "system"; --prompt_key and --response_key name other keys
messages    {"messages": [{"role": "user", "content": …}, …]}
ShareGPT    {"conversations": [{"from": "human", "value": …}, …], "system": …}; roles written as in messages will do
"""

from collections.abc import Iterator
from typing import Any

from jinja2 import TemplateError

from common.errors import BadValue
from common.step import need

SHAREGPT_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "system": "system",
}


def has_turns(row: dict) -> bool:
    """Whether the row lists its turns; if not, it is read as Alpaca's."""
    return isinstance(row.get("messages"), list) or isinstance(row.get("conversations"), list)


def as_messages(row: dict, prompt_key: str = "instruction", response_key: str = "output") -> list[dict]:
    """The row's turns as {"role", "content"}; a row in none of the known forms is bad."""
    if has_turns(row):
        key = "messages" if isinstance(row.get("messages"), list) else "conversations"
        messages = [_message(number, turn) for number, turn in enumerate(row[key])]
    elif prompt_key not in row and "messages" in row:
        raise BadValue(f"'messages' is a {type(row['messages']).__name__}, expected a list")
    else:
        messages = [message for asked, answered in _earlier_turns(row) for message in _exchange(asked, answered)]
        messages += _exchange(alpaca_prompt(row, prompt_key), need(row, response_key))
    return with_system(messages, row.get("system"))


def with_system(messages: list[dict], system: Any) -> list[dict]:
    """A conversation that has no system message begins with this one, if it is a text."""
    if not isinstance(system, str) or not system or (messages and messages[0]["role"] == "system"):
        return messages
    return [{"role": "system", "content": system}, *messages]


def alpaca_prompt(row: dict, prompt_key: str = "instruction") -> str:
    """The instruction and, if there is one, the input it works on, on a line of its own."""
    prompt = need(row, prompt_key)
    if prompt_key == "input" or row.get("input") in (None, ""):
        return prompt
    return f"{prompt}\n{need(row, 'input')}"


def templated(tokenizer: Any, messages: list[dict], **options: bool) -> str:
    """The text that the model's own chat template makes of them."""
    try:
        return tokenizer.apply_chat_template(messages, tokenize=False, **options)
    except TemplateError as error:
        raise BadValue(f"the chat template refuses the conversation: {error}") from None


def _message(number: int, turn: Any) -> dict:
    if not isinstance(turn, dict):
        raise BadValue(f"message {number} is a {type(turn).__name__}, expected an object")
    if "from" not in turn:
        return {"role": need(turn, "role"), "content": need(turn, "content")}
    speaker = need(turn, "from")
    if speaker not in SHAREGPT_ROLES:
        raise BadValue(f"message {number}: unknown speaker {speaker!r}; known: {', '.join(SHAREGPT_ROLES)}")
    return {"role": SHAREGPT_ROLES[speaker], "content": need(turn, "value")}


def _earlier_turns(row: dict) -> Iterator[tuple[str, str]]:
    history = row.get("history")
    for number, turn in enumerate(history if isinstance(history, list) else []):
        if not isinstance(turn, list | tuple) or [type(text) for text in turn] != [str, str]:
            raise BadValue(f"turn {number} of 'history' is not a pair of texts, a question and its answer")
        yield turn[0], turn[1]


def _exchange(asked: str, answered: str) -> list[dict]:
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
