"""AugCon in miniature: questions of a real small model without a server, and what ranking and filtering them gives.

    python augcon/small_world.py grow --model_name_or_path models/SmolLM2-135M-Instruct --save_path out/questions.jsonl
    python augcon/small_world.py split --data_path out/questions.jsonl --seed 1 --save_path out/seed1/pairs.jsonl
    python augcon/small_world.py figures --data_path out/questions.jsonl --seed 1 \
        --model_name_or_path out/seed1/scorer --save_path out/seed1/figures.json

The corpus is English prose that every Python brings along: its language reference. A model of 135 million parameters
does not keep the form of a tree, so the split is the paper's mechanical one, the parts of the prompts' examples are
left out, and of what the model writes the first line is taken. Each context is asked about twice with step 1's good
prompt, as when a root's trees are grown again, and once with one of the three worse ones.

in   nothing but the model's folder
out  grow: {"root", "quota", "context", "prompt", "question"}, a row a question; split: pairs of most of the roots, as
     step 1 writes them; figures: of the roots held out, a row for each way of ranking
"""

import argparse
import json
import random
import re
import sys
from collections.abc import Iterable
from itertools import chain, combinations, pairwise
from pathlib import Path
from statistics import mean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from augcon import corpus
from augcon.context_tree import context_words, halves, quota
from augcon.prompts import BLOCKS, tree_template
from augcon.question_filter import THRESHOLD, filter_ranked, rank, rouge_l, words
from augcon.scorer_pairs import WORSE_PROMPTS, too_alike
from augcon.tree_answer import strip_cue
from common.program import make_parser, positive, progress, run_main
from common.rows import input_files, read_rows, refuse_overlap, write_rows, write_text
from common.training import hush_bars

GOOD = "tree"
SHORTEST = 60  # characters of a context that is asked about
LONGEST_QUESTION = 24  # tokens
HELD_OUT = 0.4  # of the roots
RANKINGS = ("scorer", "longest question", "words from the context", "a draw")


def paragraphs() -> list[str]:
    """Of the language reference: running text without code."""
    from pydoc_data.topics import topics

    found = []
    for text in topics.values():
        for block in re.split(r"\n\s*\n", text):
            line = " ".join(block.replace("*", "").split())
            if 250 < len(line) < 500 and not re.search(r"[{}<>=|_`\\^]|::|>>>", line) and line.endswith("."):
                found.append(line)
    return sorted(set(found))


def contexts_of(context: str) -> list[str]:
    """Of the mechanical tree, in preorder."""
    if len(context) < SHORTEST:
        return []
    return [context, *chain(*(contexts_of(part) for part in halves(context) if len(part) < len(context)))]


# ---- the model -------------------------------------------------------------------------------------------------------


def question_prompt(kind: str) -> str:
    """Step 1's, whose examples end with the question."""
    instruction, form, *examples, query = tree_template(kind, "en").split(BLOCKS)
    return BLOCKS.join([instruction, *(block.partition("\n\nContext 1:")[0] for block in [form, *examples]), query])


