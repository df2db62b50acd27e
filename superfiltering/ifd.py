"""Instruction-following difficulty: how much the prompt helps a language model to predict the answer.

    IFD = ppl(answer | prompt) / ppl(answer) = exp(loss with the prompt - loss without it)

A row is scored in two runs through the model: the answer behind its prompt, and the answer alone. `score_rows` is
our version: one tokenisation, the same answer tokens in both runs, a start token before both, so that the first
answer token counts and a one-token answer has a score. `score_rows_paper_exact` is the released code's: see README.
"""

from typing import NamedTuple

import numpy as np

from common.errors import BadInput, Reject
from superfiltering.conversation import Text
from superfiltering.token_losses import Piece, Scorer, span_losses

DIRECT, CONDITIONED = 0, 1


class Score(NamedTuple):
    direct: float  # mean loss of the answer alone
    conditioned: float  # mean loss of the answer behind its prompt
    tokens: int

    def line(self) -> dict:
        """The released format: slots 0 and 2 are never filled."""
        return {
            "ppl": [0, float(np.exp(self.direct)), 0, float(np.exp(self.conditioned))],
            "loss": [0, self.direct, 0, self.conditioned],
            "tokens": self.tokens,
        }


class Job(NamedTuple):
    """One run through the model, and whose loss each of its spans is: (row, turn, DIRECT or CONDITIONED)."""

    piece: Piece
    owners: list[tuple[int, int, int]]


# ---------------------------------------------------------------- default


def score_rows(scorer: Scorer, texts: list[Text | Reject], max_length: int, batch_tokens: int) -> list[dict]:
    """One line a row: its score, a score for every answer if it has several, or why it has none."""
    start = start_token(scorer.tokenizer)
    check_length(scorer, max_length)
    usable = [index for index, text in enumerate(texts) if isinstance(text, Text)]
    encodings = _encode(scorer, [texts[index].whole for index in usable])
    lines = [{"unscored": text.reason} if isinstance(text, Reject) else {} for text in texts]
    jobs: list[Job] = []
    for index, encoding in zip(usable, encodings, strict=True):
        ids = encoding.ids if encoding.ids[:1] == [start] else [start, *encoding.ids]
        shift = len(ids) - len(encoding.ids)
        spans = [token_span(encoding, span, shift) for span in texts[index].answers]
        if None in spans:
            lines[index] = {"unscored": "the tokenizer leaves nothing of the answer"}
            continue
        row_jobs, cut = plan_row(index, ids, spans, max_length)
        jobs += row_jobs
        if cut:
            lines[index]["cut"] = cut
    for index, scores in _run(scorer, jobs, batch_tokens).items():
        if len(scores) > 1:
            lines[index]["turns"] = [score.line() for score in scores]
        lines[index] = whole_row(scores).line() | lines[index]
    return lines


def start_token(tokenizer) -> int:
    """What stands before everything: the token that begins a text in this family, or else ends one (GPT-2, Qwen)."""
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id):
        if token is not None:
            return token
    raise BadInput(f"{tokenizer.name_or_path}: the tokenizer has no bos, eos or pad token to begin a text with")


def token_span(encoding, span: tuple[int, int], shift: int = 0) -> tuple[int, int] | None:
    """Positions of the tokens that hold a character of text[start:end], also those that hold some prompt as well."""
    start, end = span
    first = next((t for at in range(start, end) if (t := encoding.char_to_token(at)) is not None), None)
    last = next((t for at in range(end - 1, start - 1, -1) if (t := encoding.char_to_token(at)) is not None), None)
    if first is None:
        return None
    offsets = encoding.offsets
    while last + 1 < len(offsets) and offsets[last + 1][0] < end and offsets[last + 1][1] > start:
        last += 1  # the other bytes of a character that takes several tokens
    return first + shift, last + 1 + shift


