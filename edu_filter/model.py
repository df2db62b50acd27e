"""A scorer as a folder: an encoder and its head, loaded and saved in the form of FineWeb-Edu's own classifier.

    scorer = load_scorer("HuggingFaceFW/fineweb-edu-classifier")
    scorer = new_scorer("Snowflake/snowflake-arctic-embed-m", "pooler", "first", seed=0)
    save_scorer(scorer, "out/model")

A pooler head on the first token of a BERT or XLM-R is an ordinary ...ForSequenceClassification folder. What that form
cannot hold (a linear head, mean pooling, another encoder) is the encoder's folder with `head.json` and
`head.safetensors`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from common.errors import BadInput
from edu_filter.encoder import Encoder, Tokenizer, named, quiet_transformers, run_batches
from edu_filter.head import Head


@dataclass(slots=True)
class Scorer:
    tokenizer: Tokenizer
    encoder: Encoder | None
    head: Head | None
    whole: nn.Module | None = None  # the classification model that both are parts of, or that is used as it is
    name: str = ""

    @property
    def device(self) -> torch.device:
        return next(self._model().parameters()).device

    def to(self, device: str, dtype: torch.dtype = torch.float32, head_dtype: torch.dtype = torch.float32) -> "Scorer":
        self._model().to(device=device, dtype=dtype)
        if self.head is not None:
            self.head.to(device=device, dtype=head_dtype)
        return self

    def score(self, ids: Sequence[Sequence[int]], batch_tokens: int) -> tuple[np.ndarray, int]:
        """Scores of token windows in their order, and the tokens a batch had in the end."""
        return run_batches(self.score_batch, ids, self.tokenizer.pad_id, batch_tokens, self.device)

    def vectors(self, ids: Sequence[Sequence[int]], batch_tokens: int) -> np.ndarray:
        return run_batches(self.encoder, ids, self.tokenizer.pad_id, batch_tokens, self.device)[0]

    def score_batch(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        if self.head is None:
            return self.whole(input_ids=input_ids, attention_mask=attention_mask).logits[:, 0]
        return self.head(self.encoder(input_ids, attention_mask))

    def _model(self) -> nn.Module:
        return self.whole if self.encoder is None else self.encoder


def load_scorer(name: str, max_length: int | None = None) -> Scorer:
    from transformers import AutoModel, AutoModelForSequenceClassification

    tokenizer = Tokenizer.load(name, max_length)
    if (Path(name) / "head.json").exists():
        settings = _head_settings(Path(name))
        with quiet_transformers(), named(name):
            model = AutoModel.from_pretrained(name, dtype=torch.float32)
        head = Head(settings["size"], settings["kind"])
        head.load_state_dict(load_file(Path(name) / "head.safetensors"))
        return Scorer(tokenizer, Encoder(_without_pooler(model), settings["pooling"]), head, None, name)
    with quiet_transformers(), named(name):
        model = AutoModelForSequenceClassification.from_pretrained(name, dtype=torch.float32).eval()
    if model.config.num_labels != 1:
        raise BadInput(f"{name}: gives {model.config.num_labels} numbers a text; a scorer gives one")
    head = _head_of(model)
    if head is None:
        return Scorer(tokenizer, None, None, model, name)
    return Scorer(tokenizer, Encoder(_without_pooler(model.base_model)), head, model, name)


def new_scorer(name: str, kind: str, pooling: str, seed: int, max_length: int | None = None) -> Scorer:
    """The encoder `name` with a head to train: its own one where it has it, else drawn with the seed."""
    from transformers import AutoModel, AutoModelForSequenceClassification

    tokenizer = Tokenizer.load(name, max_length)
    torch.manual_seed(seed)
    with quiet_transformers(), named(name):
        if kind == "pooler" and pooling == "first":
            model = AutoModelForSequenceClassification.from_pretrained(name, num_labels=1, dtype=torch.float32)
            if (head := _head_of(model)) is not None:
                return Scorer(tokenizer, Encoder(_without_pooler(model.base_model)), head, model, name)
        torch.manual_seed(seed)
        model = AutoModel.from_pretrained(name, dtype=torch.float32)
    head = Head(model.config.hidden_size, kind, getattr(model.config, "initializer_range", 0.02))
    return Scorer(tokenizer, Encoder(_without_pooler(model), pooling), head, None, name)


def _head_of(model: nn.Module) -> Head | None:
    """The layers of a classification model that are a pooler head on the first token. The head shares their weights."""
    classifier, pooler = getattr(model, "classifier", None), getattr(model.base_model, "pooler", None)
    if hasattr(classifier, "dense") and hasattr(classifier, "out_proj"):  # XLM-R
        dense, out = classifier.dense, classifier.out_proj
    elif isinstance(classifier, nn.Linear) and isinstance(getattr(pooler, "dense", None), nn.Linear):  # BERT
        dense, out = pooler.dense, classifier
    else:
        return None
    head = Head(dense.in_features)
    head.dense, head.out = dense, out
    return head


def _without_pooler(model: nn.Module) -> nn.Module:
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # its work would be thrown away
    return model


def save_scorer(scorer: Scorer, folder: str | Path) -> None:
    folder = Path(folder)
    tokenizer = scorer.tokenizer.hf
    tokenizer.model_max_length = scorer.tokenizer.max_length
    with quiet_transformers():
        tokenizer.save_pretrained(folder)
        _name_for_older_versions(folder / "tokenizer_config.json")
        if scorer.whole is None:
            scorer.encoder.model.save_pretrained(folder)
            save_file(
                {key: value.contiguous() for key, value in scorer.head.state_dict().items()},
                folder / "head.safetensors",
            )
            settings = {
                "kind": scorer.head.kind,
                "pooling": scorer.encoder.pooling,
                "size": scorer.head.out.in_features,
            }
            (folder / "head.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
            return
        model, config = scorer.whole, scorer.whole.config
        config.problem_type, config.classifier_dropout, config.hidden_dropout_prob = "regression", 0.0, 0.0
        if isinstance(model.classifier, nn.Linear):  # BERT's pooler went into the head
            model.base_model.pooler = _Pooler(scorer.head.dense)
        model.save_pretrained(folder)
        _without_pooler(model.base_model)


def _name_for_older_versions(path: Path) -> None:
    """transformers 5 calls a plain tokenizer.json by a name that 4 does not know; both know the older one."""
    settings = json.loads(path.read_text(encoding="utf-8"))
    if settings.get("tokenizer_class") == "TokenizersBackend":
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
        path.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


class _Pooler(nn.Module):
    def __init__(self, dense: nn.Linear) -> None:
        super().__init__()
        self.dense = dense


def _head_settings(folder: Path) -> dict:
    try:
        settings = json.loads((folder / "head.json").read_text(encoding="utf-8"))
        return {"kind": settings["kind"], "pooling": settings["pooling"], "size": int(settings["size"])}
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder / 'head.json'}: not a head's description: {error!r}") from None
