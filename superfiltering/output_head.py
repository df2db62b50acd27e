"""From a model's last hidden states to -log p(token), with a small part of the logits in memory at a time.

In bf16 and fp16 the logit of the token itself is computed in fp32 all the same: its rounding would go straight into the
loss, while that of thousands of others averages out. On a CPU, whose products come out rounded, so is the largest.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from superfiltering.packed_linear import PackedLinear, can_pack

# A tile of logits should stay in a CPU's cache; on a GPU it should be large enough to keep it busy.
CPU_TILE_WORDS = 4096
GPU_TILE_LOGITS = 1 << 28


class OutputHead:
    def __init__(self, model: Any, device: torch.device, dtype: torch.dtype) -> None:
        head = model.get_output_embeddings()
        bias = getattr(head, "bias", None)
        self.exact = head.weight.detach()  # vocabulary x width
        self.bias = None if bias is None else bias.detach().float()
        self.change = logit_change(model.config)
        self.device, self.dtype = device, dtype
        # The loss does not change when all logits move together, and small numbers keep more digits in bf16.
        self.middle = self.exact.mean(0) if self.change is None else torch.zeros_like(self.exact[0])
        self.weight = self.exact if dtype is torch.float32 else (self.exact - self.middle).to(dtype)
        self.tiles = None
        if device.type == "cpu" and can_pack(dtype):
            self.tiles = [PackedLinear(part, None, dtype) for part in self.weight.split(CPU_TILE_WORDS)]

    def losses(self, states: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """-log p(target | state) in fp32."""
        if self.device.type == "cpu":
            return self._losses_by_words(states, targets)
        step = max(1, GPU_TILE_LOGITS // len(self.weight))
        return torch.cat(
            [
                self._losses_by_tokens(states[at : at + step], targets[at : at + step])
                for at in range(0, len(targets), step)
            ]
        )

    def _losses_by_tokens(self, states: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = self._logits(states.to(self.dtype), 0, len(self.weight))
        logits.scatter_(1, targets[:, None], self._own_logits(states, targets)[:, None])
        return F.cross_entropy(logits, targets, reduction="none")

    def _losses_by_words(self, states: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """log-sum-exp over tiles of the vocabulary: exp and sum run in cache, whole rows would go through memory."""
        own = self._own_logits(states, targets)
        low = states.to(self.dtype)
        top = torch.full((len(targets),), -torch.inf)
        top_word = torch.zeros_like(targets)
        total = torch.zeros(len(targets))
        buffer = torch.empty(len(targets) * CPU_TILE_WORDS)  # one for all tiles: fresh memory is slow to touch
        for start in range(0, len(self.weight), CPU_TILE_WORDS):
            logits = self._logits(low, start, start + CPU_TILE_WORDS)
            if logits.dtype is not torch.float32:
                logits = buffer[: logits.numel()].view_as(logits).copy_(logits)
            here = ((targets >= start) & (targets < start + CPU_TILE_WORDS)).nonzero()[:, 0]
            logits[here, targets[here] - start] = own[here]
            word = torch.from_numpy(np.argmax(logits.numpy(), 1))  # ten times as fast as torch's
            largest = logits.gather(1, word[:, None])[:, 0]
            top_word = torch.where(largest > top, word + start, top_word)
            new_top = torch.maximum(top, largest)
            total *= (top - new_top).exp()
            total += logits.sub_(new_top[:, None]).exp_().sum(1)
            top = new_top
        total += (self._own_logits(states, top_word) - top).exp_() - 1  # the largest logit again, in fp32
        return total.log_().add_(top).sub_(own)

    def _own_logits(self, states: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        weight = self.exact[targets]
        if self.dtype is not torch.float32:
            weight = weight - self.middle
        logits = (states.float() * weight).sum(1)
        return self._finished(logits, None if self.bias is None else self.bias[targets])

    def _logits(self, states: torch.Tensor, start: int, end: int) -> torch.Tensor:
        """For words [start, end); in fp32, but for what a CPU's products give."""
        if self.tiles:
            logits = self.tiles[start // CPU_TILE_WORDS](states)
            logits = logits.float() if self.change else logits
        elif self.device.type == "cuda" and self.dtype is not torch.float32:
            logits = torch.mm(states, self.weight[start:end].T, out_dtype=torch.float32)
        else:
            logits = (states @ self.weight[start:end].T).float()
        return self._finished(logits, None if self.bias is None else self.bias[start:end])

    def _finished(self, logits: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        if bias is not None:
            logits = logits + bias
        return logits if self.change is None else self.change(logits)


def logit_change(config: Any) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """Gemma caps its logits, Cohere and Granite scale them."""
    if cap := getattr(config, "final_logit_softcapping", None):
        return lambda logits: torch.tanh(logits / cap) * cap
    if (scale := getattr(config, "logit_scale", None)) is not None:
        return lambda logits: logits * scale
    if (scaling := getattr(config, "logits_scaling", None)) is not None:
        return lambda logits: logits / scaling
    return None
