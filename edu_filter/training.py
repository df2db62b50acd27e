"""Rated texts to a head, its predictions on held-out texts, and every figure that a threshold is chosen by.

result = train(rated, settings, "out/model")
result.predictions      # one held-out text each
result.metrics          # what metrics.json holds
"""

import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import Ridge

from common.errors import BadInput
from common.model_identity import model_identity
from common.program import progress
from common.training.restart import begin, refuse_foreign, saying_what_cannot_be_written
from edu_filter import metrics
from edu_filter.encoder import BATCH_TOKENS
from edu_filter.features import FeatureStore
from edu_filter.head import Head, History, fit_ridge, head_scores, train_head
from edu_filter.model import Scorer, new_scorer, save_scorer
from edu_filter.ratings import int_score
from edu_filter.split import SEED, released_split, split

CURVE = (1 / 8, 1 / 4, 1 / 2)  # of the training rows; all of them is the head itself
BASELINE_ROWS = 20_000  # more do not help a unigram ridge and take minutes
OF_A_MODEL = re.compile(
    r"(config|head|settings|tokenizer\w*|special_tokens_map|added_tokens|vocab|merges)\.(json|txt)|chat_template\.jinja"
    r"|.*\.safetensors(\.index\.json)?|.*\.model"
)
JUST_BEGUN = ("settings.json.lock", "settings.json.part")
FEW = 100  # rows: below this a figure is a guess
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Rated:
    """A text with its rating as a number and as the class that is learned."""

    row: int
    text: str
    rating: float
    label: int
    lang: str
    source: str


@dataclass(frozen=True)
class Settings:
    base_model: str
    cache_dir: str
    head: str = "pooler"
    pooling: str = "first"
    max_length: int | None = None
    epochs: int = 60
    batch_size: int = 2800
    eval_batch_size: int = 1024
    learning_rate: float = 3e-4
    eval_steps: int | None = None
    logging_steps: int = 5
    patience: int | None = None
    balance: str = "none"
    test_share: float = 0.05
    seed: int = 0
    device: str = "cpu"
    dtype: str = "fp32"
    kept_as: str = "float16"
    batch_tokens: int | None = None
    paper_exact: bool = False


@dataclass
class Result:
    predictions: dict[int, dict[str, Any]]  # by row
    metrics: dict[str, Any]
    history: History


def train(rated: Sequence[Rated], settings: Settings, model_folder: Path) -> Result:
    refuse_to_replace(model_folder)
    result, scorer = learn(rated, settings)
    save(scorer, model_folder, settings)
    return result


def learn(rated: Sequence[Rated], settings: Settings) -> tuple[Result, Scorer]:
    labels, texts = np.array([one.label for one in rated]), [one.text for one in rated]
    if settings.paper_exact:
        (train_rows, test_rows), facts = released_split(labels.tolist()), {}
    else:
        train_rows, test_rows, facts = split(labels.tolist(), texts, settings.test_share, SEED + settings.seed)
    if not train_rows:
        raise BadInput(
            f"nothing to train on: of {len(rated):,} rated rows {len(test_rows):,} are held out, the rest are copies"
        )
    scorer = new_scorer(settings.base_model, settings.head, settings.pooling, settings.seed, settings.max_length)
    scorer.to(settings.device, DTYPES[settings.dtype])
    start = {name: value.clone() for name, value in scorer.head.state_dict().items()}
    store = FeatureStore(settings.cache_dir, identity(settings, scorer))
    vectors, tokens, cut = store.vectors(texts, scorer, settings.batch_tokens or BATCH_TOKENS[scorer.device.type])
    groups = {"class": labels, "lang": [one.lang for one in rated]}.get(settings.balance)
    history = fit(scorer.head, vectors, labels, groups, train_rows, test_rows, settings)
    scores = head_scores(scorer.head, vectors, test_rows, settings.eval_batch_size)
    best = {name: value.clone() for name, value in scorer.head.state_dict().items()}
    found = {
        "rows": {"rated": len(rated), "trained_on": len(train_rows), "held_out": len(test_rows)} | facts,
        "features": {"encoded": store.encoded, "from_the_cache": len(set(texts)) - store.encoded, "cut": sum(cut)},
        "training": asdict(history),
        **figures([rated[row] for row in test_rows], scores, [tokens[row] for row in test_rows]),
        "baselines": baselines(rated, tokens, train_rows, test_rows, settings.seed),
        "learning_curve": learning_curve(scorer.head, start, vectors, labels, groups, train_rows, test_rows, settings),
    }
    scorer.head.load_state_dict(best)
    predictions = {}
    for row, score in zip(test_rows, scores.tolist(), strict=True):
        one = rated[row]
        predictions[one.row] = {
            "row": one.row, "rating": one.rating, "label": one.label, "score": score, "int_score": int_score(score),
            "lang": one.lang, "source": one.source, "tokens": tokens[row], "cut": cut[row],
        }  # fmt: skip
    return Result(predictions, found, history), scorer


