"""The scorer: a language model with one output, read at the last token of a context and a question.

scorer = load_scorer("results/scorer", device="cpu")
scores = scorer.score([scorer_text(context, question), …])      # in the order of the texts
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from common.errors import BadInput
from common.model_identity import model_identity
from common.rows import read_rows, write_rows
from common.shards import run_shards

if TYPE_CHECKING:
    import torch

FACTS_FILE = "scorer.json"  # beside the model: which loss it was trained with, and the bias of the released head


def scorer_text(context: str, question: str) -> str:
    return f"Context: {context}\n\nQuestion: {question}\n\n"


# ---- the released head, loss and batch -------------------------------------------------------------------------------


def last_positions(attention_mask: "torch.Tensor") -> "torch.Tensor":
    """The last attended token of each row, padded right or left."""
    return attention_mask.cumsum(-1).argmax(-1)


def head_scores(
    hidden: "torch.Tensor", attention_mask: "torch.Tensor", weight: "torch.Tensor", bias: "torch.Tensor | float" = 0.0
) -> "torch.Tensor":
    """A linear head on the last attended token; before the sigmoid."""
    rows = hidden[range(len(hidden)), last_positions(attention_mask)]
    return rows @ weight.reshape(-1).to(rows.dtype) + bias


def released_loss(scores: "torch.Tensor") -> "torch.Tensor":
    """Mean sigmoid of the second half, the negatives, minus that of the first half: who is paired with whom does not
    matter."""
    positive, negative = scores.sigmoid().chunk(2)
    return negative.mean() - positive.mean()


def pad_right(rows: Sequence[Sequence[int]], pad: int) -> "dict[str, torch.Tensor]":
    import torch

    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor(row)
        mask[place, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def pair_batch(pairs: Sequence[dict], pad: int) -> "dict[str, torch.Tensor]":
    """All positives, then all negatives in the same order."""
    return pad_right([pair["chosen_ids"] for pair in pairs] + [pair["rejected_ids"] for pair in pairs], pad)


def keep_and_train(model: Any, keep: int | None, train: int | None) -> None:
    """The first `keep` layers are the model; of them the last `train` learn, with what comes behind them."""
    backbone = model.base_model
    layers = getattr(backbone, "layers", None)
    if layers is None or not 1 <= (keep or 1) <= len(layers) or not 0 <= (train or 0) <= (keep or len(layers)):
        has = "no list of layers" if layers is None else f"{len(layers)} layers"
        raise BadInput(f"--keep_layers {keep}, --train_layers {train}: the model has {has}")
    backbone.layers = layers = layers[:keep]
    model.config.num_hidden_layers = len(layers)
    if getattr(model.config, "layer_types", None):
        model.config.layer_types = model.config.layer_types[: len(layers)]
    if train is not None:
        model.requires_grad_(False)
        for part in (*layers[len(layers) - train :], getattr(backbone, "norm", model.score), model.score):
            part.requires_grad_(True)


# ---- scoring ---------------------------------------------------------------------------------------------------------


class Scorer(NamedTuple):
    model: Any  # …ForSequenceClassification with one label, or a PEFT model of one
    tokenizer: Any
    bias: float
    sigmoid: bool  # as the released code, whose scores saturate

    def score(
        self, texts: Sequence[str], batch_tokens: int = 16_384, on_batch: Callable[[int], Any] | None = None
    ) -> list[float]:
        """Sorted by length, so that next to nothing is padding; the same batches for the same texts."""
        import torch

        encoded = self.tokenizer(list(texts))["input_ids"]
        pad = pad_id(self.tokenizer)
        scores = [0.0] * len(texts)
        for places in token_batches([len(ids) for ids in encoded], batch_tokens):
            batch = pad_right([encoded[place] for place in places], pad)
            with torch.inference_mode():
                raw = self._raw(batch) + self.bias
            values = (raw.sigmoid() if self.sigmoid else raw).tolist()
            for place, value in zip(places, values, strict=True):
                scores[place] = value
            if on_batch:
                on_batch(len(places))
        return scores

    def _raw(self, batch: "dict[str, torch.Tensor]") -> "torch.Tensor":
        """The backbone's last layer, and the head at one token a row."""
        model = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
        hidden = model.base_model(**batch, use_cache=False).last_hidden_state
        rows = hidden[range(len(hidden)), last_positions(batch["attention_mask"])]
        return model.score(rows.to(model.score.weight.dtype)).squeeze(-1).float()


