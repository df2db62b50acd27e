"""Greedy facility location: pick rows so that every row of the data has a similar one among those picked.

    facility_location(embeddings, 1040)        # indices in the order they are picked

Each pick adds the most to  f(S) = sum over all rows i of max over picked j of similarity(i, j).  What a row would add
only falls as the selection grows, so what it would have added earlier bounds what it adds now. As released (submodlib's
LazyGreedy) a heap holds the bounds: the highest is taken off, the largest index first among equals, and computed
again; if it still reaches the next bound the row is picked, if not it goes back. Which of several equal rows wins
depends on that order, so it is kept; what the rows at the top of the heap would add is computed ahead, for a block of
them at once, and used only when their turn comes.

The paper's similarity, exp(-euclidean distance / dimension), lies between 0.995 and 1 for unit vectors of 384
dimensions. It is held in fp32 as released, so that rows are equal there which are equal here; sums are fp64.
"""

import heapq
from collections.abc import Callable

import numpy as np
import torch

MATRIX_BYTES = 1_200_000_000  # all n² similarities are kept if they fit: up to about 17,000 rows
TILE = {"cpu": 1 << 18, "cuda": 1 << 26}  # similarities at a time: what stays in a core's cache, what fills a GPU
FIRST_BLOCK, LARGEST_BLOCK = 8, 256  # rows of the heap looked at together, twice as many each time
SAME = 1e-14  # squared distance, as a part of the squared lengths, below which two rows are one

Similar = Callable[[torch.Tensor], torch.Tensor]  # similarities of some rows, given by index, to all rows


def facility_location(
    points: np.ndarray,
    count: int,
    similarity: str = "euclidean",
    device: str = "cpu",
    matrix_bytes: int = MATRIX_BYTES,
) -> list[int]:
    total = len(points)
    similar = similar_rows(torch.as_tensor(points, dtype=torch.float32, device=device), similarity)
    blocks = torch.arange(total, device=device).split(_block_size(total, device))
    if total * total * 4 <= matrix_bytes:
        similar = _all_rows(similar, blocks, total)
    nearest = torch.zeros(total, device=device)  # similarity to the nearest row picked
    gains = [gain for block in blocks for gain in _gains(similar, block, nearest)]
    heap = [(-gain, -index) for index, gain in enumerate(gains)]
    heapq.heapify(heap)
    picked: list[int] = []
    while len(picked) < min(count, total):
        picked.append(_take_best(heap, similar, nearest))
        nearest = torch.maximum(nearest, similar(torch.tensor(picked[-1:], device=device))[0])
    return picked


def similar_rows(points: torch.Tensor, similarity: str) -> Similar:
    """Computed when asked for. Distances in fp64, because those of near rows are what is left of the products."""
    points = points.double()
    if similarity == "cosine":
        points = points / points.norm(dim=1, keepdim=True).clamp_min(1e-300)
        return lambda block: (points[block] @ points.T).float()
    squares = (points * points).sum(1)

    def euclidean(block: torch.Tensor) -> torch.Tensor:
        scale = squares[block, None] + squares
        distances = (points[block] @ points.T).mul_(-2).add_(scale)
        distances[distances < scale.mul_(SAME)] = 0
        distances[torch.arange(len(block), device=block.device), block] = 0
        return distances.sqrt_().div_(-points.shape[1]).exp_().float()

    return euclidean


def _all_rows(similar: Similar, blocks: tuple[torch.Tensor, ...], total: int) -> Similar:
    everything = torch.empty(total, total, device=blocks[0].device)
    for block in blocks:
        everything[block] = similar(block)
    return everything.__getitem__


def _take_best(heap: list[tuple[float, int]], similar: Similar, nearest: torch.Tensor) -> int:
    """Takes the row off the heap that adds most to what `nearest` says of those picked."""
    now: dict[int, float] = {}  # what rows add, computed ahead
    size = FIRST_BLOCK
    while True:
        _, index = top = heapq.heappop(heap)
        if index not in now:
            limit = min(size, len(heap) + 1, _block_size(len(nearest), nearest.device.type))
            ahead = [top, *(heapq.heappop(heap) for _ in range(limit - 1))]
            block = torch.tensor([-index for _, index in ahead], device=nearest.device)
            now |= zip((index for _, index in ahead), _gains(similar, block, nearest), strict=True)
            for entry in ahead[1:]:
                heapq.heappush(heap, entry)
            size = min(2 * size, LARGEST_BLOCK)
        if not heap or now[index] >= -heap[0][0]:
            return -index
        heapq.heappush(heap, (-now[index], index))


def _gains(similar: Similar, block: torch.Tensor, nearest: torch.Tensor) -> list[float]:
    return (similar(block) - nearest).clamp_min_(0).sum(1, dtype=torch.float64).tolist()


def _block_size(total: int, device: str) -> int:
    return max(1, TILE[torch.device(device).type] // max(1, total))