class Asker:
    """A local model that goes on from a prompt. What all prompts begin with is read once, and looked at where it lies:
    a copy of it for each row would be most of the work."""

    def __init__(self, folder: str, batch_size: int, seed: int) -> None:
        import torch
        from transformers import AttentionInterface, AttentionMaskInterface, AutoModelForCausalLM, AutoTokenizer
        from transformers.masking_utils import eager_mask

        hush_bars()
        torch.manual_seed(seed)
        self.torch, self.batch_size = torch, batch_size
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
        AttentionInterface.register("after_prefix", self._attend)
        AttentionMaskInterface.register("after_prefix", eager_mask)

    def questions(self, contexts: list[str], kind: str) -> list[str]:
        """In the order of the contexts; those of like length are asked about together."""
        before, _, after = question_prompt(kind).partition("{context}")
        order = sorted(range(len(contexts)), key=lambda place: len(contexts[place]))
        found = [""] * len(contexts)
        with self.torch.inference_mode():
            self.model.set_attn_implementation("sdpa")
            prefix = self.tokenizer(before, return_tensors="pt")["input_ids"]
            self._prefix = self.model(prefix, use_cache=True, logits_to_keep=1).past_key_values
            self.model.set_attn_implementation("after_prefix")
            for start in progress(range(0, len(order), self.batch_size), desc=kind, unit="batch"):
                places = order[start : start + self.batch_size]
                for place, question in zip(places, self._batch([contexts[at] + after for at in places]), strict=True):
                    found[place] = question
        return found

    def _batch(self, texts: list[str]) -> list[str]:
        from transformers import DynamicCache

        torch, pad = self.torch, self.tokenizer.eos_token_id
        rows = [self.tokenizer(text)["input_ids"] for text in texts]
        longest = max(map(len, rows))
        ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows])
        seen = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
        at, cache, written = (seen.cumsum(1) - 1).clamp(min=0) + self._prefix.get_seq_length(), DynamicCache(), []
        for _ in range(LONGEST_QUESTION):
            options = {"attention_mask": seen, "position_ids": at, "past_key_values": cache, "logits_to_keep": 1}
            logits = self.model(ids, **options).logits[:, -1].float()
            ids = torch.multinomial((logits / 0.85).softmax(-1), 1)  # step 1's temperature
            written.append(ids)
            seen, at = torch.cat([seen, torch.ones_like(ids)], 1), at[:, -1:] + 1
        answers = self.tokenizer.batch_decode(torch.cat(written, 1), skip_special_tokens=True)
        return [strip_cue(answer.strip().split("\n")[0]) for answer in answers]

    def _attend(self, module: Any, query: Any, key: Any, value: Any, mask: Any, scaling: float, **_: Any) -> tuple:
        """Attention to the prefix, which all rows share, and to a row's own tokens."""
        torch, layer = self.torch, self._prefix.layers[module.layer_idx]
        rows = query.unflatten(1, (key.shape[1], -1))  # row, group of heads, head, token, number
        shape = (len(rows), *rows.shape[2:4])

        def with_prefix(tensor: Any, numbers: Any) -> Any:
            """One product a group, over all rows at once."""
            return (tensor.transpose(0, 1).flatten(1, 3) @ numbers).unflatten(1, shape).transpose(0, 1)

        before = with_prefix(rows, layer.keys[0].transpose(1, 2))
        own = rows @ key.unsqueeze(2).transpose(-1, -2)
        own = own if mask is None else own + mask.unsqueeze(2)
        weights = (torch.cat([before, own], -1) * scaling).softmax(-1)
        size = before.shape[-1]
        found = with_prefix(weights[..., :size], layer.values[0]) + weights[..., size:] @ value.unsqueeze(2)
        return found.flatten(1, 2).transpose(1, 2).contiguous(), None


def grow(args: argparse.Namespace) -> None:
    roots = random.Random(args.seed).sample(paragraphs(), args.roots)
    nodes = [
        (root, context)
        for root, text in enumerate(roots)
        for part in corpus.roots(text)
        for context in contexts_of(part)
    ]
    asker = Asker(args.model_name_or_path, args.batch_size, args.seed)
    asked = [(GOOD, nodes), (GOOD, nodes)]
    asked += [(worse, nodes[kind :: len(WORSE_PROMPTS)]) for kind, worse in enumerate(WORSE_PROMPTS)]
    rows = []
    for prompt, those in asked:
        questions = asker.questions([context for _, context in those], prompt)
        for (root, context), question in zip(those, questions, strict=True):
            facts = {"root": root, "quota": quota(roots[root]), "context": context, "prompt": prompt}
            rows.append(facts | {"question": question})
    write_rows(args.save_path, sorted((row for row in rows if len(row["question"]) >= 5), key=lambda row: row["root"]))
    print(f"{args.save_path}: {len(roots)} roots, {len(nodes)} contexts, {len(rows)} questions")


# ---- what is learned from and what is held out -----------------------------------------------------------------------


def halves_of(path: str, seed: int) -> tuple[list[dict], list[dict]]:
    """Rows of the roots that are learned from, and of those held out."""
    rows = list(read_rows(path))
    roots = sorted({row["root"] for row in rows})
    held_out = set(random.Random(seed).sample(roots, round(HELD_OUT * len(roots))))
    return [row for row in rows if row["root"] not in held_out], [row for row in rows if row["root"] in held_out]


def pairs_of(rows: Iterable[dict]) -> list[dict]:
    """As step 1's: the first good question of a context against its worse one, unless they are nearly the same."""
    good, pairs = {}, []
    for row in rows:
        if row["prompt"] == GOOD:
            good.setdefault(row["context"], row["question"])
        elif (question := good.get(row["context"])) and not too_alike(question, row["question"], THRESHOLD):
            pairs.append({"context": row["context"], "pos_query": question, "neg_query": row["question"]})
    return pairs


