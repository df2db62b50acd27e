"""Where the question stands in a row, for each of the five sets of questions and for files of your own.

key = SETS["sinstruct"]
question_of(row, key.prompt_key, key.input_key)
"""

from typing import Any, NamedTuple

from common.errors import BadValue
from common.step import need


class Keys(NamedTuple):
    prompt_key: str
    input_key: str | None = None  # of a text that the question is about


SETS = {
    "vicuna": Keys("text"),
    "koala": Keys("prompt"),
    "wizardlm": Keys("Instruction"),
    "sinstruct": Keys("instruction", "instances.0.input"),
    "lima": Keys("conversations"),
}
PROMPT_KEYS = ("prompt", "question", *dict.fromkeys(keys.prompt_key for keys in SETS.values()))


def question_of(row: dict, prompt_key: str, input_key: str | None = None) -> str | list[dict]:
    """The question, and on a line of its own the text that it is about; or the messages of a conversation."""
    more = input_of(row, input_key) if input_key else ""
    question = value_at(row, prompt_key)
    if not isinstance(question, str | list) or (input_key and not isinstance(question, str)):
        expected = "str" if input_key else "str or a list of messages"
        raise BadValue(f"{prompt_key!r} is a {type(question).__name__}, expected {expected}")
    return f"{question}\n{more}" if more else question


def input_of(row: dict, input_key: str) -> str:
    """An empty one where the row has none."""
    value = value_at(row, input_key)
    if not isinstance(value, str | None):
        raise BadValue(f"{input_key!r} is a {type(value).__name__}, expected a text")
    return value or ""


def value_at(row: dict, key: str) -> Any:
    """`instances.0.input` is row["instances"][0]["input"]; None where the row has no such thing."""
    if key in row:
        return row[key]
    first, *rest = key.split(".")
    value = need(row, first, object)
    for part in rest:
        try:
            value = value[int(part) if isinstance(value, list) else part]
        except (KeyError, IndexError, ValueError, TypeError):
            return None
    return value
