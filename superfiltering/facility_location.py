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
TILE = {"cpu": 1 << 18, "cuda": 1 << 26}  # similarities at a time: what stays in a core's cache, what fills a GPU
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
    unlike = Unlikeness(torch.as_tensor(points, dtype=torch.float64, device=device), similarity)
    if total * total * 8 <= matrix_bytes:
        unlike = unlike.matrix()
    picked: list[int] = []
    nearest = torch.ones(total, dtype=torch.float64, device=device)  # 1 - similarity to the nearest row picked
    bounds = torch.full((total,), torch.inf, dtype=torch.float64, device=device)
    while len(picked) < min(count, total):
        best = _best_candidate(unlike, nearest, bounds, first=not picked)
        picked.append(best)
        row = unlike[torch.tensor([best], device=device), :][0]
        if len(picked) == 1:
            nearest = row.clone()
            bounds.fill_(torch.inf)  # the whole similarity counted for the first pick, only its growth does from now on
        else:
            nearest = torch.minimum(nearest, row)
        bounds[best] = -torch.inf
    return picked


class Unlikeness:
    """1 - similarity of some rows to others, computed when it is asked for: unlike[indices, from:to]."""

    def __init__(self, points: torch.Tensor, similarity: str) -> None:
        self.cosine = similarity == "cosine"
        self.points = points / points.norm(dim=1, keepdim=True).clamp_min(1e-300) if self.cosine else points
        self.squares = (points * points).sum(1)

    def __getitem__(self, place: tuple[torch.Tensor, slice]) -> torch.Tensor:
        block, part = place
        products = self.points[block] @ self.points[part].T
        if self.cosine:
            return 1 - products
        scale = self.squares[block, None] + self.squares[part]
        distances = products.mul_(-2).add_(scale)
        distances[distances < scale.mul_(SAME)] = 0
        return distances.sqrt_().div_(-self.points.shape[1]).expm1_().neg_()

    def matrix(self) -> torch.Tensor:
        everything = torch.empty(len(self.points), len(self.points), dtype=torch.float64, device=self.points.device)
        for block in torch.arange(len(self.points), device=self.points.device).split(256):
            everything[block] = self[block, :]
        return everything


def _best_candidate(unlike: Unlikeness | torch.Tensor, nearest: torch.Tensor, bounds: torch.Tensor, first: bool) -> int:
    """The row that adds most; looks at candidates in the order of their bounds until no bound can beat the best."""
    order = bounds.argsort(descending=True, stable=True)
    best = -torch.inf
    seen = []
    for block in _growing_blocks(order):
        if bounds[block[0]] < best - _tie(best, len(bounds)):
            break
        block = block[bounds[block] > -torch.inf]
        if len(block):
            bounds[block] = _gains(unlike, block, nearest, first)
            best = max(best, float(bounds[block].max()))
        seen.append(block)
    looked_at = torch.cat(seen)
    return int(looked_at[bounds[looked_at] >= best - _tie(best, len(bounds))].min())


def _gains(unlike: Unlikeness | torch.Tensor, block: torch.Tensor, nearest: torch.Tensor, first: bool) -> torch.Tensor:
    """What each candidate of a block would add, a tile of the other rows at a time."""
    gains = torch.zeros(len(block), dtype=torch.float64, device=nearest.device)
    width = max(1, TILE[nearest.device.type] // len(block))
    for start in range(0, len(nearest), width):
        part = slice(start, start + width)
        costs = unlike[block, part]
        gains += (1 - costs).sum(1) if first else (nearest[part] - costs).clamp_min_(0).sum(1)
    return gains


def _growing_blocks(order: torch.Tensor) -> Iterator[torch.Tensor]:
    start, size = 0, FIRST_BLOCK
    while start < len(order):
        yield order[start : start + size]
        start, size = start + size, min(2 * size, LARGEST_BLOCK)


def _tie(gain: float, total: int) -> float:
    return TIE * abs(gain) + NOISE * total if gain > -torch.inf else 0.0
