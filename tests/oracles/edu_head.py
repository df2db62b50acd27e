"""The obvious way: the whole encoder runs in each epoch, and one text is scored at a time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer


def train(
    model: torch.nn.Module, texts: Sequence[str], labels: np.ndarray, train_rows: Sequence[int], epochs: int,
    batch_size: int, learning_rate: float, tokenizer: object, max_length: int,
) -> list[float]:  # fmt: skip
    """A BertForSequenceClassification with a frozen encoder; the loss of each step."""
    model.bert.embeddings.requires_grad_(False)
    model.bert.encoder.requires_grad_(False)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=learning_rate, weight_decay=0.0)
    steps = -(-len(train_rows) // batch_size)
    losses: list[float] = []
    for epoch in range(epochs):
        order = torch.randperm(len(train_rows), generator=torch.Generator().manual_seed(epoch)).tolist()
        for start in range(0, len(order), batch_size):
            rows = [train_rows[at] for at in order[start : start + batch_size]]
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * (1 - len(losses) / (steps * epochs))
            batch = tokenizer(
                [texts[row] for row in rows], truncation=True, max_length=max_length, padding=True, return_tensors="pt"
            )
            scores = model(**batch.to(model.device)).logits.squeeze(-1)
            targets = torch.tensor(labels[rows], dtype=torch.float32, device=model.device)
            loss = torch.nn.functional.mse_loss(scores, targets)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            losses.append(loss.item())
    return losses


def score(folder: str | Path, texts: Sequence[str]) -> list[float]:
    """One text after the other, cut by the tokenizer itself."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.inference_mode():
        return [model.eval()(**tokenizer(text, truncation=True, return_tensors="pt")).logits.item() for text in texts]


def score_long(folder: str | Path, text: str, long: str) -> float:
    """Windows of a long text, each a text of its own."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSequenceClassification.from_pretrained(folder)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    room = tokenizer.model_max_length - 2
    windows = [ids[at : at + room] for at in range(0, len(ids), room)] or [[]]
    with torch.inference_mode():
        scores = [
            model.eval()(torch.tensor([[tokenizer.cls_token_id, *part, tokenizer.sep_token_id]])).logits.item()
            for part in windows
        ]
    if long == "head":
        return scores[0]
    if long == "chunks_max":
        return max(scores)
    kept = scores if long == "chunks_mean" else scores[:1] + scores[1:][-1:]
    return sum(kept) / len(kept)