def plan_row(row: int, ids: list[int], spans: list[tuple[int, int]], max_length: int) -> tuple[list[Job], int]:
    """The runs that score the answers at `spans`, and how many answer tokens had to be left out.

    All answers within `max_length` share one run. One that ends later gets its own: its prompt loses tokens at the
    front until the answer, or half the window of it, fits.
    """
    jobs, shared, cut = [], [], 0
    for turn, (start, end) in enumerate(spans):
        kept = end - start
        if end <= max_length:
            shared.append(((start, end), (row, turn, CONDITIONED)))
        else:
            kept = min(kept, max(max_length - start, max_length // 2))
            cut += end - start - kept
            room = max_length - kept - 1
            prompt = [ids[0], *ids[max(1, start - room) : start]]
            piece = Piece([*prompt, *ids[start : start + kept]], [(len(prompt), len(prompt) + kept)])
            jobs.append(Job(piece, [(row, turn, CONDITIONED)]))
        jobs.append(Job(Piece([ids[0], *ids[start : start + kept]], [(1, 1 + kept)]), [(row, turn, DIRECT)]))
    if shared:
        last = max(end for (_, end), _ in shared)
        jobs.append(Job(Piece(ids[:last], [span for span, _ in shared]), [owner for _, owner in shared]))
    return jobs, cut


def whole_row(scores: list[Score]) -> Score:
    """The mean over all answer tokens of a conversation."""
    tokens = sum(score.tokens for score in scores)
    return Score(
        sum(score.direct * score.tokens for score in scores) / tokens,
        sum(score.conditioned * score.tokens for score in scores) / tokens,
        tokens,
    )


def check_length(scorer: Scorer, max_length: int) -> None:
    limit = getattr(scorer.model.config, "max_position_embeddings", None)
    if limit and max_length > limit:
        raise BadInput(f"--max_length {max_length}: the model knows {limit} positions; give at most that")
    if max_length < 2:
        raise BadInput(f"--max_length {max_length}: must be at least 2")


def _run(scorer: Scorer, jobs: list[Job], batch_tokens: int) -> dict[int, list[Score]]:
    found: dict[tuple[int, int], list] = {}
    for job, losses in zip(jobs, span_losses(scorer, [job.piece for job in jobs], batch_tokens), strict=True):
        for (row, turn, side), loss, (start, end) in zip(job.owners, losses, job.piece.spans, strict=True):
            found.setdefault((row, turn), [None, None, end - start])[side] = loss
    rows: dict[int, list[Score]] = {}
    for (row, _), parts in sorted(found.items()):
        rows.setdefault(row, []).append(Score(*parts))
    return rows


def _encode(scorer: Scorer, texts: list[str], **options) -> list:
    """Encodings with offsets; lengths are ours to watch, so the tokenizer's own warning about them is off."""
    return scorer.tokenizer(texts, add_special_tokens=False, verbose=False, **options).encodings if texts else []


# ---------------------------------------------------------------- paper_exact


def score_rows_paper_exact(scorer: Scorer, texts: list[Text], max_length: int, batch_tokens: int) -> list[dict]:
    """What the released code writes: `{}` for an empty answer, NaN where nothing is left to score, 0 for a failure.

    The answer alone is cut to max_length - (prompt tokens) + 1 tokens, and its first token is never predicted (the
    released code counts on a BOS that GPT-2's tokenizer does not add). Behind its prompt the answer begins where the
    tokens of the prompt, tokenised alone, end.
    """
    scored = [index for index, text in enumerate(texts) if text.answer]
    prompts = _ids(scorer, [texts[index].prompt for index in scored])
    wholes = _ids(scorer, [texts[index].whole for index in scored])
    answers = _ids(scorer, [texts[index].answer for index in scored])
    limit = getattr(scorer.model.config, "n_positions", None)  # learned positions: a longer text fails
    pieces: list[Piece] = []
    for index, prompt, whole, answer in zip(scored, prompts, wholes, answers, strict=True):
        room = max_length - min(len(prompt), max_length) + 1
        whole = _cut(scorer, texts[index].whole, whole, max_length)
        answer = _cut(scorer, texts[index].answer, answer, room)
        pieces.append(Piece(answer, [(1, max(1, len(answer)))]))
        pieces.append(Piece(whole, [(max(1, len(prompt)), max(1, len(prompt), len(whole)))]))
    failed = [not piece.ids or bool(limit and len(piece.ids) > limit) for piece in pieces]
    runs = [piece for piece, fails in zip(pieces, failed, strict=True) if not fails]
    results = iter(span_losses(scorer, runs, batch_tokens))
    losses = [0 if fails else float(np.float32(next(results)[0])) for fails in failed]
    lines: list[dict] = [{} for _ in texts]
    for number, index in enumerate(scored):
        pair = slice(2 * number, 2 * number + 2)
        ppls = [0 if fails else _ppl(loss) for loss, fails in zip(losses[pair], failed[pair], strict=True)]
        lines[index] = {"ppl": [0, ppls[0], 0, ppls[1]], "loss": [0, losses[pair][0], 0, losses[pair][1]]}
    return lines


def _ppl(loss: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.exp(np.float32(loss)))


def _ids(scorer: Scorer, texts: list[str]) -> list[list[int]]:
    return scorer.tokenizer(texts, verbose=False)["input_ids"] if texts else []


def _cut(scorer: Scorer, text: str, ids: list[int], length: int) -> list[int]:
    """The tokenizer's own truncation, which knows its side and its special tokens."""
    return ids if len(ids) <= length else scorer.tokenizer.encode(text, truncation=True, max_length=length)
