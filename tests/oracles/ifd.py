"""IFD the slow and obvious way: batch 1, two runs through the model a row, full logits, the library's own loss."""

import math

import torch
import torch.nn.functional as F


def released_line(model, tokenizer, text: str, answer: str, max_length: int, head: list[int] | None = None) -> dict:
    """As released: the answer alone, and the prompt with the answer, labels masked up to the prompt's own tokens.
    Whatever fails is 0. With `head`, these tokens stand before every text instead of the tokenizer's own."""

    def encode(part: str, length: int | None = None) -> list[int]:
        options = {} if length is None else {"truncation": True, "max_length": length - len(head or [])}
        return [*(head or []), *tokenizer.encode(part, add_special_tokens=head is None, **options)]

    if not answer:
        return {}
    prompt = text[: text.rfind(answer)]
    room = max_length - len(encode(prompt, max_length)) + 1
    losses = []
    for part, length, masked in ((answer, room, 0), (text, max_length, len(encode(prompt)))):
        try:
            losses.append(loss_from(model, encode(part, length), masked))
        except (IndexError, RuntimeError):
            losses.append(0)
    direct, conditioned = losses
    ppl = [0, direct and perplexity(direct), 0, conditioned and perplexity(conditioned)]
    return {"ppl": ppl, "loss": [0, direct, 0, conditioned]}


@torch.no_grad()
def loss_from(model, ids: list[int], masked: int) -> float:
    batch = torch.tensor([ids], device=model.device)
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


def offset_scores(model, tokenizer, text: str, start: int, end: int, start_token: int) -> tuple[float, float] | None:
    """(loss alone, loss behind the prompt) of the same answer tokens, a start token before both; the text must fit."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    positions = answer_positions(tokenizer, text, start, end)
    if not positions:
        return None
    behind = token_losses(model, [start_token, *ids])
    alone = token_losses(model, [start_token, *[ids[position] for position in positions]])
    conditioned = [behind[position] for position in positions]
    return math.fsum(alone) / len(alone), math.fsum(conditioned) / len(conditioned)
