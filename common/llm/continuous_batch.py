"""Texts that a language model goes on with, many in one batch: each joins when there is room, and leaves when it ends.

    batch = ContinuousBatch(*load("models/SmolLM2-135M-Instruct"), rows=64, batch_tokens=8192)
    row = Row(batch.tokenizer.encode("Once"), max_tokens=20)
    while not row.finish_reason:
        batch.advance([row] if row not in batch.rows else [])
    print(row.text)

Rows stand side by side, padded on the left, over one cache of transformers'; one pass gives one token to each. A row's
tokens are chosen from its own logits with its own random numbers, whoever stands beside it.
"""

import random
from dataclasses import dataclass, field
from typing import Any

from common.errors import BadInput
from common.training import hush_bars

LIKELIEST = 256  # tokens that are looked at first for top_p: sorting a whole vocabulary takes milliseconds


@dataclass(eq=False, slots=True)
class Row:
    """A prompt as token ids, how to sample, and what was written so far."""

    prompt: list[int]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    stops: list[str] = field(default_factory=list)
    draw: random.Random = field(default_factory=random.Random)
    written: list[int] = field(default_factory=list)
    text: str = ""
    finish_reason: str = ""  # empty: not yet
    abandoned: bool = False  # nobody waits for it any more


def load(folder: str, dtype: str = "auto", device: str | None = None) -> tuple[Any, Any]:
    """Model and tokenizer; auto: bf16 where the processor multiplies it, else fp32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    hush_bars()
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    fast = device != "cpu" or torch.cpu.get_capabilities().get("amx_bf16", False)
    kind = {"auto": torch.bfloat16 if fast else torch.float32, "bf16": torch.bfloat16, "fp32": torch.float32}[dtype]
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        options = {"dtype": kind, "attn_implementation": grouped_attention_name()}
        model = AutoModelForCausalLM.from_pretrained(folder, **options).to(device).eval()
    except (OSError, ValueError) as error:
        raise BadInput(f"--model {folder}: {error}") from None
    return model, tokenizer


def grouped_attention_name() -> str:
    """torch's attention, but for one new token a row, where query heads that share a key stand side by side instead of
    the keys being copied for each: those copies take a third of the time."""
    from torch.nn.functional import scaled_dot_product_attention
    from transformers import AttentionInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    usual = ALL_ATTENTION_FUNCTIONS["sdpa"]

    def grouped(module: Any, query: Any, key: Any, value: Any, mask: Any, scaling: Any = None, **more: Any) -> Any:
        rows, heads, tokens, size = query.shape
        if tokens > 1:
            return usual(module, query, key, value, mask, scaling=scaling, **more)
        query = query.view(rows, key.shape[1], heads // key.shape[1], size)
        found = scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)
        return found.reshape(rows, 1, heads, size), None

    AttentionInterface.register("grouped", grouped)
    AttentionMaskInterface.register("grouped", ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
    return "grouped"


class ContinuousBatch:
    def __init__(self, model: Any, tokenizer: Any, rows: int, batch_tokens: int) -> None:
        import torch
        from transformers.cache_utils import DynamicCache, DynamicLayer

        if any(type(layer) is not DynamicLayer for layer in DynamicCache(config=model.config).layers):
            raise BadInput("a model with other than full attention in some layer: `transformers serve` serves it")
        self.torch, self.model, self.tokenizer = torch, model, tokenizer
        self.most_rows, self.batch_tokens = rows, batch_tokens
        ends = model.generation_config.eos_token_id
        self.ends = {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])}
        self.rows: list[Row] = []
        self.cache: Any = None
        self.mask: Any = None  # rows x tokens in the cache: 0 is padding

    def advance(self, waiting: list[Row]) -> list[Row]:
        """One token for each row, after those of `waiting` that fit have joined; gives the rows that ended."""
        ended = []
        with self.torch.inference_mode():
            self._leave()
            if self.rows:
                ended += self._append(self.rows, self._next_logits())
                self._leave()
            joining = self._that_fit(waiting)
            if joining:
                ended += self._append(joining, self._join(joining))
                self._leave()
        return ended

    def _that_fit(self, waiting: list[Row]) -> list[Row]:
        """Of `waiting` the first ones that have room, and that a pass over their prompts can hold; taken out of it."""
        count = longest = 0
        for row in waiting[: max(0, self.most_rows - len(self.rows))]:
            longest = max(longest, len(row.prompt))
            if count and longest * (count + 1) > self.batch_tokens:
                break
            count += 1
        joining = waiting[:count]
        del waiting[:count]
        return [row for row in joining if not row.abandoned]

    def _join(self, rows: list[Row]) -> Any:
        """Read the prompts and put them beside the rows that are there; gives the logits after each prompt."""
        torch = self.torch
        length = max(len(row.prompt) for row in rows)
        padding = [length - len(row.prompt) for row in rows]
        ids = torch.tensor([[0] * pad + row.prompt for pad, row in zip(padding, rows, strict=True)])
        mask = torch.tensor([[0] * pad + [1] * (length - pad) for pad in padding])
        logits, cache = self._forward(ids, mask, None)
        if self.rows:
            wider = max(mask.shape[1], self.mask.shape[1])
            mask = torch.cat([_widened(self.mask, wider, dim=1), _widened(mask, wider, dim=1)])
            for layer, new in zip(self.cache.layers, cache.layers, strict=True):
                layer.keys = torch.cat([_widened(one, wider, dim=2) for one in (layer.keys, new.keys)])
                layer.values = torch.cat([_widened(one, wider, dim=2) for one in (layer.values, new.values)])
        else:
            self.cache = cache
        self.mask = mask
        self.rows += rows
        return logits

    def _next_logits(self) -> Any:
        torch = self.torch
        ids = torch.tensor([[row.written[-1]] for row in self.rows])
        self.mask = torch.cat([self.mask, torch.ones_like(self.mask[:, :1])], dim=1)
        return self._forward(ids, self.mask, self.cache)[0]

    def _forward(self, ids: Any, mask: Any, cache: Any) -> tuple[Any, Any]:
        places = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        device = self.model.device
        done = self.model(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            position_ids=places.to(device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return done.logits[:, -1].float().cpu(), done.past_key_values

    def _append(self, rows: list[Row], logits: Any) -> list[Row]:
        likeliest = logits.argmax(1).tolist()
        for place, row in enumerate(rows):
            token = self._sample(logits[place], row) if row.temperature > 0 else likeliest[place]
            row.written.append(token)
            self._end_where_due(row, token)
        return [row for row in rows if row.finish_reason]

    def _sample(self, logits: Any, row: Row) -> int:
        """From the likeliest tokens whose shares reach top_p, by one random number of the row."""
        torch = self.torch
        shares, tokens = torch.softmax(logits / row.temperature, 0), None
        if row.top_p < 1:
            best, tokens = shares.topk(min(LIKELIEST, len(shares)))
            if best.sum() < row.top_p:
                best, tokens = shares.sort(descending=True)
            shares = best[: int((best.cumsum(0) < row.top_p).sum()) + 1]
        sums = shares.cumsum(0)
        place = int(torch.searchsorted(sums, row.draw.random() * float(sums[-1])))
        place = min(place, len(sums) - 1)
        return place if tokens is None else int(tokens[place])

    def _end_where_due(self, row: Row, token: int) -> None:
        if token in self.ends:
            row.finish_reason = "stop"
        elif len(row.written) >= row.max_tokens:
            row.finish_reason = "length"
        if row.stops or row.finish_reason:
            row.text = self.tokenizer.decode(row.written, skip_special_tokens=True)
            cuts = [row.text.find(stop) for stop in row.stops if stop in row.text]
            if cuts:
                row.text, row.finish_reason = row.text[: min(cuts)], "stop"

    def _leave(self) -> None:
        """Rows that ended, and the padding that no other row needs."""
        kept = [place for place, row in enumerate(self.rows) if not (row.finish_reason or row.abandoned)]
        if len(kept) == len(self.rows):
            return
        self.rows = [self.rows[place] for place in kept]
        if not kept:
            self.cache = self.mask = None
            return
        mask = self.mask[kept]
        first = int(mask.any(0).int().argmax())
        self.mask = mask[:, first:]
        for layer in self.cache.layers:
            layer.keys, layer.values = layer.keys[kept, :, first:], layer.values[kept, :, first:]


def _widened(tensor: Any, length: int, dim: int) -> Any:
    """Zeros in front along that dimension."""
    import torch

    missing = length - tensor.shape[dim]
    zeros = tensor.new_zeros([*tensor.shape[:dim], missing, *tensor.shape[dim + 1 :]])
    return torch.cat([zeros, tensor], dim)
