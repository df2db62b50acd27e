"""The part that is trained: from a text's vector to its score. Trained on vectors that were computed once.

head = Head(768, "pooler")           # w . tanh(W h + b) + c, the released trainable part; "linear": w . h + c
history = train_head(head, vectors, labels, held_out, held_out_labels, epochs=60, batch_size=2800)
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edu_filter.metrics import released_metrics

HEADS = ("pooler", "linear")
GRAD_NORM = 1.0  # the Trainer's, like AdamW's betas and a linear decay without warm-up
RIDGES = 10.0 ** np.arange(-4, 4)  # of the mean square of the vectors' numbers


class Head(nn.Module):
    def __init__(self, size: int, kind: str = "pooler", initializer_range: float = 0.02) -> None:
        super().__init__()
        self.kind = kind
        self.dense = nn.Linear(size, size) if kind == "pooler" else None
        self.out = nn.Linear(size, 1)
        for layer in filter(None, (self.dense, self.out)):
            nn.init.normal_(layer.weight, std=initializer_range)
            nn.init.zeros_(layer.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        states = vectors.to(self.out.weight.dtype)
        if self.dense is not None:
            states = torch.tanh(self.dense(states))
        return self.out(states)[:, 0]


@dataclass(slots=True)
class History:
    total_steps: int
    log: list[dict[str, Any]] = field(default_factory=list)
    best_step: int | None = None
    best_f1_macro: float | None = None


def head_scores(
    head: Head, vectors: np.ndarray, rows: Sequence[int] | None = None, batch_size: int = 8192
) -> np.ndarray:
    """Scores of all vectors, or of some rows of them."""
    rows = np.arange(len(vectors)) if rows is None else np.asarray(rows)
    parts = []
    with torch.inference_mode():
        for start in range(0, len(rows), batch_size):
            parts.append(head(_tensor(vectors[rows[start : start + batch_size]], head)).float().cpu().numpy())
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)


def train_head(
    head: Head,
    vectors: np.ndarray,
    labels: np.ndarray,
    train: Sequence[int],
    test: Sequence[int],
    epochs: int,
    batch_size: int,
    learning_rate: float,
    eval_steps: int | None = None,
    logging_steps: int = 5,
    patience: int | None = None,
    seed: int = 0,
    watch: Callable[[int, int], None] = lambda step, total: None,
) -> History:
    """The released loop on the rows `train` and `test` of `vectors`: AdamW, linear decay, mean squared error, batches
    in the Trainer's order; evaluated every `eval_steps`, and the best macro-F1 is what the head holds in the end.
    Without `eval_steps` each epoch ends with an evaluation. With less than one there is none: the last weights stay."""
    train, test = np.asarray(train), np.asarray(test)
    steps_an_epoch = math.ceil(len(train) / batch_size)
    total = steps_an_epoch * epochs
    optimizer = torch.optim.AdamW(head.parameters(), lr=learning_rate, weight_decay=0.0)
    targets = torch.as_tensor(np.asarray(labels), dtype=torch.float32, device=head.out.weight.device)
    history, best, summed, logged, since_best = History(total), None, 0.0, 0, 0
    for step in range(total):
        if step % steps_an_epoch == 0:
            order = train[torch.randperm(len(train), generator=_seeded(seed + step // steps_an_epoch)).numpy()]
        at = step % steps_an_epoch * batch_size
        rows = order[at : at + batch_size]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (total - step) / total
        loss = nn.functional.mse_loss(head(_tensor(vectors[rows], head)), targets[rows])
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(head.parameters(), GRAD_NORM)
        optimizer.step()
        summed += loss.item()
        done = step + 1
        if done % logging_steps == 0:
            entry = {"loss": round(summed / (done - logged), 4), "grad_norm": norm.item()}
            entry |= {"learning_rate": learning_rate * (total - done) / total, "step": done}
            history.log.append(entry)
            summed, logged = 0.0, done
        if len(test) and done % (eval_steps or steps_an_epoch) == 0:
            scores = head_scores(head, vectors, test)
            found = released_metrics(scores, labels[test]) if len(test) > 1 else {"f1_macro": 0.0}
            mse = float(np.mean((scores - labels[test]) ** 2))
            history.log.append({"eval_loss": mse, **{f"eval_{k}": v for k, v in found.items()}, "step": done})
            since_best += 1
            if history.best_f1_macro is None or found["f1_macro"] > history.best_f1_macro:
                history.best_step, history.best_f1_macro, since_best = done, found["f1_macro"], 0
                best = copy.deepcopy(head.state_dict())
            if patience is not None and since_best >= patience:
                break
        watch(done, total)
    if best is not None:
        head.load_state_dict(best)
    return history


def fit_ridge(head: Head, vectors: np.ndarray, labels: np.ndarray, train: Sequence[int], seed: int = 0) -> float:
    """The linear head in closed form; returns the penalty, which is chosen on a fifth of the training rows."""
    train = np.asarray(train)
    order = train[np.random.default_rng(seed).permutation(len(train))]
    aside, rest = order[: len(order) // 5], order[len(order) // 5 :]
    penalty = 1.0
    if len(aside):
        fits = _ridge(vectors[rest], labels[rest], RIDGES)
        errors = [np.mean((vectors[aside].astype(np.float64) @ w + c - labels[aside]) ** 2) for w, c in fits]
        penalty = float(RIDGES[int(np.argmin(errors))])
    ((weights, constant),) = _ridge(vectors[train], labels[train], [penalty])
    with torch.no_grad():
        head.out.weight.copy_(torch.as_tensor(weights, dtype=torch.float32)[None])
        head.out.bias.fill_(float(constant))
    return penalty


def _ridge(vectors: np.ndarray, labels: np.ndarray, penalties: Sequence[float]) -> list[tuple[np.ndarray, float]]:
    """Least squares with each penalty, by one eigendecomposition; the constant is free."""
    x, y = vectors.astype(np.float64), np.asarray(labels, dtype=np.float64)
    x_mean, y_mean = x.mean(0), y.mean()
    x = x - x_mean
    values, directions = np.linalg.eigh(x.T @ x)
    toward = directions.T @ (x.T @ (y - y_mean))
    scale = max(float(values.mean()), 1e-12)
    fits = [directions @ (toward / (np.maximum(values, 0) + penalty * scale)) for penalty in penalties]
    return [(weights, float(y_mean - x_mean @ weights)) for weights in fits]


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _tensor(vectors: np.ndarray, head: Head) -> Tensor:
    return torch.as_tensor(vectors, device=head.out.weight.device)
