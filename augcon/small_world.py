"""AugCon in miniature: step 1 by a small model in this process, without a server; the table of what steps 2 and 3 gave.

    python augcon/small_world.py grow --model_name_or_path models/SmolLM2-135M-Instruct --save_path out/questions.jsonl
    python augcon/small_world.py first_layers --model_name_or_path models/SmolLM2-135M-Instruct --save_path out/base
    python augcon/small_world.py table --folders out/seed1 out/seed2

The corpus is English prose that every Python brings along: its language reference. A model of 135 million parameters
does not keep the form of a tree, so the split is the paper's mechanical one, and of what the model writes behind the
prompt's last "Question:" the first line is taken; the good prompt and the three worse ones are those of step 1.

in   nothing but the model's folder
out  grow: rows as step 1 writes them, and OUTPUT.pairs.jsonl; table: a line a ranking, mean over the folders, on stdout
"""

import argparse
import copy
import random
import re
import sys
from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from augcon import corpus
from augcon.context_tree import context_words, halves, quota
from augcon.prompts import tree_template
from augcon.question_filter import rouge_l, words
from augcon.released_files import beside
from augcon.scorer_pairs import WORSE_PROMPTS, too_alike
from augcon.tree_answer import strip_cue
from common import manifest
from common.program import make_parser, positive, progress, run_main
from common.rows import read_rows, write_rows
from common.training import hush_bars

SHORTEST = 60  # characters of a context that is asked about
RANKINGS = ("scorer", "random", "scorer, no filter", "random, no filter")


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


def contexts_of(root: str) -> list[tuple[str, int]]:
    """(context, depth) of the mechanical tree, in preorder."""

    def grow(context: str, depth: int) -> list[tuple[str, int]]:
        if len(context) < SHORTEST:
            return []
        parts = halves(context)
        shorter = [node for part in parts if len(part) < len(context) for node in grow(part, depth + 1)]
        return [(context, depth), *shorter]

    return grow(root, 0)


class Asker:
    """A local model that goes on from a prompt; what all prompts begin with is computed once."""

    def __init__(self, folder: str, batch_size: int, seed: int) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        hush_bars()
        torch.manual_seed(seed)
        self.torch, self.batch_size = torch, batch_size
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def questions(self, contexts: list[str], kind: str) -> list[str]:
        before, _, after = tree_template(kind, "en").partition("{context}")
        prefix = self.tokenizer(before, return_tensors="pt")["input_ids"]
        with self.torch.inference_mode():
            cache = self.model(prefix, use_cache=True).past_key_values
        starts = range(0, len(contexts), self.batch_size)
        batches = [contexts[start : start + self.batch_size] for start in starts]
        bar = progress(batches, desc=kind, unit="batch")
        return [question for batch in bar for question in self._batch(batch, after, prefix, cache)]

    def _batch(self, contexts: list[str], after: str, prefix: Any, cache: Any) -> list[str]:
        torch, pad = self.torch, self.tokenizer.eos_token_id
        rows = [self.tokenizer(context + after)["input_ids"] for context in contexts]
        longest = max(map(len, rows))
        own = torch.tensor([[pad] * (longest - len(row)) + row for row in rows])
        seen = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
        past = copy.deepcopy(cache)
        past.batch_repeat_interleave(len(rows))
        inputs = torch.cat([prefix.expand(len(rows), -1), own], 1)
        attended = torch.cat([torch.ones(len(rows), prefix.shape[1], dtype=torch.long), seen], 1)
        written = self.model.generate(
            input_ids=inputs,
            attention_mask=attended,
            past_key_values=past,
            max_new_tokens=28,
            do_sample=True,
            temperature=0.85,
            pad_token_id=pad,
        )
        texts = self.tokenizer.batch_decode(written[:, inputs.shape[1] :], skip_special_tokens=True)
        return [strip_cue(text.strip().split("\n")[0]) for text in texts]


