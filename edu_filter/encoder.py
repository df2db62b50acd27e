"""Texts to vectors by a frozen encoder, with hardly any padding.

    tokenizer = Tokenizer.load("Snowflake/snowflake-arctic-embed-m")
    tokens = tokenizer(["a text", "another, much longer one ..."])      # cut to the window, also before tokenizing
    vectors = run_batches(encoder, [t.ids for t in tokens], tokenizer.pad_id, batch_tokens=4096)

Any encoder that AutoModel knows: BERT, XLM-R, ModernBERT …; the vector of a text is the state of its first token, or
the mean over its tokens.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from common.errors import BadInput, CommonError

LONGEST = 512  # tokens of a text that count, unless told otherwise
CHARS_A_TOKEN = 8  # of the part that is tokenized first; doubled until the window is full
BATCH_TOKENS = {"cpu": 2048, "cuda": 131072}
POOLINGS = ("first", "mean")


# ---------------------------------------------------------------- tokens


@dataclass(slots=True)
class Tokens:
    ids: list[int]  # the first window, with the tokens that begin and end every text
    cut: bool  # whether more text follows


class Tokenizer:
    """A Hugging Face tokenizer that looks at no more of a text than its window takes."""

    def __init__(self, tokenizer: object, max_length: int) -> None:
        self.hf, self.max_length = tokenizer, max_length
        self.pad_id = tokenizer.pad_token_id or 0
        word, alone = tokenizer("a", add_special_tokens=False)["input_ids"], tokenizer("a")["input_ids"]
        start = next(at for at in range(len(alone)) if alone[at : at + len(word)] == word)
        self.before, self.after = alone[:start], alone[start + len(word) :]
        self.room = max_length - len(self.before) - len(self.after)
        if self.room < 1:
            raise BadInput(f"--max_length {max_length}: leaves no room for text beside what begins and ends each one")
        self._backend = getattr(tokenizer, "backend_tokenizer", None)
        self.rules = json.loads(self._backend.to_str()) if self._backend is not None else None
        self._cuts_at_blanks = self.rules is not None and splits_at_blanks(self.rules)

    @classmethod
    def load(cls, name: str, max_length: int | None = None) -> "Tokenizer":
        from transformers import AutoConfig, AutoTokenizer

        with quiet_transformers(), named(name):
            tokenizer, config = AutoTokenizer.from_pretrained(name), AutoConfig.from_pretrained(name)
        places = getattr(config, "max_position_embeddings", None) or 10**9
        if getattr(config, "model_type", "") in ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl"):
            places -= config.pad_token_id + 1  # these count positions from there
        highest = min(places, tokenizer.model_max_length or 10**9)
        if max_length is not None and max_length > highest:
            raise BadInput(f"--max_length {max_length}: {name} takes at most {highest} tokens")
        return cls(tokenizer, max_length or min(highest, LONGEST))

    def __call__(self, texts: Sequence[str]) -> list[Tokens]:
        return [
            Tokens([*self.before, *ids[: self.room], *self.after], cut or len(ids) > self.room)
            for ids, cut in self._beginnings(texts)
        ]

    def windows(self, texts: Sequence[str]) -> list[list[list[int]]]:
        """All windows of each text; one of an empty text."""
        return [
            [[*self.before, *ids[at : at + self.room], *self.after] for at in range(0, max(1, len(ids)), self.room)]
            for ids in self._encode(texts)
        ]

    def _beginnings(self, texts: Sequence[str]) -> list[tuple[list[int], bool]]:
        """Ids of each text, or of enough of its beginning, and whether some of it was not looked at. What is cut off
        begins with a blank, so it has no part in the tokens before it."""
        results: list[tuple[list[int], bool]] = [([], False)] * len(texts)
        open_texts, chars = range(len(texts)), self.room * CHARS_A_TOKEN
        while open_texts:
            ends = [self._end(texts[place], chars) for place in open_texts]
            parts = [texts[place][:end] for place, end in zip(open_texts, ends, strict=True)]
            unfilled = []
            for place, end, ids in zip(open_texts, ends, self._encode(parts), strict=True):
                rest = end < len(texts[place])
                if rest and len(ids) < self.room:
                    unfilled.append(place)
                else:
                    results[place] = ids, rest
            open_texts, chars = unfilled, 2 * chars
        return results

    def _end(self, text: str, chars: int) -> int:
        if not self._cuts_at_blanks or len(text) <= chars:
            return len(text)
        # A letter or digit on both sides: no mark that a normalizer would join with what is before the blank.
        at = text.find(" ", chars)
        while at >= 0 and not (text[at - 1].isalnum() and text[at + 1 : at + 2].isalnum()):
            at = text.find(" ", at + 1)
        return at if at >= 0 else len(text)

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        if self._backend is not None:
            self._backend.no_truncation()  # which the tokenizer's file, or another call, may have set
            self._backend.no_padding()
            texts = [sound(text) for text in texts]
            return [found.ids for found in self._backend.encode_batch_fast(texts, add_special_tokens=False)]
        return [self.hf(text, add_special_tokens=False, verbose=False)["input_ids"] for text in texts]


def sound(text: str) -> str:
    """Half a surrogate pair, as a careless cut leaves it, is no text for a tokenizer."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()
    return text


