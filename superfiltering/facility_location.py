"""Greedy facility location: pick rows so that every row of the data has a similar one among those picked.

    facility_location(embeddings, 1040)        # indices in the order they are picked

Each pick adds the most to  f(S) = sum over all rows i of max over picked j of similarity(i, j).  What a row would add
only falls as the selection grows, so what it would have added earlier bounds what it adds now: only the few rows with
the highest bounds are looked at again (lazy greedy), a block at a time. Without room for all similarities (n² numbers),
those of a block are computed when they are needed.

The paper's similarity, exp(-euclidean distance / dimension), lies between 0.995 and 1 for unit vectors of 384
dimensions. So we keep 1 - similarity, in double precision: what is left of the digits decides.
"""

from collections.abc import Iterator

import numpy as np
import torch

MATRIX_BYTES = 1_200_000_000  # the n x n matrix is kept if it fits: up to about 12,000 rows
FIRST_BLOCK, LARGEST_BLOCK = 8, 256  # candidates looked at together, twice as many each time
TIE = 1e-9  # gains are equal that differ by less than this part of them,
NOISE = 1e-12  # or by less than this for each row of the data; the lowest index wins
SAME = 1e-14  # squared distance, as a part of the squared lengths, below which two rows are one


def facility_location(
    points: np.ndarray,
    count: int,
    similarity: str = "euclidean",
    device: str = "cpu",
    matrix_bytes: int = MATRIX_BYTES,
) -> list[int]:
    total = len(points)
    points = torch.as_tensor(points, dtype=torch.float64, device=device)
    if total * total * 8 <= matrix_bytes:
        matrix = torch.empty(total, total, dtype=torch.float64, device=device)
        for block in torch.arange(total, device=device).split(256):
            matrix[block] = unlikeness(points, block, similarity)

        def unlike(block: torch.Tensor) -> torch.Tensor:
            return matrix[block]
    else:

        def unlike(block: torch.Tensor) -> torch.Tensor:
            return unlikeness(points, block, similarity)

    picked: list[int] = []
    nearest = torch.ones(total, dtype=torch.float64, device=device)  # 1 - similarity to the nearest row picked
    bounds = torch.full((total,), torch.inf, dtype=torch.float64, device=device)
    while len(picked) < min(count, total):
        best = _best_candidate(unlike, nearest, bounds, first=not picked)
        picked.append(best)
        row = unlike(torch.tensor([best], device=device))[0]
        if len(picked) == 1:
            nearest = row.clone()
            bounds.fill_(torch.inf)  # the whole similarity counted for the first pick, only its growth does from now on
        else:
            nearest = torch.minimum(nearest, row)
        bounds[best] = -torch.inf
    return picked


def unlikeness(points: torch.Tensor, block: torch.Tensor, similarity: str) -> torch.Tensor:
    """1 - similarity of the rows of a block to all rows."""
    here = points[block]
    if similarity == "cosine":
        norms = points.norm(dim=1).clamp_min(1e-300)
        return 1 - (here / norms[block, None]) @ (points / norms[:, None]).T
    squares = (points * points).sum(1)
    scale = squares[block, None] + squares
    distances = scale - 2 * here @ points.T
    distances[distances < SAME * scale] = 0
    return distances.sqrt_().div_(-points.shape[1]).expm1_().neg_()


def _best_candidate(unlike, nearest: torch.Tensor, bounds: torch.Tensor, first: bool) -> int:
    """The row that adds most; looks at candidates in the order of their bounds until no bound can beat the best."""
    order = bounds.argsort(descending=True, stable=True)
    best = -torch.inf
    seen = []
    for block in _growing_blocks(order):
        if bounds[block[0]] < best - _tie(best, len(bounds)):
            break
        block = block[bounds[block] > -torch.inf]
        costs = unlike(block)
        gains = (1 - costs).sum(1) if first else (nearest - costs).clamp_min_(0).sum(1)
        bounds[block] = gains
        best = max(best, float(gains.max())) if len(gains) else best
        seen.append(block)
    looked_at = torch.cat(seen)
    return int(looked_at[bounds[looked_at] >= best - _tie(best, len(bounds))].min())


def _growing_blocks(order: torch.Tensor) -> Iterator[torch.Tensor]:
    start, size = 0, FIRST_BLOCK
    while start < len(order):
        yield order[start : start + size]
        start, size = start + size, min(2 * size, LARGEST_BLOCK)


def _tie(gain: float, total: int) -> float:
    return TIE * abs(gain) + NOISE * total if gain > -torch.inf else 0.0
