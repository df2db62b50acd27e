"""Instruction-following difficulty: how much the prompt helps a language model to predict the answer.

    IFD = ppl(answer | prompt) / ppl(answer) = exp(loss with the prompt - loss without it)

A row is scored in two runs through the model: the answer behind its prompt, and the answer alone. As released, the
tokenizer reads the answer alone, the prompt alone and both together, with the special tokens that it adds by itself;
the answer begins where the tokens of the prompt end. Both runs are cut at the end to the window. `Scoring` has what may
be done otherwise: another score, whose name is written beside it.

A row that the released code gives no number, or a failure's 0, has a reason instead (`lines_with_reasons`); in
`released_lines` it has what the released code writes.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from common.errors import BadInput, Reject
from superfiltering.scored_text import ScoredText, has_lone_surrogate
from superfiltering.token_losses import Piece, Scorer, span_losses

DIRECT, CONDITIONED = 0, 1
FAILED = None  # in place of a loss: the released code's own run ends with an error, which it writes as 0


@dataclass(frozen=True)
class Scoring:
    """What is done otherwise than in the released code."""

    start_token: str | None = None  # stands before both runs, instead of what the tokenizer adds
    answer_by_offsets: bool = False  # one tokenisation: the same answer tokens in both runs
    cut_front: bool = False  # a text over the window loses its prompt's beginning before its answer's end

    def names(self) -> dict:
        chosen = {name: value for name, value in asdict(self).items() if value}
        return {"scored_with": chosen} if chosen else {}


class Turn(NamedTuple):
    """The tokens of one answer, behind its prompt's `start` many and alone; `cut` of it did not fit the window."""

    start: int
    behind: list[int]
    alone: list[int]
    cut: int = 0


class Score(NamedTuple):
    """Mean losses of an answer and of how many tokens each is the mean: NaN of none, FAILED where the run failed."""

    direct: float | None
    conditioned: float | None
    direct_tokens: int
    tokens: int
    cut: int

    def line(self) -> dict:
        """The released format: slots 0 and 2 are never filled."""
        losses = [0 if loss is FAILED else loss for loss in (0, self.direct, 0, self.conditioned)]
        return {"ppl": [0, perplexity(self.direct), 0, perplexity(self.conditioned)], "loss": losses}


def perplexity(loss: float | None) -> float:
    """In fp32, as released."""
    with np.errstate(over="ignore"):
        return 0 if loss is FAILED else float(np.exp(np.float32(loss)))


# ---------------------------------------------------------------- lines of rows


def lines_with_reasons(
    scorer: Scorer, texts: list[ScoredText | Reject], max_length: int, batch_tokens: int, scoring: Scoring = Scoring()
) -> list[dict]:
    """One line a row: its score, a score for every answer if it has several, or why it has none."""
    check_length(scorer, max_length)
    usable = [index for index, text in enumerate(texts) if isinstance(text, ScoredText)]
    scores = iter(score_texts(scorer, [texts[index] for index in usable], max_length, batch_tokens, scoring))
    return [
        {"unscored": text.reason} if isinstance(text, Reject) else _line(text, next(scores), max_length, scoring)
        for text in texts
    ]


def released_lines(scorer: Scorer, texts: list[ScoredText], max_length: int, batch_tokens: int) -> list[dict]:
    """What the released code writes: `{}` for an empty answer, NaN where nothing is left to score, 0 for a failure."""
    failure = Score(FAILED, FAILED, 0, 0, 0).line()
    empty = [start == end for ((start, end),) in (text.answers for text in texts)]
    unreadable = [has_lone_surrogate(text.text) for text in texts]
    scored = [index for index in range(len(texts)) if not empty[index] and not unreadable[index]]
    lines: list[dict] = [{} if nothing else failure for nothing in empty]
    scores = score_texts(scorer, [texts[index] for index in scored], max_length, batch_tokens, Scoring())
    for index, (score,) in zip(scored, scores, strict=True):
        lines[index] = score.line()
    return lines


def _line(text: ScoredText, scores: list[Score], max_length: int, scoring: Scoring) -> dict:
    reasons = [why_unscored(score, answer, max_length) for score, answer in zip(scores, text.answers, strict=True)]
    scored = [score for score, reason in zip(scores, reasons, strict=True) if reason is None]
    if not scored:
        return {"unscored": reasons[0]}
    total = mean_score(scored)
    line = total.line() | {"tokens": total.tokens} | ({"cut": total.cut} if total.cut else {})
    if len(scores) > 1:
        line["turns"] = [
            score.line() | {"tokens": score.tokens} if reason is None else {"unscored": reason}
            for score, reason in zip(scores, reasons, strict=True)
        ]
    return line | scoring.names()


