"""Step 1 on a file of rows, as a worker does it: it keeps the model for the next file.

score_part(Settings(model_name_or_path="gpt2", ...), "000000.rows.jsonl", "000000.scores.jsonl")
"""

import functools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common import manifest
from common.conversations import as_messages
from common.errors import CommonError, Reject
from common.model_identity import model_identity
from common.prompts import load_prompt
from common.rows import RowWriter, read_rows
from superfiltering.scored_text import (
    ScoredText,
    alpaca_texts,
    chat_text,
    checked,
    plain_text,
    released_text,
    template_text,
)

BATCH_TOKENS = {"cpu": 512, "cuda": 32768}  # enough to keep the matrix units busy; more only takes memory


@dataclass(frozen=True)
class Settings:
    model_name_or_path: str
    max_length: int
    prompt: str  # "none", "chat", or a template of the user's
    paper_exact: bool
    start_token: str | None
    answer_by_offsets: bool
    cut_front: bool
    device: str
    dtype: str
    batch_tokens: int | None
    workers: int
    trust_remote_code: bool

    def fingerprint(self) -> dict:
        """What decides the scores."""
        unimportant = ("batch_tokens", "workers", "trust_remote_code")
        settings = {name: value for name, value in asdict(self).items() if name not in unimportant}
        template = {"prompt": manifest.hash_file(self.prompt)} if Path(self.prompt).is_file() else {}
        model = {"model_name_or_path": model_identity(self.model_name_or_path)}
        return settings | template | model | {"device": self.device.partition(":")[0]}


def check_row(row: dict, settings: Settings) -> None:
    """BadValue for a row of another form than is scored here."""
    if settings.paper_exact:
        released_text(row)
    elif settings.prompt in ("none", "chat"):
        as_messages(row)
    else:
        alpaca_texts(row)


def score_part(settings: Settings, source: str, target: str) -> dict[str, int]:
    """Score the rows of one file."""
    from superfiltering.ifd import Scoring, begin_token, lines_with_reasons, released_lines

    scorer = load_model(settings)
    batch_tokens = settings.batch_tokens or BATCH_TOKENS[scorer.device.type]
    rows = list(read_rows(source, allow_nan=True))
    if settings.paper_exact:
        texts = [released_text(entry["row"]) for entry in rows]
        lines = released_lines(scorer, texts, settings.max_length, batch_tokens)
    else:
        start = begin_token(scorer.tokenizer) if settings.start_token == "auto" else settings.start_token
        scoring = Scoring(start, settings.answer_by_offsets, settings.cut_front)
        texts = [text_of(entry["row"], settings.prompt, scorer.tokenizer) for entry in rows]
        scores = lines_with_reasons(scorer, texts, settings.max_length, batch_tokens, scoring)
        lines = [{"index": entry["index"]} | line for entry, line in zip(rows, scores, strict=True)]
    with RowWriter(target, allow_nan=True) as writer:
        for line in lines:
            writer.write(line)
    return {"unscored": sum("loss" not in line for line in lines), "cut": sum("cut" in line for line in lines)}


@functools.cache
def load_model(settings: Settings) -> Any:
    import torch

    from superfiltering.token_losses import load_scorer

    if settings.device == "cpu":
        torch.set_num_threads(max(1, torch.get_num_threads() // settings.workers))
    elif not torch.cuda.is_available():
        raise CommonError("no GPU for this worker: --num_gpus is more than there are, or --device cpu is wanted")
    return load_scorer(settings.model_name_or_path, settings.device, settings.dtype, settings.trust_remote_code)


def text_of(row: dict, prompt: str, tokenizer: Any) -> ScoredText | Reject:
    """The text to score and where its answers are, or why this row has no score."""
    try:
        if prompt == "chat":
            return checked(chat_text(row, tokenizer))
        if prompt == "none":
            return checked(plain_text(row))
        return checked(template_text(row, load_prompt("superfiltering", "template", path=prompt)))
    except Reject as why:
        return why
