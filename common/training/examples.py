"""Rows as token ids and labels, so that the loss is on the response and on nothing else.

    messages = conversation({"instruction": "1+1?", "output": "2"}, "instruction", "output")
    example = encode(tokenizer, messages)
    example["labels"]       # -100 for every token of the prompt, the ids for the response and what ends it

A chat model is shown exactly what its template shows it when it answers: the prompt is tokenized by itself, as a server
does, and the response after it. A model without a template gets the Alpaca format.
"""

from collections import Counter
from pathlib import Path
from typing import Any

from common.conversations import as_messages, templated, with_system
from common.errors import BadInput, BadRow, BadValue
from common.program import progress
from common.rows import scan_rows, write_rows
from common.step import need

NO_LOSS = -100  # torch's ignore_index
ALPACA_PROMPT = "### Instruction:\n{prompt}\n\n### Response:\n"

Example = dict[str, list[int]]


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


def encode(tokenizer: Any, messages: list[dict], chat: bool = True, loss_on: str = "response") -> Example:
    pieces = segments(tokenizer, messages, chat)
    if loss_on == "all":
        # One text, as the released code of Qwen has it: without the line break that templates put after the last mark.
        text = "".join(text for text, _ in pieces)
        return _learned_whole(tokenizer(text.removesuffix("\n"), add_special_tokens=False)["input_ids"])
    ids, labels = [], []
    for text, is_response in pieces:
        piece = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids += piece
        labels += piece if is_response else [NO_LOSS] * len(piece)
    return {"input_ids": ids, "labels": labels}


def encode_text(tokenizer: Any, text: str) -> Example:
    """A text that is ready, with the tokenizer's own special tokens and nothing else; all of it is learned."""
    return _learned_whole(tokenizer(text)["input_ids"])


def _learned_whole(ids: list[int]) -> Example:
    return {"input_ids": ids, "labels": list(ids)}


def cut(example: Example, max_length: int | None) -> Example:
    """The beginning of a longer example."""
    return {name: values[:max_length] for name, values in example.items()}


def cut_apart(example: Example, max_source_length: int, max_target_length: int, end: int) -> Example:
    """Prompt and response cut each by itself, as in ChatGLM2's code; a response that is cut ends with `end` as well."""
    ids, labels = example["input_ids"], example["labels"]
    start = next((at for at, label in enumerate(labels) if label != NO_LOSS), len(ids))
    prompt = slice(0, min(start, max_source_length))
    response, ending = slice(start, None), []
    if len(ids) - start > max_target_length + 1:  # the end itself is not counted
        response, ending = slice(start, start + max_target_length), [end]
    return {name: [*values[prompt], *values[response], *ending] for name, values in example.items()}


def encode_row(row: dict, tokenizer: Any, options: Any, text_field: str) -> Example:
    if options.format == "text":
        example = encode_text(tokenizer, need(row, text_field))
    else:
        chat = options.format == "chat" or options.format == "auto" and bool(tokenizer.chat_template)
        messages = conversation(row, options.prompt_key, options.response_key, options.system_prompt)
        example = encode(tokenizer, messages, chat, options.loss_on)
    if nothing_to_learn(example):
        raise BadValue("nothing in it is to be learned")
    return example


def nothing_to_learn(example: Example) -> bool:
    return all(label == NO_LOSS for label in example["labels"])


def read_examples(path: str, tokenizer: Any, options: Any, training: Any) -> tuple[list[Example], Counter, list[dict]]:
    """(examples, counts, the rows left out and why), as the arguments of common/training/arguments.py say."""
    examples: list[Example] = []
    left_out: list[dict] = []
    counts = Counter({"rows": 0, "dropped, too long": 0, "cut": 0, "bad rows": 0})
    for index, row in enumerate(progress(scan_rows(path, options.split), desc="tokenize")):
        counts["rows"] += 1
        try:
            if isinstance(row, BadRow):
                raise row
            example = encode_row(row, tokenizer, options, training.dataset_text_field)
        except (BadRow, BadValue) as why:
            problem = why.problem if isinstance(why, BadRow) else why.reason
            if options.on_bad_row == "stop":
                raise BadRow(path, index, f"{problem} (--on_bad_row skip leaves it out)") from None
            counts["bad rows"] += 1
            left_out.append({"index": index, "reason": f"bad row: {problem}"})
            continue
        if options.max_source_length:
            fitting = cut_apart(example, options.max_source_length, options.max_target_length, tokenizer.eos_token_id)
        else:
            fitting = cut(example, training.max_length)
        is_cut = fitting["input_ids"] != example["input_ids"]
        if is_cut and (options.too_long == "drop" or nothing_to_learn(fitting)):
            counts["dropped, too long"] += 1
            left_out.append({"index": index, "reason": f"too long: {len(example['input_ids'])} tokens"})
            continue
        counts["cut"] += is_cut
        examples.append(fitting)
    if not examples:
        raise BadInput(f"{path}: no row is left to train on: {dict(counts)}")
    return examples, counts, left_out


def left_out_path(folder: Path) -> Path:
    return folder.with_name(folder.name + ".rejected.jsonl")


def write_left_out(folder: Path, left_out: list[dict]) -> None:
    path = left_out_path(folder)
    path.unlink(missing_ok=True)  # of an earlier run
    if left_out:
        write_rows(path, left_out)
