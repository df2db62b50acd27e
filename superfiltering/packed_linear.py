"""A CPU model's linear layers with their weights laid out once for the matrix units.

torch chooses a layout anew at every product, and on AMD leaves the widest units unused; oneDNN, which torch carries,
takes a weight that was laid out before. GPT-2's activation joins the product in front of it.
"""

from typing import Any

import torch
from torch import nn
from transformers.activations import NewGELUActivation
from transformers.pytorch_utils import Conv1D

TOKENS = 512  # the layout is chosen for products of about so many tokens


class PackedLinear(nn.Module):
    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach().to(dtype).contiguous(), TOKENS)
        self.bias = None if bias is None else bias.detach().to(dtype)
        self.activation: tuple[str, list, str] = ("none", [], "")

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return torch.ops.mkldnn._linear_pointwise(states.to(self.dtype), self.packed, self.bias, *self.activation)


def can_pack(dtype: torch.dtype) -> bool:
    # Private operations of torch: another version may lack either.
    needed = ("_linear_pointwise", "_reorder_linear_weight")
    if not torch.backends.mkldnn.is_available() or not all(hasattr(torch.ops.mkldnn, name) for name in needed):
        return False
    supported = {torch.bfloat16: "_is_mkldnn_bf16_supported", torch.float16: "_is_mkldnn_fp16_supported"}
    return dtype is torch.float32 or getattr(torch.ops.mkldnn, supported[dtype])()


def pack_linears(model: nn.Module, dtype: torch.dtype, keep: Any) -> None:
    """In place; `keep` is the output head, whose weight the embedding may share. The model cannot be copied after."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Linear | Conv1D) and child is not keep:
                weight = child.weight.T if isinstance(child, Conv1D) else child.weight
                setattr(module, name, PackedLinear(weight, child.bias, dtype))
        widening = getattr(module, "c_fc", None)
        if isinstance(widening, PackedLinear) and isinstance(getattr(module, "act", None), NewGELUActivation):
            widening.activation, module.act = ("gelu", [], "tanh"), nn.Identity()