def grow(args: argparse.Namespace) -> None:
    chosen = random.Random(args.seed).sample(paragraphs(), args.roots)
    roots = [text for paragraph in chosen for text in corpus.roots(paragraph)]
    nodes = [(root, context, depth) for root, text in enumerate(roots) for context, depth in contexts_of(text)]
    asker = Asker(args.model_name_or_path, args.batch_size, args.seed)
    # Twice, as trees are grown again: then there is something to choose from.
    questions = [asker.questions([context for _, context, _ in nodes], "tree") for _ in range(2)]
    rows = [
        {"root": root, "article": root, "lang": "en", "text": text, "quota": quota(text), "questions": []}
        for root, text in enumerate(roots)
    ]
    for tree in questions:
        for (root, context, depth), question in zip(nodes, tree, strict=True):
            if len(question) >= 5:
                rows[root]["questions"].append({"context": context, "question": question, "depth": depth})
    places = random.Random(args.seed).sample(range(len(nodes)), min(args.pairs, len(nodes)))
    pairs = []
    for kind, worse in enumerate(WORSE_PROMPTS):
        own = places[kind :: len(WORSE_PROMPTS)]
        for place, negative in zip(own, asker.questions([nodes[at][1] for at in own], worse), strict=True):
            good = questions[0][place]
            if not too_alike(good, negative, 0.7):
                pairs.append({"context": nodes[place][1], "pos_query": good, "neg_query": negative})
    write_rows(args.save_path, rows)
    write_rows(beside(args.save_path, "pairs"), pairs)
    asked = sum(len(row["questions"]) for row in rows)
    print(f"{args.save_path}: {len(rows)} roots, {asked} questions, {len(pairs)} pairs")


def first_layers(args: argparse.Namespace) -> None:
    """A base for the scorer that trains on a CPU in minutes."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    hush_bars()
    model = AutoModelForCausalLM.from_pretrained(args.model_name_or_path)
    model.model.layers = model.model.layers[: args.keep_layers]
    model.config.num_hidden_layers = len(model.model.layers)
    if getattr(model.config, "layer_types", None):
        model.config.layer_types = model.config.layer_types[: args.keep_layers]
    model.save_pretrained(args.save_path)
    AutoTokenizer.from_pretrained(args.model_name_or_path).save_pretrained(args.save_path)


# ---- what came of it -------------------------------------------------------------------------------------------------


def figures(folder: Path, ranking: str) -> dict[str, float]:
    """Of the questions that one way of ranking kept."""
    rows = list(read_rows(folder / f"{ranking.replace(', no filter', '_unfiltered')}.jsonl", allow_nan=True))
    by_root: dict[int, list[str]] = {}
    for row in rows:
        by_root.setdefault(row["root"], []).append(row["question"])
    alike = [
        rouge_l(words(one), words(other))["f"]
        for questions in by_root.values()
        for one, other in combinations(questions, 2)
        if words(one) and words(other)
    ]
    grams = [
        gram for row in rows for gram in zip(*(context_words(row["question"])[at:] for at in (0, 1)), strict=False)
    ]
    return {
        "kept": len(rows),
        "distinct pairs of words": len(set(grams)) / max(1, len(grams)),
        "likeness within a root": mean(alike) if alike else 0.0,
        "end in ?": mean(row["question"].endswith("?") for row in rows),
        "words from the context": mean(share_of_context(row) for row in rows),
    }


def share_of_context(row: dict) -> float:
    """Of the question's longer words."""
    asked = [word for word in context_words(row["question"]) if len(word) > 3]
    return mean(word in set(context_words(row["context"])) for word in asked) if asked else 0.0


def table(args: argparse.Namespace) -> None:
    folders = [Path(folder) for folder in args.folders]
    made = [manifest.read(folder / "scorer") for folder in folders]
    for name in ("pairs", "held_out", "held_out_accuracy"):
        print(f"{name}: {mean(one[name] for one in made):.3g}")
    columns = list(figures(folders[0], RANKINGS[0]))
    print(f"| ranked by | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
    for ranking in RANKINGS:
        found = [figures(folder, ranking) for folder in folders]
        print(f"| {ranking} | {' | '.join(f'{mean(one[column] for one in found):.3g}' for column in columns)} |")


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("grow", help="questions and pairs")
    one.add_argument("--model_name_or_path", required=True, help="folder of a causal language model")
    one.add_argument("--save_path", required=True, help="questions, a row a root")
    one.add_argument("--roots", type=positive, default=60, help="paragraphs to ask about")
    one.add_argument("--pairs", type=positive, default=300, help="questions that get a worse one")
    one.add_argument("--batch_size", type=positive, default=16, help="contexts asked about together")
    one.add_argument("--seed", type=int, default=0, help="of the paragraphs and the sampling")
    base = commands.add_parser("first_layers", help="a smaller base for the scorer")
    base.add_argument("--model_name_or_path", required=True, help="folder of a causal language model")
    base.add_argument("--save_path", required=True, help="folder to write")
    base.add_argument("--keep_layers", type=positive, default=8, help="layers that stay")
    two = commands.add_parser("table", help="what was kept, by ranking")
    two.add_argument("--folders", nargs="+", required=True, help="a folder a seed")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    {"grow": grow, "first_layers": first_layers, "table": table}[args.command](args)


if __name__ == "__main__":
    run_main(main)