def why_unscored(score: Score, answer: tuple[int, int], max_length: int) -> str | None:
    """Why the released code has no number for an answer, or only a failure's 0."""
    if answer[0] == 0:
        return "nothing stands before the answer"
    if score.direct is FAILED or score.conditioned is FAILED:
        return "the tokenizer leaves nothing of the answer, or more than the model has positions for"
    if not score.tokens and score.cut:
        return f"the prompt fills the window of {max_length:,} tokens"
    if not score.tokens:
        return "no token of the answer stands behind those of its prompt"
    if not score.direct_tokens:
        return "the answer is one token, which nothing stands before when it is alone"
    if not all(0 < perplexity(loss) < math.inf for loss in (score.direct, score.conditioned)):
        return "its perplexity is beyond what fp32 holds"
    return None


def mean_score(scores: list[Score]) -> Score:
    """The mean over all answer tokens of a conversation."""
    if len(scores) == 1:
        return scores[0]
    direct_tokens, tokens = sum(score.direct_tokens for score in scores), sum(score.tokens for score in scores)
    return Score(
        sum(score.direct * score.direct_tokens for score in scores) / direct_tokens,
        sum(score.conditioned * score.tokens for score in scores) / tokens,
        direct_tokens,
        tokens,
        sum(score.cut for score in scores),
    )


def check_length(scorer: Scorer, max_length: int) -> None:
    limit = getattr(scorer.model.config, "max_position_embeddings", None)
    if limit and max_length > limit:
        raise BadInput(f"--max_length {max_length}: the model knows {limit} positions; give at most that")
    if max_length < 2:
        raise BadInput(f"--max_length {max_length}: must be at least 2")


# ---------------------------------------------------------------- scores of answers


def score_texts(
    scorer: Scorer, texts: list[ScoredText], max_length: int, batch_tokens: int, scoring: Scoring
) -> list[list[Score]]:
    """The score of every answer of every text."""
    plans = turns_of(scorer.tokenizer, texts, max_length, scoring)
    limit = learned_positions(scorer.model)
    jobs = [job for row, turns in enumerate(plans) for job in plan_runs(row, turns, limit)]
    losses: dict[tuple[int, int, int], tuple[float | None, int]] = {}
    for job, means in zip(jobs, span_losses(scorer, [job.piece for job in jobs], batch_tokens), strict=True):
        for owner, loss, (start, end) in zip(job.owners, means, job.piece.spans, strict=True):
            losses[owner] = float(np.float32(loss)), end - start

    def score(row: int, number: int, turn: Turn | None) -> Score:
        direct, direct_tokens = losses.get((row, number, DIRECT), (FAILED, 0))
        conditioned, tokens = losses.get((row, number, CONDITIONED), (FAILED, 0))
        return Score(direct, conditioned, direct_tokens, tokens, turn.cut if turn else 0)

    return [[score(row, number, turn) for number, turn in enumerate(turns)] for row, turns in enumerate(plans)]


class Job(NamedTuple):
    """One run through the model, and whose loss each of its spans is: (row, turn, DIRECT or CONDITIONED)."""

    piece: Piece
    owners: list[tuple[int, int, int]]


def plan_runs(row: int, turns: list[Turn | None], limit: int | None) -> list[Job]:
    """The runs of a row. A text that another one begins with shares its run: turns of a conversation mostly do."""

    def can_run(ids: list[int]) -> bool:
        return bool(ids) and not (limit and len(ids) > limit)

    jobs: list[Job] = []
    longest = None
    for number, turn in reversed(list(enumerate(turns))):
        if turn is None:
            continue
        if can_run(turn.alone):
            jobs.append(Job(Piece(turn.alone, [(1, max(1, len(turn.alone)))]), [(row, number, DIRECT)]))
        if can_run(turn.behind):
            if longest is None or longest.piece.ids[: len(turn.behind)] != turn.behind:
                longest = Job(Piece(turn.behind, []), [])
                jobs.append(longest)
            start = max(1, turn.start)
            longest.piece.spans.append((start, max(start, len(turn.behind))))
            longest.owners.append((row, number, CONDITIONED))
    return jobs


def learned_positions(model: Any) -> int | None:
    """How many positions there are in a model that has a vector for each: on a longer text the released code fails."""
    names = (name.rpartition(".")[2] for name, _ in model.named_modules())
    return model.config.max_position_embeddings if {"wpe", "embed_positions"} & set(names) else None


# ---------------------------------------------------------------- tokens of answers


