"""Greedy facility location as released: every similarity, and a heap of bounds that looks at one row at a time."""

import heapq

import numpy as np


def similarities(points: np.ndarray, kind: str) -> np.ndarray:
    points = points.astype(np.float32).astype(np.float64)
    if kind == "cosine":
        norms = np.linalg.norm(points, axis=1)
        return (points @ points.T / np.outer(norms, norms)).astype(np.float32)
    distances = np.sqrt(((points[:, None] - points[None]) ** 2).sum(2))
    return np.exp(-distances / points.shape[1]).astype(np.float32)


def facility_location(points: np.ndarray, count: int, kind: str) -> list[int]:
    matrix = similarities(points, kind)
    nearest = np.zeros(len(points), dtype=np.float32)
    heap = [(-gain(row, nearest), -index) for index, row in enumerate(matrix)]
    heapq.heapify(heap)
    picked: list[int] = []
    while len(picked) < min(count, len(points)):
        _, index = heapq.heappop(heap)
        now = gain(matrix[-index], nearest)
        if not heap or now >= -heap[0][0]:
            picked.append(-index)
            nearest = np.maximum(nearest, matrix[-index])
        else:
            heapq.heappush(heap, (-now, index))
    return picked


def gain(row: np.ndarray, nearest: np.ndarray) -> float:
    return float(np.maximum(row - nearest, 0).astype(np.float64).sum())


def plain_greedy(points: np.ndarray, count: int, kind: str) -> list[int]:
    """Every gain of every row, every time; the largest index among equals."""
    matrix = similarities(points, kind)
    nearest = np.zeros(len(points), dtype=np.float32)
    picked: list[int] = []
    while len(picked) < min(count, len(points)):
        gains = np.array([-np.inf if index in picked else gain(row, nearest) for index, row in enumerate(matrix)])
        picked.append(int(np.flatnonzero(gains == gains.max())[-1]))
        nearest = np.maximum(nearest, matrix[picked[-1]])
    return picked


def unit_vectors(count: int, dimension: int, seed: int, clusters: int = 0, noise: float = 0.3) -> np.ndarray:
    """Points to try it on."""
    draw = np.random.default_rng(seed)
    points = draw.normal(size=(count, dimension))
    if clusters:
        points = draw.normal(size=(clusters, dimension))[draw.integers(clusters, size=count)] + noise * points
    return points / np.linalg.norm(points, axis=1, keepdims=True)
