"""How large the parts of tests/bench/gpu.sh are: on a card, and with --small."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch


class Size(NamedTuple):
    device: str
    ifd_rows: int  # Alpaca has 52,002
    ifd_oracle_rows: int
    ifd_parity_rows: int
    gpt2: dict
    texts: int
    words: int  # median of a text's
    released_texts: int
    parity_texts: int
    bert: dict
    vectors: int
    head_texts: int
    points: int
    picks: int
    hidden: int  # of the model that is trained
    layers: int
    rows: int
    questions: int


CARD = Size("cuda", 52_002, 300, 200, {}, 80_000, 75, 8192, 64, {}, 200_000, 4096, 10_400, 1040, 1024, 16, 512, 2000)
SMALL = Size(
    "cpu", 40, 4, 8, {"n_embd": 32, "n_layer": 1, "n_head": 2}, 40, 20, 20, 8,
    {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64},
    200, 16, 300, 20, 32, 1, 128, 6,
)  # fmt: skip


def seconds(work: Callable[[], Any], device: str) -> tuple[float, Any]:
    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    found = work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started, found
