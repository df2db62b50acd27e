"""Several scorers over the same texts: one pass of tokenizing where they cut alike, one of the encoder where it is the
same, whatever their heads and poolings.

    groups = group_scorers({"pooler": load_scorer("out/pooler/model"), "linear": load_scorer("out/linear/model")})
    scores, used = groups[0].score(ids, batch_tokens=2048)      # a row each text, a column each of groups[0].names
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edu_filter.encoder import Tokenizer, pooled, run_batches
from edu_filter.model import Scorer


@dataclass(slots=True)
class Group:
    """Scorers with one encoder."""

    tokenizer: Tokenizer
    members: dict[str, Scorer]

    @property
    def names(self) -> list[str]:
        return list(self.members)

    @property
    def device(self) -> torch.device:
        return self._first.device

    @property
    def _first(self) -> Scorer:
        return next(iter(self.members.values()))

    def score(self, ids: Sequence[Sequence[int]], batch_tokens: int) -> tuple[np.ndarray, int]:
        """Scores of token windows in their order, and the tokens a batch had in the end."""
        return run_batches(self._score_batch, ids, self.tokenizer.pad_id, batch_tokens, self.device)

    def _score_batch(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        if self._first.encoder is None:
            return self._first.score_batch(input_ids, attention_mask)[:, None]
        states = self._first.encoder.states(input_ids, attention_mask)
        members = self.members.values()
        return torch.stack([one.head(pooled(states, attention_mask, one.encoder.pooling)) for one in members], 1)


def group_scorers(scorers: Mapping[str, Scorer]) -> list[Group]:
    groups: list[Group] = []
    for name, scorer in scorers.items():
        same = next((group for group in groups if _cut_alike(group.tokenizer, scorer.tokenizer)), None)
        if same and (mine := next((group for group in groups if _same_encoder(group, scorer)), None)):
            mine.members[name] = scorer
            scorer.encoder.model = mine._first.encoder.model  # one in memory is enough
        else:
            groups.append(Group(same.tokenizer if same else scorer.tokenizer, {name: scorer}))
    return groups


def _cut_alike(first: Tokenizer, second: Tokenizer) -> bool:
    return first.max_length == second.max_length and first.rules is not None and first.rules == second.rules


def _same_encoder(group: Group, scorer: Scorer) -> bool:
    first, second = group._first.encoder, scorer.encoder
    if first is None or second is None or not _cut_alike(group.tokenizer, scorer.tokenizer):
        return False
    a, b = first.model.state_dict(), second.model.state_dict()
    return (
        type(first.model) is type(second.model)
        and a.keys() == b.keys()
        and all(map(torch.equal, a.values(), b.values()))
    )
