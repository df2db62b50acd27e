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
    if not input_key:
        return need(row, prompt_key, (str, list))
    more, question = input_of(row, input_key), need(row, prompt_key)
    return f"{question}\n{more}" if more else question


def input_of(row: dict, input_key: str) -> str:
    """`instances.0.input` is row["instances"][0]["input"]; "" where the row has no such text."""
    first, *rest = input_key.split(".")
    value = need(row, first, object)
    for key in rest:
        value = _inside(value, key)
    if not isinstance(value, str | None):
        raise BadValue(f"{input_key!r} is a {type(value).__name__}, expected a text")
    return value or ""


def _inside(value: Any, key: str) -> Any:
    try:
        return value[int(key) if isinstance(value, list) else key]
    except (KeyError, IndexError, ValueError, TypeError):
        return None
