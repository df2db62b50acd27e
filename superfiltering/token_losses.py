"""How surprised a causal language model is by given stretches of text: the hot loop of IFD.

    scorer = load_scorer("gpt2", device="cuda", dtype="bf16")
    span_losses(scorer, [Piece(ids=[50256, 40, 716, 257], spans=[(1, 4)])], batch_tokens=8192)   # [[4.87]]

A piece is one run through the model; the loss of a span is the mean cross-entropy of its tokens, each predicted from
the tokens before it. What makes this fast: pieces of like length go together, so padding is rare (padding stands at
the right, where causal attention never looks, so no mask is needed and the fused attention kernel is used); logits
are computed for span tokens only, tile by tile, and never kept; on a GPU the device is waited for once, at the end;
on a CPU every core has batches of its own, and weights are laid out for it once.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.activations import NewGELUActivation
from transformers.pytorch_utils import Conv1D

from common.errors import BadInput, CommonError
from superfiltering.output_head import OutputHead
from superfiltering.packed_linear import can_pack, pack_linears

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PROBE_LENGTH = 8


class Piece(NamedTuple):
    ids: list[int]
    spans: list[tuple[int, int]]  # token positions [start, end), start >= 1


class Scorer(NamedTuple):
    model: Any
    tokenizer: Any
    device: torch.device
    dtype: torch.dtype
    head: OutputHead


def load_scorer(
    model_name_or_path: str, device: str = "cpu", dtype: str = "fp32", trust_remote_code: bool = False
) -> Scorer:
    try:
        tokenizer = AutoTokenizer.from_pretrained(model_name_or_path, trust_remote_code=trust_remote_code)
        model = AutoModelForCausalLM.from_pretrained(
            model_name_or_path, dtype=torch.float32, trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise BadInput(f"{model_name_or_path}: cannot be loaded as a causal language model: {error}") from error
    if not tokenizer.is_fast:
        raise BadInput(f"{model_name_or_path}: its tokenizer gives no character offsets; a fast tokenizer is needed")
    return prepare_scorer(model, tokenizer, device, dtype)


def prepare_scorer(model: Any, tokenizer: Any, device: str = "cpu", dtype: str = "fp32") -> Scorer:
    """Takes the model over. bf16 and fp16 are for its matrix products; residual stream, norms and losses are fp32."""
    where, kind = torch.device(device), DTYPES[dtype]
    model = model.eval()
    _check_head(model)
    head = model.get_output_embeddings()
    if where.type == "cpu" and can_pack(kind):
        pack_linears(model, kind, keep=head)
    else:
        _fuse_gelu(model)
        for module in model.modules():
            if isinstance(module, torch.nn.Linear | Conv1D) and module is not head:
                module.to(kind)  # before the model moves: half the room on a GPU
    model = model.to(where)
    return Scorer(model, tokenizer, where, kind, OutputHead(model, where, kind))


def span_losses(scorer: Scorer, pieces: list[Piece], batch_tokens: int) -> list[list[float]]:
    """The mean loss of every span of every piece, in order; an empty span has none (NaN)."""
    batches = list(length_sorted_batches([len(piece.ids) for piece in pieces], batch_tokens))
    if scorer.device.type == "cpu":
        losses = _on_cores(scorer, [[pieces[i] for i in batch] for batch in batches])
    else:
        batches, losses = _on_gpu(scorer, pieces, batches)
    values = torch.cat([torch.zeros(0), *losses]).double().numpy()
    if not np.isfinite(values).all():
        raise CommonError(f"{scorer.dtype} cannot hold a number in this model; use --dtype bf16 or fp32")
    return _means(pieces, [index for batch in batches for index in batch], values)


def _on_cores(scorer: Scorer, batches: list[list[Piece]]) -> list[torch.Tensor]:
    """A batch runs on one core: cores never wait for each other, and their number never changes a result."""
    cores = torch.get_num_threads()
    pool = ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,))
    try:
        return list(pool.map(lambda batch: _batch_losses(scorer, batch), batches))
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(cores)


def _on_gpu(
    scorer: Scorer, pieces: list[Piece], batches: list[list[int]]
) -> tuple[list[list[int]], list[torch.Tensor]]:
    """The batches as they were run, and their losses: one that does not fit is halved."""
    pending, done, losses = batches[::-1], [], []
    while pending:
        batch = pending.pop()
        try:
            losses.append(_batch_losses(scorer, [pieces[i] for i in batch]))
            done.append(batch)
        except torch.cuda.OutOfMemoryError:
            if len(batch) == 1:
                raise CommonError(
                    f"{len(pieces[batch[0]].ids):,} tokens do not fit on {scorer.device}: lower --max_length"
                ) from None
            torch.cuda.empty_cache()
            pending += [batch[len(batch) // 2 :], batch[: len(batch) // 2]]
    return done, [part.cpu() for part in losses]


def length_sorted_batches(lengths: list[int], batch_tokens: int) -> Iterator[list[int]]:
    """Indices, longest first, cut so that a batch padded to its longest piece stays within `batch_tokens`."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


