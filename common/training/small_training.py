"""Train a small model in seconds, on a CPU, for as many tokens as are given: for the replications.

    python common/training/small_training.py --data_path texts.jsonl --model_name_or_path start --save_path base \
        --train_tokens 200000

in   a model of common/training/small_model.py, and rows: a "text", all of which is learned, or else a conversation
out  <save_path>: the trained model

From Python, several in one process, and what they answer:

    model, tokenizer = load("start")
    train(model, [encode(tokenizer, as_messages(row)) for row in rows], tokens=100_000, learning_rate=1e-3, seed=1)
    written(model, tokenizer, rows)        # what it answers, greedily
    losses(model, tokenizer, examples)     # mean loss of each example's labels

Every token that the model sees counts, prompts too: that is what is equal when data sets are compared. Anything larger
is trained by common/training/finetune.py.
"""

import argparse
import math
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without an install

from common.conversations import as_messages, templated
from common.program import make_parser, positive, run_main
from common.rows import input_files, read_rows, refuse_overlap
from common.step import need
from common.training import hush_bars
from common.training.examples import NO_LOSS, Example, encode, encode_text
from common.training.restart import begin, refuse_foreign

LEARNING_RATE = 4e-3  # at its highest, from random weights
WARM_UP = 0.05  # of all tokens; from there to none along half a cosine


def load(path: str | Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    hush_bars()
    tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval(), tokenizer


def padded(examples: Sequence[Example], pad: int) -> dict[str, Any]:
    """One batch, padded in front."""
    import torch

    longest = max(len(example["input_ids"]) for example in examples)

    def rows(name: str, fill: int) -> Any:
        return torch.tensor([[fill] * (longest - len(example[name])) + list(example[name]) for example in examples])

    ids = rows("input_ids", pad)
    mask = [[0] * (longest - len(example["input_ids"])) + [1] * len(example["input_ids"]) for example in examples]
    return {"input_ids": ids, "labels": rows("labels", NO_LOSS), "attention_mask": torch.tensor(mask)}


def batches(examples: Sequence[Example], batch_size: int, rng: random.Random) -> Iterator[list[Example]]:
    """Round after round, shuffled anew; examples of like length together, so that little is padding."""
    while True:
        order = rng.sample(examples, len(examples))
        for start in range(0, len(order), 16 * batch_size):
            alike = sorted(order[start : start + 16 * batch_size], key=lambda example: len(example["input_ids"]))
            groups = [alike[at : at + batch_size] for at in range(0, len(alike), batch_size)]
            yield from rng.sample(groups, len(groups))


def train(
    model: Any, examples: Sequence[Example], *, tokens: int, learning_rate: float, seed: int, batch_size: int = 4
) -> None:
    """In place, until so many tokens are seen."""
    import torch

    torch.manual_seed(seed)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    seen, pad = 0, model.config.pad_token_id
    for batch in batches(examples, batch_size, random.Random(seed)):
        share = seen / tokens
        if share >= 1:
            break
        rate = min(1.0, (share + 1e-3) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * share))
        optimizer.param_groups[0]["lr"] = learning_rate * rate
        model(**padded(batch, pad)).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seen += sum(len(example["input_ids"]) for example in batch)
    model.eval()


def losses(model: Any, examples: Sequence[Example], batch_size: int = 128) -> list[float]:
    """Of each example, the mean over its labels."""
    import torch
    from torch.nn.functional import cross_entropy

    found: list[float] = []
    for start in range(0, len(examples), batch_size):
        batch = padded(examples[start : start + batch_size], model.config.pad_token_id)
        labels = batch.pop("labels")[:, 1:]
        with torch.inference_mode():
            logits = model(**batch).logits[:, :-1]
        each = cross_entropy(logits.transpose(1, 2), labels, ignore_index=NO_LOSS, reduction="none")
        found += (each.sum(1) / (labels != NO_LOSS).sum(1)).tolist()
    return found


def written(model: Any, tokenizer: Any, rows: Sequence[dict], most_tokens: int = 48) -> list[str]:
    """Its greedy answer to the first turn of each conversation."""
    prompts = [templated(tokenizer, as_messages(row)[:1], add_generation_prompt=True) for row in rows]
    batch = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    answers = model.generate(**inputs, max_new_tokens=most_tokens, do_sample=False)
    texts = tokenizer.batch_decode(answers[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return [text.strip() for text in texts]


def example_of(row: dict, tokenizer: Any) -> Example:
    return encode_text(tokenizer, need(row, "text")) if "text" in row else encode(tokenizer, as_messages(row))


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="rows to learn")
    parser.add_argument("--model_name_or_path", required=True, help="the model to start from")
    parser.add_argument("--save_path", required=True, help="folder to write")
    parser.add_argument("--train_tokens", type=positive, required=True, help="tokens that the model sees")
    parser.add_argument("--seed", type=int, default=0, help="of the order of the rows")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    refuse_foreign(Path(args.save_path))
    refuse_overlap([*input_files(args.data_path), args.model_name_or_path], [args.save_path])
    model, tokenizer = load(args.model_name_or_path)
    examples = [example_of(row, tokenizer) for row in read_rows(args.data_path)]
    train(model, examples, tokens=args.train_tokens, learning_rate=LEARNING_RATE, seed=args.seed)
    begin(Path(args.save_path), vars(args))
    model.save_pretrained(args.save_path)
    tokenizer.save_pretrained(args.save_path)
    print(f"{args.save_path}: mean loss {sum(losses(model, examples)) / len(examples):.3f}")


if __name__ == "__main__":
    run_main(main)