def turns_of(tokenizer: Any, texts: list[ScoredText], max_length: int, scoring: Scoring) -> list[list[Turn | None]]:
    """The tokens of every answer of every text, cut to the window; None where the tokenizer leaves nothing of it."""
    released = scoring.start_token is None
    head = leading_tokens(tokenizer) if released else [token_id(tokenizer, scoring.start_token)]
    split = split_by_offsets if scoring.answer_by_offsets else split_by_prompts
    turns = iter(split(tokenizer, texts, head, released))
    own_cut = released and not scoring.answer_by_offsets and not scoring.cut_front

    def cut(ids: list[int], text: str, length: int) -> list[int]:
        if len(ids) <= length:
            return ids
        # The tokenizer's own truncation knows its side and its special tokens.
        return tokenizer.encode(text, truncation=True, max_length=length) if own_cut else ids[:length]

    def fit(turn: Turn | None, text: str, start: int, end: int) -> Turn | None:
        if turn is None:
            return None
        shorter = without_front(turn, max_length, len(head)) if scoring.cut_front else turn
        behind = cut(shorter.behind, text[:end], max_length)
        alone = cut(turn.alone, text[start:end], max_length - min(shorter.start, max_length) + 1)
        lost = len(turn.behind) - turn.start - max(0, len(behind) - shorter.start)
        return Turn(shorter.start, behind, alone, max(0, lost))

    return [[fit(next(turns), scored.text, *place) for place in scored.answers] for scored in texts]


def split_by_prompts(tokenizer: Any, texts: list[ScoredText], head: list[int], released: bool) -> Iterator[Turn]:
    """The answer begins where the tokens of its prompt end."""
    answers = [(scored.text, start, end) for scored in texts for start, end in scored.answers]

    def encode(parts: list[str]) -> list[list[int]]:
        # Lengths are ours to watch, so the tokenizer's own warning about them is off.
        found = tokenizer(parts, add_special_tokens=released, verbose=False)["input_ids"] if parts else []
        return found if released else [head + ids for ids in found]

    prompts = encode([text[:start] for text, start, _ in answers])
    both = encode([text[:end] for text, _, end in answers])
    alone = encode([text[start:end] for text, start, end in answers])
    return (Turn(len(prompt), *tokens) for prompt, *tokens in zip(prompts, both, alone, strict=True))


def split_by_offsets(tokenizer: Any, texts: list[ScoredText], head: list[int], released: bool) -> Iterator[Turn | None]:
    """The answer begins with the first token that holds one of its characters."""
    sources = [scored.text for scored in texts]
    encodings = tokenizer(sources, add_special_tokens=released, verbose=False).encodings if sources else []
    for scored, encoding in zip(texts, encodings, strict=True):
        before = [] if released else head
        for place in scored.answers:
            span = token_span(encoding, place)
            if span is None:
                yield None
                continue
            first, last = span
            yield Turn(len(before) + first, before + encoding.ids[:last], head + encoding.ids[first:last])


def token_span(encoding: Any, span: tuple[int, int]) -> tuple[int, int] | None:
    """Positions of the tokens that hold a character of text[start:end], also those that hold some prompt as well."""
    start, end = span
    first = next((t for at in range(start, end) if (t := encoding.char_to_token(at)) is not None), None)
    last = next((t for at in range(end - 1, start - 1, -1) if (t := encoding.char_to_token(at)) is not None), None)
    if first is None:
        return None
    offsets = encoding.offsets
    while last + 1 < len(offsets) and offsets[last + 1][0] < end and offsets[last + 1][1] > start:
        last += 1  # the other bytes of a character that takes several tokens
    return first, last + 1


def without_front(turn: Turn, max_length: int, head: int) -> Turn:
    """The prompt loses tokens behind the first `head`, until the answer, or half the window of it, fits."""
    answer = len(turn.behind) - turn.start
    if len(turn.behind) <= max_length or answer <= 0:
        return turn
    start = max_length - min(answer, max(max_length - turn.start, max_length // 2))
    prompt = turn.behind[:head] + turn.behind[turn.start - start + head : turn.start]
    return turn._replace(start=start, behind=prompt + turn.behind[turn.start :])


def leading_tokens(tokenizer: Any) -> list[int]:
    """The special tokens that the tokenizer puts before a text by itself."""
    encoding = tokenizer("a", return_special_tokens_mask=True)
    special = encoding["special_tokens_mask"]
    return encoding["input_ids"][: special.index(0) if 0 in special else 0]


def token_id(tokenizer: Any, token: str) -> int:
    if token not in tokenizer.get_vocab():
        raise BadInput(f"--start_token {token}: {tokenizer.name_or_path} has no such token")
    return tokenizer.convert_tokens_to_ids(token)


def begin_token(tokenizer: Any) -> str:
    """The token that begins a text in this family, or else ends one (GPT-2, Qwen)."""
    for token in (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token):
        if token is not None:
            return token
    raise BadInput(f"{tokenizer.name_or_path}: the tokenizer has no bos, eos or pad token to begin a text with")
