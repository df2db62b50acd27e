"""AugCon's scorer: ours (sorted by length, the backbone's last layer alone) against the released way (4 rows a batch in
file order, padded right, all hidden layers and the vocabulary head computed), same model, same texts, same scores.

    python tests/bench/bench_scorer.py                     # about a minute; one core, in CPU seconds

A LLaMA with random weights and 50,000 words; Chinese texts as long as the nodes of a tree.
"""

import argparse
import random
import sys
import time
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

sys.path.insert(0, str(Path(__file__).parents[2]))
from augcon.scorer import Scorer, head_scores, pad_right, token_batches
from tests.bench import figures

PAD = 0


def lengths_of_nodes(count: int) -> list[int]:
    """Tokens of contexts of a halving tree of 500 characters, with their questions."""
    draw, sizes = random.Random(0), [500] + [250] * 2 + [125] * 4 + [62] * 8 + [31] * 16
    return [int(draw.choice(sizes) * draw.uniform(0.6, 0.75)) + draw.randint(25, 40) for _ in range(count)]


def released(model: LlamaForCausalLM, head: torch.Tensor, rows: list[list[int]]) -> list[float]:
    scores: list[float] = []
    for start in range(0, len(rows), 4):
        batch = pad_right(rows[start : start + 4], PAD)
        with torch.inference_mode():
            hidden = model(**batch, output_hidden_states=True).hidden_states[-1]
        scores += head_scores(hidden, batch["attention_mask"], head).tolist()
    return scores


class Ready:
    """A tokenizer for texts that are tokens already."""

    pad_token_id = PAD

    def __call__(self, texts: list[list[int]]) -> dict:
        return {"input_ids": texts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=60)
    figures.add_argument(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sizes = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 6, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=50_000, max_position_embeddings=1024, num_labels=1, pad_token_id=PAD, **sizes)
    whole = LlamaForCausalLM(config).eval()
    ours = LlamaForSequenceClassification(config).eval()
    ours.model.load_state_dict(whole.model.state_dict())
    draw, lengths = random.Random(1), lengths_of_nodes(args.texts)
    rows = [[draw.randrange(1, 50_000) for _ in range(length)] for length in lengths]
    scorer = Scorer(ours, Ready(), 0.0, False)

    started = time.process_time()
    slow = released(whole, ours.score.weight, rows)
    middle = time.process_time()
    fast = scorer.score(rows, 4096)
    ended = time.process_time()
    far = max(abs(one - other) for one, other in zip(slow, fast, strict=True))
    in_order = sum(4 * max(lengths[at : at + 4]) for at in range(0, len(lengths), 4)) / sum(lengths)
    batches = list(token_batches(lengths, 4096))
    sorted_ = sum(len(batch) * max(lengths[place] for place in batch) for batch in batches) / sum(lengths)
    before, after = middle - started, ended - middle
    print(f"{len(rows)} texts: released {before:.1f} s, ours {after:.1f} s: {before / after:.1f} x")
    print(f"scores differ by at most {far:.1e}")
    print(f"tokens with padding for one of a text: {in_order:.2f} in file order, {sorted_:.2f} sorted")
    what = "scores of texts by a 6-layer model with 50,000 words, against the released way"
    detail = f"{len(rows)} texts: {before:.1f} s, ours {after:.2f} s of one core; scores equal to {far:.0e}"
    padding = figures.figure("tokens computed for each real one", sorted_, "", 1.05, f"released {in_order:.2f}", True)
    figures.keep(args.json, "augcon", [figures.figure(what, before / after, goal=3, detail=detail), padding])


if __name__ == "__main__":
    main()