@torch.inference_mode()
def _batch_losses(scorer: Scorer, pieces: list[Piece]) -> torch.Tensor:
    """The loss of every span token, piece by piece, span by span."""
    width = max(1, max(len(piece.ids) for piece in pieces) - 1)  # nothing is predicted from the last token
    inputs = np.zeros((len(pieces), width), dtype=np.int64)
    sources: list[np.ndarray] = []
    targets: list[int] = []
    for row, piece in enumerate(pieces):
        inputs[row, : len(piece.ids) - 1] = piece.ids[:-1]
        for start, end in piece.spans:
            sources.append(np.arange(start, end) + (row * width - 1))
            targets += piece.ids[start:end]
    if not targets:
        return torch.zeros(0)

    def on_device(array: Any) -> torch.Tensor:
        return torch.as_tensor(array).to(scorer.device, non_blocking=True)

    with _low_precision(scorer):
        states = scorer.model.base_model(input_ids=on_device(inputs), use_cache=False).last_hidden_state
    chosen = states.flatten(0, 1)[on_device(np.concatenate(sources))]
    return scorer.head.losses(chosen, on_device(targets))


def _means(pieces: list[Piece], order: list[int], losses: np.ndarray) -> list[list[float]]:
    means: list[list[float]] = [[] for _ in pieces]
    at = 0
    for index in order:
        for start, end in pieces[index].spans:
            length = max(0, end - start)
            means[index].append(float(losses[at : at + length].mean()) if length else float("nan"))
            at += length
    return means


def _low_precision(scorer: Scorer) -> AbstractContextManager:
    return nullcontext() if scorer.dtype is torch.float32 else torch.autocast(scorer.device.type, scorer.dtype)


def _fuse_gelu(model: Any) -> None:
    """GPT-2's activation is written out as eight elementwise operations; torch has the same function in one."""
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(module, name, torch.nn.GELU(approximate="tanh"))


@torch.inference_mode()
def _check_head(model: Any) -> None:
    """A family that makes its logits in a way not known to OutputHead must not be scored wrongly."""
    head = OutputHead(model, torch.device("cpu"), torch.float32)
    ids = torch.linspace(0, len(head.weight) - 1, PROBE_LENGTH, dtype=torch.long)[None]
    logits = model(input_ids=ids, use_cache=False).logits[0, :-1]
    states = model.base_model(input_ids=ids, use_cache=False).last_hidden_state[0, :-1]
    expected = F.cross_entropy(logits, ids[0, 1:], reduction="none")
    if not torch.allclose(head.losses(states, ids[0, 1:]), expected, rtol=1e-3, atol=1e-3):
        raise BadInput(
            f"{model.config.model_type}: this family turns hidden states into logits in a way not known here; "
            "use another scorer"
        )
