"""Greedy facility location as it is defined: every gain of every row, every time."""

import numpy as np


def similarities(points: np.ndarray, kind: str) -> np.ndarray:
    if kind == "cosine":
        norms = np.linalg.norm(points, axis=1)
        return points @ points.T / np.outer(norms, norms)
    distances = np.sqrt(((points[:, None] - points[None]) ** 2).sum(2))
    return np.exp(-distances / points.shape[1])


def facility_location(points: np.ndarray, count: int, kind: str) -> list[int]:
    matrix = similarities(points, kind)
    picked: list[int] = []
    while len(picked) < min(count, len(points)):
        if picked:
            covered = matrix[:, picked].max(1)
            gains = np.maximum(matrix - covered[:, None], 0).sum(0)
        else:
            gains = matrix.sum(0)
        gains[picked] = -np.inf
        picked.append(int(np.flatnonzero(gains >= gains.max() - 1e-9 * abs(gains.max()) - 1e-12 * len(points))[0]))
    return picked
