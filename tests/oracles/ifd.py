"""IFD the slow and obvious way: batch 1, two runs through the model a row, full logits, the library's own loss."""

import math

import torch
import torch.nn.functional as F


def paper_scores(model, tokenizer, prompt: str, answer: str, max_length: int) -> dict:
    """As released: the answer alone, and the prompt with the answer, labels masked up to the prompt's own tokens."""
    if not answer:
        return {}
    prompt_tokens = len(tokenizer.encode(prompt, truncation=True, max_length=max_length))
    alone = tokenizer.encode(answer, truncation=True, max_length=max_length - prompt_tokens + 1)
    whole = tokenizer.encode(prompt + answer, truncation=True, max_length=max_length)
    masked = len(tokenizer.encode((prompt + answer)[: (prompt + answer).rfind(answer)]))
    direct, conditioned = loss_from(model, alone, 0), loss_from(model, whole, masked)
    ppl = [0, perplexity(direct), 0, perplexity(conditioned)]
    return {"ppl": ppl, "loss": [0, direct, 0, conditioned]}


@torch.no_grad()
def loss_from(model, ids: list[int], masked: int) -> float:
    batch = torch.tensor([ids])
    labels = batch.clone()
    labels[0, :masked] = -100
    return model(batch, labels=labels, output_hidden_states=True).loss.item()  # as released, though nothing reads them


def perplexity(loss: float) -> float:
    return torch.exp(torch.tensor(loss)).item()


@torch.no_grad()
def token_losses(model, ids: list[int]) -> list[float]:
    """The loss of every token of `ids` but the first."""
    logits = model(torch.tensor([ids])).logits[0].float()
    return F.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="none").tolist()


def answer_positions(tokenizer, text: str, start: int, end: int) -> list[int]:
    """Tokens that hold a character of text[start:end], by comparing every token's offsets."""
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return [position for position, (left, right) in enumerate(offsets) if left < end and right > start]


def default_scores(model, tokenizer, text: str, start: int, end: int, start_token: int) -> tuple[float, float] | None:
    """(loss alone, loss behind the prompt) of the same answer tokens, a start token before both; the text must fit."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    positions = answer_positions(tokenizer, text, start, end)
    if not positions:
        return None
    behind = token_losses(model, [start_token, *ids])
    alone = token_losses(model, [start_token, *[ids[position] for position in positions]])
    conditioned = [behind[position] for position in positions]
    return math.fsum(alone) / len(alone), math.fsum(conditioned) / len(conditioned)