def token_batches(lengths: Sequence[int], batch_tokens: int, most_padding: float = 0.05) -> Iterator[list[int]]:
    """Places of texts, longest first: as many as fit into so many tokens, and as are nearly of one length."""
    batch: list[int] = []
    tokens = 0
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        padded = lengths[batch[0]] * (len(batch) + 1) if batch else 0
        if padded > batch_tokens or padded > (1 + most_padding) * (tokens + lengths[place]):
            yield batch
            batch, tokens = [], 0
        batch.append(place)
        tokens += lengths[place]
    if batch:
        yield batch


def pad_id(tokenizer: Any) -> int:
    return tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id


def load_scorer(folder: str, device: str = "cpu", dtype: str = "float32") -> Scorer:
    """A folder that step 2 left: a whole model, or an adapter that names its base model."""
    import torch
    from peft import AutoPeftModelForSequenceClassification
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    adapter = Path(folder, "adapter_config.json").exists()
    kind = AutoPeftModelForSequenceClassification if adapter else AutoModelForSequenceClassification
    options: dict[str, Any] = {"dtype": getattr(torch, dtype), "num_labels": 1}
    facts = json.loads(Path(folder, FACTS_FILE).read_text(encoding="utf-8"))
    if facts["quantized"] and device != "cpu":
        options["quantization_config"] = nf4(dtype)
        options["device_map"] = {"": device}
    model = kind.from_pretrained(folder, **options).eval()
    if "device_map" not in options:
        model = model.to(device)
    return Scorer(model, AutoTokenizer.from_pretrained(folder), facts["bias"], facts["loss"] == "released")


def nf4(dtype: str) -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, dtype),
    )


# ---- many questions, in parts ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scoring:
    folder: str
    device: str = "cpu"
    dtype: str = "float32"
    batch_tokens: int = 16_384


@cache
def _loaded(scoring: Scoring) -> Scorer:
    return load_scorer(scoring.folder, scoring.device, scoring.dtype)


def score_part(scoring: Scoring, source: str, target: str) -> dict[str, int]:
    """A file of {"context", "question"} to one of {"score"}: a shard, done again from its beginning when killed."""
    texts = [scorer_text(row["context"], row["question"]) for row in read_rows(source)]
    scores = _loaded(scoring).score(texts, scoring.batch_tokens)
    write_rows(target, ({"score": score} for score in scores), allow_nan=True)
    return {"scored": len(texts)}


def score_questions(
    questions: Iterable[dict], folder: Path, scoring: Scoring, part: int = 4096, **shards: Any
) -> Iterator[float]:
    """A score for each {"context", "question"}, in order. Parts that are done are not scored again."""
    tasks, questions = [], iter(questions)
    while rows := [{"context": row["context"], "question": row["question"]} for row in islice(questions, part)]:
        tasks.append((str(folder / f"{len(tasks):06}.questions.jsonl"), str(folder / f"{len(tasks):06}.scores.jsonl")))
        write_rows(tasks[-1][0], rows)
    fingerprint = {"scorer": model_identity(scoring.folder), "dtype": scoring.dtype, "tokens": scoring.batch_tokens}
    run_shards(partial(score_part, scoring), tasks, fingerprint=fingerprint, **shards)
    for _, target in tasks:
        yield from (row["score"] for row in read_rows(target, allow_nan=True))