def identity(settings: Settings, scorer: Scorer) -> dict[str, Any]:
    """What vectors depend on."""
    return {
        "model": model_identity(settings.base_model),
        "max_length": scorer.tokenizer.max_length,
        "pooling": settings.pooling,
        "dtype": settings.dtype,
        "kept_as": settings.kept_as,
    }


def fit(
    head: Head, vectors: np.ndarray, labels: np.ndarray, groups: Sequence[Any] | None, train_rows: list[int],
    test_rows: list[int], settings: Settings,
) -> History:  # fmt: skip
    rows = (
        balanced(train_rows, [groups[row] for row in train_rows], settings.seed) if groups is not None else train_rows
    )
    if settings.head == "linear":
        return History(0, [{"ridge": fit_ridge(head, vectors, labels, rows, settings.seed)}])
    with progress(desc="training", unit="step") as bar:
        bar.total = -(-len(rows) // settings.batch_size) * settings.epochs
        return train_head(
            head, vectors, labels, rows, test_rows, settings.epochs, settings.batch_size, settings.learning_rate,
            eval_steps=settings.eval_steps, logging_steps=settings.logging_steps, patience=settings.patience,
            seed=settings.seed, watch=lambda step, total: bar.update() and None,
        )  # fmt: skip


def balanced(rows: list[int], groups: Sequence[Any], seed: int) -> list[int]:
    """As many draws of each group, in all as many as before: rows of rare ones come more than once."""
    rng = np.random.default_rng(seed)
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    each = np.array_split(np.arange(len(rows)), len(names))
    drawn = [rng.choice(np.flatnonzero(place == at), size=len(part)) for at, part in enumerate(each)]
    return [rows[at] for at in rng.permutation(np.concatenate(drawn))]


def figures(held_out: Sequence[Rated], scores: np.ndarray, tokens: Sequence[int]) -> dict[str, Any]:
    """Of all held-out rows, and of each language and source."""
    ratings = np.array([one.label for one in held_out], dtype=float)
    found = {
        "few_rows": len(scores) < FEW,
        "released": released(scores, ratings),
        "head": metrics.quality(scores, ratings),
        "threshold": metrics.choose_threshold(scores, ratings),
        "curve": metrics.threshold_curve(scores, ratings, tokens),
        "isotonic": metrics.isotonic(scores, ratings),
        "auc": metrics.auc(scores, ratings >= metrics.GOOD),
    }
    for name in ("lang", "source"):
        groups = np.array([getattr(one, name) for one in held_out])
        found[f"auc_of_{name}"] = metrics.auc_of_source(groups, ratings >= metrics.GOOD)
        found[f"by_{name}"] = {
            str(group): {
                "few_rows": bool(np.sum(groups == group) < FEW),
                **metrics.quality(scores[groups == group], ratings[groups == group]),
                "threshold": metrics.choose_threshold(scores[groups == group], ratings[groups == group]),
            }
            for group in np.unique(groups)
        }
    return found


def released(scores: np.ndarray, ratings: np.ndarray) -> dict[str, Any] | None:
    """The released evaluation; it ends with an error on one row or none."""
    if len(scores) < 2:
        return None
    return metrics.released_metrics(scores, ratings) | {"printed": metrics.released_report(scores, ratings)}


def baselines(
    rated: Sequence[Rated], tokens: Sequence[int], train_rows: list[int], test_rows: list[int], seed: int
) -> dict[str, dict[str, Any]]:
    """What a constant, chance, the length alone and single words reach on the same rows; and "all of them are good"."""
    if not test_rows:
        return {}
    train_rows = train_rows[:BASELINE_ROWS]
    labels = np.array([rated[row].label for row in train_rows], dtype=float)
    words = HashingVectorizer(n_features=2**18, token_pattern=r"[\u3400-\u9fff]|[^\W\d_]+", alternate_sign=False)
    inputs = {
        "constant": lambda rows: np.zeros((len(rows), 1)),
        "length": lambda rows: np.log1p([[tokens[row]] for row in rows]),
        "single words": lambda rows: words.transform([rated[row].text for row in rows]),
    }
    wanted = np.array([rated[row].label for row in test_rows], dtype=float)
    scores = {
        "all positive": np.full(len(test_rows), float(metrics.GOOD)),
        "random": np.random.default_rng(seed).choice(labels, len(test_rows)),  # any other text's rating
    }
    for name, features in inputs.items():
        scores[name] = Ridge(alpha=1.0).fit(features(train_rows), labels).predict(features(test_rows))
    return {name: short(found, wanted) for name, found in scores.items()}


def short(scores: np.ndarray, ratings: np.ndarray) -> dict[str, Any]:
    """The figures by which methods are compared. F1 at 3 with the best threshold chosen on half of the rows too: a
    method is not blamed for another scale."""
    found = metrics.quality(scores, ratings)
    chosen = metrics.choose_threshold(scores, ratings)
    return {
        "f1_macro": found["f1_macro"],
        "f1_at_3": found["at_3"]["f1"],
        "f1_at_chosen_threshold": chosen["f1"],
        "mae": found["mae"],
        "spearman": found["spearman"],
    }


def learning_curve(
    head: Head, start: dict, vectors: np.ndarray, labels: np.ndarray, groups: Sequence[Any] | None,
    train_rows: list[int], test_rows: list[int], settings: Settings,
) -> list[dict[str, Any]]:  # fmt: skip
    """The same training on parts of the rated texts: whether more ratings would help."""
    curve = []
    for share in CURVE:
        rows = train_rows[: int(len(train_rows) * share)]
        if not rows or not test_rows:
            continue
        head.load_state_dict(start)
        fit(head, vectors, labels, groups, rows, test_rows, settings)
        scores = head_scores(head, vectors, test_rows, settings.eval_batch_size)
        curve.append({"trained_on": len(rows)} | short(scores, labels[test_rows].astype(float)))
    return curve


def refuse_to_replace(folder: Path) -> None:
    """What is replaced is a model that was made here, and nobody has put anything into."""
    names = [file.name for file in folder.glob("*")]
    if names and all(name in JUST_BEGUN for name in names):  # by a run that was killed then
        return
    if foreign := [name for name in names if not OF_A_MODEL.fullmatch(name) and name not in JUST_BEGUN]:
        raise BadInput(f"{folder}: holds {foreign[0]}, which is no part of a model; choose another --checkpoint_dir")
    refuse_foreign(folder)


def remove(folder: Path) -> None:
    """What tells that it is ours goes last: killed in between, the next run still knows."""
    for file in folder.glob("*"):
        if file.name != "settings.json":
            file.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def save(scorer: Scorer, folder: Path, settings: Settings) -> None:
    """The model appears whole. What it replaces, and what a killed run left, is known by its settings.json."""
    part = folder.with_name(f"{folder.name}.part")
    refuse_to_replace(part)
    remove(part)
    begin(part, asdict(replace(settings, cache_dir="")))  # which is not what decides the model
    scorer.to("cpu")
    with saying_what_cannot_be_written(folder):
        save_scorer(scorer, part)
    remove(folder)
    part.rename(folder)


def log_to_wandb(history: History, project: str, entity: str, settings: dict[str, Any]) -> None:
    try:
        import wandb
    except ImportError:
        print("--use_wandb: wandb is not installed; the log is in metrics.json", file=sys.stderr)
        return
    run = wandb.init(project=project, entity=entity, config=settings)
    for entry in history.log:
        run.log({key: value for key, value in entry.items() if key != "step"}, step=entry.get("step"))
    run.finish()
