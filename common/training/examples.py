"""Rows as token ids and labels, so that the loss is on the response and on nothing else.

    example = encode(tokenizer, conversation({"instruction": "1+1?", "output": "2"}, "instruction", "output"))
    example["labels"]       # -100 for every token of the prompt, the ids for the response and what ends it

A chat model is shown exactly what its template shows it when it answers: the prompt is tokenized by itself, as a server
does, and the response after it. A model without a template gets the Alpaca format.
"""

from typing import Any

from common.conversations import as_messages, templated, with_system
from common.errors import BadInput, BadValue

NO_LOSS = -100  # torch's ignore_index
ALPACA_PROMPT = "### Instruction:\n{prompt}\n\n### Response:\n"


def conversation(row: dict, prompt_key: str, response_key: str, system: str | None = None) -> list[dict]:
    """The messages of a row, the system prompt before those that have none of their own."""
    messages = as_messages(row, prompt_key, response_key)
    if not any(message["role"] == "assistant" for message in messages):
        raise BadValue("no message of the assistant: nothing to learn")
    return with_system(messages, system)


def segments(tokenizer: Any, messages: list[dict], chat: bool) -> list[tuple[str, bool]]:
    """The text of a conversation in pieces, each with whether the model is to learn to write it."""
    if not chat:
        return _alpaca_segments(tokenizer, messages)
    pieces, shown = [], ""
    for turn, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prompt = templated(tokenizer, messages[:turn], add_generation_prompt=True) if turn else ""
        answered = templated(tokenizer, messages[: turn + 1])
        if not prompt.startswith(shown) or not answered.startswith(prompt) or answered == prompt:
            raise BadInput(
                "the chat template writes a conversation differently once it is answered; train with "
                "--format alpaca, or give a template that only appends"
            )
        pieces += [(prompt[len(shown) :], False), (answered[len(prompt) :], True)]
        shown = answered
    return pieces


def _alpaca_segments(tokenizer: Any, messages: list[dict]) -> list[tuple[str, bool]]:
    pieces = []
    asked: list[str] = []
    for message in messages:
        if message["role"] == "assistant":
            prompt = ALPACA_PROMPT.format(prompt="\n".join(asked))
            pieces += [(prompt, False), (message["content"] + tokenizer.eos_token, True)]
            asked = []
        else:
            asked.append(message["content"])
    if pieces and tokenizer.bos_token:
        pieces[0] = (tokenizer.bos_token + pieces[0][0], False)
    return pieces


def encode(tokenizer: Any, messages: list[dict], chat: bool = True, loss_on: str = "response") -> dict[str, list[int]]:
    ids, labels = [], []
    for text, is_response in segments(tokenizer, messages, chat):
        piece = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids += piece
        labels += piece if is_response or loss_on == "all" else [NO_LOSS] * len(piece)
    return {"input_ids": ids, "labels": labels}


def fit(example: dict[str, list[int]], args: Any) -> dict[str, list[int]] | None:
    """The example within the lengths asked for, or None where it is too long and `--too_long drop`.

    With a source and a target length (ChatGLM2's code) prompt and response are cut apart from each other; with the Qwen
    code's single length the end of the whole is cut.
    """
    ids, labels = example["input_ids"], example["labels"]
    if args.max_source_length and args.max_target_length:
        start = next((at for at, label in enumerate(labels) if label != NO_LOSS), len(ids))
        prompt, response = slice(0, min(start, args.max_source_length)), slice(start, start + args.max_target_length)
        cut = {name: values[prompt] + values[response] for name, values in example.items()}
    else:
        cut = {name: values[: args.max_length] for name, values in example.items()}
    if len(cut["input_ids"]) == len(ids):
        return example
    nothing_left = all(label == NO_LOSS for label in cut["labels"])
    return None if args.too_long == "drop" or nothing_left else cut