def split(args: argparse.Namespace) -> None:
    refuse_overlap(input_files(args.data_path), [args.save_path])
    write_rows(args.save_path, pairs_of(halves_of(args.data_path, args.seed)[0]))


# ---- what came of it -------------------------------------------------------------------------------------------------


def scores_of(texts: list[tuple[str, str]], ranking: str, args: argparse.Namespace) -> list[float]:
    """Of (context, question), higher is better."""
    if ranking == "scorer":
        from augcon.scorer import load_scorer, scorer_text

        return load_scorer(args.model_name_or_path, dtype="bfloat16").score([scorer_text(*text) for text in texts])
    if ranking == "longest question":
        return [len(question) for _, question in texts]
    if ranking == "words from the context":
        return [share_of_context(*text) for text in texts]
    draw = random.Random(args.seed)
    return [draw.random() for _ in texts]


def share_of_context(context: str, question: str) -> float:
    """Of the question's longer words."""
    asked = [word for word in context_words(question) if len(word) > 3]
    return mean(word in set(context_words(context)) for word in asked) if asked else 0.0


def kept_of(rows: list[dict], scores: list[float], threshold: float) -> dict[int, list[dict]]:
    """As step 3 keeps them: of each root the best ones, as many as its quota."""
    ranked: dict[int, list[dict]] = {}
    for place in rank(scores):
        ranked.setdefault(rows[place]["root"], []).append(rows[place])
    return {
        root: [
            those[place]
            for place, why in filter_ranked([row["question"] for row in those], those[0]["quota"], threshold)
            if why is None
        ]
        for root, those in ranked.items()
    }


def figures_of(kept: dict[int, list[dict]]) -> dict[str, float]:
    rows = list(chain(*kept.values()))
    couples = chain(*(combinations([words(row["question"]) for row in those], 2) for those in kept.values()))
    couplets = list(chain(*(pairwise(context_words(row["question"])) for row in rows)))
    return {
        "from the good prompt": mean(row["prompt"] == GOOD for row in rows),
        "end in ?": mean(row["question"].endswith("?") for row in rows),
        "distinct pairs of words": len(set(couplets)) / len(couplets),
        "likeness within a root": mean(rouge_l(one, other)["f"] for one, other in couples),
        "kept": len(rows),
    }


def figures(args: argparse.Namespace) -> None:
    rows = halves_of(args.data_path, args.seed)[1]
    pairs = pairs_of(rows)
    sides = [[(pair["context"], pair[side]) for pair in pairs] for side in ("pos_query", "neg_query")]
    pool = [(row["context"], row["question"]) for row in rows]
    found = {}
    for ranking in RANKINGS:
        scores = scores_of(sides[0] + sides[1] + pool, ranking, args)
        good, worse, of_pool = scores[: len(pairs)], scores[len(pairs) : 2 * len(pairs)], scores[2 * len(pairs) :]
        right = mean((one > other) + (one == other) / 2 for one, other in zip(good, worse, strict=True))
        filtered = kept_of(rows, of_pool, THRESHOLD)
        found[ranking] = {"pairs right": right} | figures_of(filtered)
        if ranking in ("scorer", "a draw"):
            unfiltered = kept_of(rows, of_pool, 1)
            as_many = {root: those[: len(filtered[root])] for root, those in unfiltered.items()}
            found[f"{ranking}, no filter"] = figures_of(as_many)
    Path(args.save_path).parent.mkdir(parents=True, exist_ok=True)
    write_text(Path(args.save_path), json.dumps(found, indent=1) + "\n")


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("grow", help="questions")
    one.add_argument("--model_name_or_path", required=True, help="folder of a causal language model")
    one.add_argument("--roots", type=positive, default=60, help="paragraphs to ask about")
    one.add_argument("--batch_size", type=positive, default=32, help="contexts asked about together")
    two = commands.add_parser("split", help="pairs of the roots that are learned from")
    three = commands.add_parser("figures", help="of the roots held out")
    three.add_argument("--model_name_or_path", required=True, help="folder of the scorer")
    for command in (two, three):
        command.add_argument("--data_path", required=True, help="questions")
    for command in (one, two, three):
        command.add_argument("--save_path", required=True, help="what is written")
        command.add_argument("--seed", type=int, default=0, help="of what is drawn")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    {"grow": grow, "split": split, "figures": figures}[args.command](args)


if __name__ == "__main__":
    run_main(main)
