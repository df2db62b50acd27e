"""AlpacaEval 2's length-controlled win rate in a few lines: an L1 logistic regression on probabilities, whose length
term is then set to nothing."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

STRENGTHS = np.logspace(-4, 4, 10)


def win_rate(verdicts: list[dict], gamed: list[dict]) -> float:
    """In percent. Each verdict counts once, each of the two gamed baselines' a tenth of that."""
    difficulty = {row["index"]: row["instruction_difficulty"] for row in gamed}
    lengths = np.array([len(row["output_1"]) - len(row["output_2"]) for row in verdicts], float)
    lengths /= lengths.std(ddof=1)
    known = [[np.tanh(row["std_delta_len"]), row["instruction_difficulty"], 0.0] for row in gamed]
    ours = [[np.tanh(delta), difficulty[row["index"]], 1.0] for delta, row in zip(lengths, verdicts, strict=True)]
    features = np.array(known + ours)
    # The published file holds gamed preferences from 0 to 1, verdicts go from 1 to 2.
    wins = np.array([row["preference"] for row in gamed] + [row["preference"] - 1 for row in verdicts])
    counts = np.array([0.1] * len(gamed) + [1.0] * len(verdicts))

    groups = np.tile(np.arange(len(wins)), 2)  # a row's two halves stay together
    losses = np.zeros(len(STRENGTHS))
    both = np.concatenate([features, features])
    for train, test in GroupKFold(n_splits=5).split(both, groups=groups):
        for place, strength in enumerate(STRENGTHS):
            model = fit(both, wins, counts, strength, train)
            chances = model.predict_proba(both[test])[:, 1].clip(1e-15, 1 - 1e-15)
            here = groups[test]
            loss = wins[here] * np.log(chances) + (1 - wins[here]) * np.log(1 - chances)
            losses[place] -= np.mean(loss * counts[here])
    best = fit(both, wins, counts, STRENGTHS[np.argmin(losses)], np.arange(len(both)))
    neutral = np.array(ours) * [0, 1, 1]
    return float(100 * best.predict_proba(neutral)[:, 1].mean())


def fit(
    both: np.ndarray, wins: np.ndarray, counts: np.ndarray, strength: float, rows: np.ndarray
) -> LogisticRegression:
    """Each row twice: won with its share, lost with the rest."""
    labels = np.repeat([1, 0], len(wins))
    weights = np.concatenate([wins * counts, (1 - wins) * counts])
    model = LogisticRegression(C=strength, l1_ratio=1, solver="liblinear", fit_intercept=False, random_state=123)
    return model.fit(both[rows], labels[rows], sample_weight=weights[rows])