def splits_at_blanks(tokenizer: dict) -> bool:
    """Whether no token spans a blank, by a tokenizer.json's own account."""

    def splits(part: dict | None) -> bool:
        kind = (part or {}).get("type")
        if kind == "Sequence":
            return any(map(splits, part["pretokenizers"]))
        if kind == "ByteLevel":
            return part.get("use_regex", True)
        if kind == "Metaspace":
            return part.get("split", True) and part.get("prepend_scheme") != "never"
        return kind in ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")

    return splits(tokenizer.get("pre_tokenizer"))


# ---------------------------------------------------------------- batches


def make_batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Places of texts of like length; a batch, padded, holds at most so many tokens. The longest come first, so that
    a lack of memory shows at once."""
    batches: list[list[int]] = []
    width = 0
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if not batches or (len(batches[-1]) + 1) * width > batch_tokens:
            batches.append([])
            width = max(1, lengths[place])
        batches[-1].append(place)
    return batches


def run_batches(
    function: Callable[[Tensor, Tensor | None], Tensor],
    ids: Sequence[Sequence[int]],
    pad_id: int,
    batch_tokens: int,
    device: str | torch.device = "cpu",
) -> tuple[np.ndarray, int]:
    """function(input_ids, attention_mask) of all texts, in their order, and the tokens a batch had in the end: half as
    many each time the memory did not suffice."""
    results: list[np.ndarray | None] = [None] * len(ids)
    waiting = make_batches([len(text) for text in ids], batch_tokens)[::-1]
    while waiting:
        batch = waiting.pop()
        try:
            with torch.inference_mode():
                values = function(*padded([ids[place] for place in batch], pad_id, device)).float().cpu().numpy()
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            if len(batch) == 1:
                raise CommonError(f"not enough memory for one text of {len(ids[batch[0]])} tokens") from None
            batch_tokens = min(batch_tokens, len(batch) * len(ids[batch[0]])) // 2
            left = [place for other in [*waiting, batch] for place in other]
            waiting = [[left[p] for p in other] for other in make_batches([len(ids[p]) for p in left], batch_tokens)]
            waiting.reverse()
            continue
        for place, value in zip(batch, values, strict=True):
            results[place] = value
    return np.stack(results) if results else np.zeros(0, dtype=np.float32), batch_tokens


def padded(texts: Sequence[Sequence[int]], pad_id: int, device: str | torch.device) -> tuple[Tensor, Tensor | None]:
    """One tensor of all texts, and the mask of what is text; None when all is."""
    longest = max(map(len, texts))
    lengths = torch.tensor([len(text) for text in texts])
    ids = torch.tensor([[*text, *[pad_id] * (longest - len(text))] for text in texts])
    if (lengths == longest).all():
        return ids.to(device), None
    mask = (torch.arange(longest) < lengths[:, None]).long()
    return ids.to(device), mask.to(device)


# ---------------------------------------------------------------- encoder


class Encoder(nn.Module):
    """The vector of each text: the last layer's state of its first token, or the mean over its tokens."""

    def __init__(self, model: nn.Module, pooling: str = "first") -> None:
        super().__init__()
        self.model, self.pooling = model.eval(), pooling

    def states(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        return pooled(self.states(input_ids, attention_mask), attention_mask, self.pooling)


def pooled(states: Tensor, attention_mask: Tensor | None, pooling: str) -> Tensor:
    if pooling == "first":
        return states[:, 0]
    if attention_mask is None:
        return states.mean(1)
    weights = attention_mask[:, :, None].to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Weights that a head lacks or a pooler leaves over are expected here."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        logging.enable_progress_bar()


@contextlib.contextmanager
def named(name: str) -> Iterator[None]:
    folder = Path(name)
    if folder.exists() and not (folder / "config.json").exists():
        raise BadInput(f"{name}: is no folder of a model, it has no config.json")
    if folder.is_absolute() and not folder.exists():
        raise BadInput(f"{name}: does not exist")
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"{name}: not an encoder that can be loaded: {str(error).splitlines()[0]}") from error
