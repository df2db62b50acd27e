"""AugCon step 1: questions about each text, from the whole to single sentences, and pairs to train the scorer with.

    python augcon/step1_generate_questions.py --data_path augcon/sample/articles.jsonl --save_path out/questions.jsonl

in   {"article": "Paragraph one. …\\nParagraph two. …"} (--text_column), or a dataset folder with --split
out  a row a root, which is a text of at most 500 characters: {"root": 0, "article": 0, "lang": "en", "text": "…",
     "quota": 9, "questions": [{"context": "…", "question": "…", "depth": 0, "coverage": 0.97}, …], "trees": 1, …}
     beside it questions.roots.jsonl (the roots), questions.pairs.jsonl ({"context", "pos_query", "neg_query"}), and
     queries.json, the released form
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from augcon import context_tree, corpus
from augcon.asking import STOPS, TreeAsking, context_asker, estimate_root, print_estimate
from augcon.prompts import add_prompt_arguments, language, prompt_hashes
from augcon.released_files import beside, questions_by_root, split_of, write_queries
from augcon.scorer_pairs import WORSE_PROMPTS, choose, negative_question, too_alike
from common.llm import Ask, add_llm_arguments, llm_options, work_rows
from common.program import make_parser, positive, run_main
from common.rows import read_rows
from common.step import Step, add_step_arguments, map_rows, need, step_options


def root_cutter(args: argparse.Namespace, counts: Counter) -> Callable[[dict], list[dict]]:
    """An article's texts, numbered over all articles; what an earlier one had word for word is left out."""
    cut = corpus.released_roots if args.paper_exact else corpus.roots
    keep_repeated = args.keep_repeated or args.paper_exact
    seen: set[int] = set()
    number = Counter()

    def cut_article(row: dict) -> list[dict]:
        roots = []
        for text in cut(need(row, args.text_column), args.max_length, args.min_chunk):
            key = hash(" ".join(text.split()))
            if key in seen and not keep_repeated:
                counts["repeated texts left out"] += 1
                continue
            seen.add(key)
            quota = context_tree.quota(text, args.character_per_piece)
            counts["texts too short for a question"] += quota == 0
            place = {"root": number["root"], "article": number["article"], "lang": language(text, args.lang)}
            roots.append(place | {"text": text, "quota": quota})
            number["root"] += 1
        number["article"] += 1
        return roots

    return cut_article


def tree_grower(args: argparse.Namespace, counts: Counter, asking: TreeAsking, rules: context_tree.TreeRules):
    """All trees of a root, one after the other; all nodes of a tree at once."""
    wanted = {row["root"]: row["trees"] for row in read_rows(args.short_path)} if args.short_path else {}
    kind = "tree" if args.split_at == "llm" else "question"

    async def work(row: dict, ask: Ask) -> dict:
        async def grow_tree(number: int, allowance: int) -> context_tree.Grown:
            asker = context_asker(ask, asking, kind, row["lang"], first_sample=rules.attempts * number)
            return await context_tree.grow(row["text"], asker, rules, allowance)

        root = await context_tree.grow_root(
            grow_tree,
            enough=row["quota"] * args.over_generation,
            max_trees=args.max_trees,
            max_nodes=args.max_nodes or context_tree.node_cap(row["text"]),
            least_trees=wanted.get(row["root"], 0),
            at_once=args.split_at == "none",
        )
        counts["questions"] += len(root.nodes)
        counts["roots short of questions"] += len(root.nodes) < row["quota"]
        counts[f"roots ended: {root.ended}"] += 1
        facts = {"trees": root.trees, "asked": root.asked, "ended": root.ended}
        return row | {"questions": [node._asdict() for node in root.nodes]} | facts

    return work


def pair_maker(args: argparse.Namespace, counts: Counter, asking: TreeAsking, rules: context_tree.TreeRules):
    """For a share of the questions, one that a worse prompt asks about the same context."""
    firsts, total = {}, 0
    for row in read_rows(args.save_path):
        firsts[row["root"]] = total
        total += len(row["questions"])
    chosen = choose(total, args.pairs, args.seed)

    async def make_pair(context: str, question: str, asker: context_tree.Ask) -> list[dict]:
        negative = await negative_question(context, asker, rules)
        if negative is None:
            counts["no worse question"] += 1
        elif not args.paper_exact and too_alike(question, negative, args.max_similar):
            counts["worse question too alike"] += 1
        else:
            return [{"context": context, "pos_query": question, "neg_query": negative}]
        return []

    async def work(row: dict, ask: Ask) -> list[dict]:
        places = enumerate(row["questions"], firsts[row["root"]])
        pairs = await context_tree.all_or_none(
            make_pair(
                one["context"],
                one["question"],
                context_asker(ask, asking, WORSE_PROMPTS[chosen[place]], row["lang"]),
            )
            for place, one in places
            if place in chosen
        )
        return sum(pairs, [])

    return work


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", default="DailyM", help="articles: json, jsonl, parquet, arrow, a dataset folder")
    parser.add_argument("--save_path", default="results/augcon/questions.jsonl", help="questions, a row a root")
    group = parser.add_argument_group("corpus")
    group.add_argument("--text_column", default="article", help="column that holds the text")
    group.add_argument("--max_length", type=positive, default=500, help="characters of the longest root")
    group.add_argument("--min_chunk", type=int, default=100, help="characters below which a text joins its neighbour")
    group.add_argument("--keep_repeated", action="store_true", help="ask about texts that occur again word for word")
    group = parser.add_argument_group("tree")
    group.add_argument("--min_length", type=int, default=20, help="characters; contexts up to this are not asked about")
    group.add_argument("--character_per_piece", type=positive, default=35, help="characters of a root for one question")
    group.add_argument("--over_generation", type=float, default=1.15, help="questions to grow for each one wanted")
    group.add_argument("--min_question", type=int, default=5, help="characters of the shortest question")
    group.add_argument("--tries", type=positive, default=4, help="answers to ask for until one parses")
    group.add_argument("--min_precision", type=float, default=0.7, help="of both parts against their context; 0: any")
    group.add_argument("--max_depth", type=int, default=12, help="levels below the root")
    group.add_argument("--max_trees", type=positive, help="trees of a root; without it 10, or 1,000 with --paper_exact")
    group.add_argument("--max_nodes", type=positive, help="contexts asked about for a root; without it length / 4 + 16")
    group.add_argument(
        "--split_at",
        choices=["llm", "middle", "none"],
        default="llm",
        help="where a context is split: as the model says, after its middle sentence, or not (the same root again)",
    )
    group.add_argument("--short_path", help="roots that fell short in step 3: one more tree is grown for each")
    group = parser.add_argument_group("scorer pairs")
    group.add_argument("--pairs", type=int, default=500, help="pairs for each of the three worse prompts; 0: none")
    group.add_argument("--max_similar", type=float, default=0.7, help="ROUGE-L above which a worse question is no use")
    group.add_argument("--seed", type=int, default=0, help="of the choice of questions")
    group = parser.add_argument_group("asking")
    group.add_argument("--api", choices=["completions", "chat"], default="completions", help="how the server is asked")
    group.add_argument("--json_schema", action="store_true", help="answers as JSON, where a chat server can keep to it")
    group.add_argument("--keep_truncated", action="store_true", help="read answers that --max_tokens cut off")
    group.add_argument("--paper_exact", action="store_true", help="cut, parse and grow as the released code does")
    add_prompt_arguments(parser)
    add_step_arguments(parser)
    add_llm_arguments(parser, temperature=0.85, max_tokens=1024, stop=list(STOPS))
    args = parser.parse_args()
    args.split = args.split or split_of(args.data_path, "train")
    if args.json_schema and (args.paper_exact or args.api != "chat"):
        parser.error("--json_schema: for --api chat, and not as released")
    args.max_trees = args.max_trees or (1000 if args.paper_exact else 10)
    return args


def tree_rules(args: argparse.Namespace) -> context_tree.TreeRules:
    return context_tree.TreeRules(
        min_length=args.min_length,
        min_question=args.min_question,
        min_precision=0 if args.paper_exact else args.min_precision,
        max_depth=args.max_depth,
        attempts=args.tries,
        split=args.split_at,
        paper_exact=args.paper_exact,
    )


def main() -> None:
    args = parse_args()
    roots_path, pairs_path = beside(args.save_path, "roots"), beside(args.save_path, "pairs")
    queries_path = Path(args.save_path).with_name("queries.json")
    asking = TreeAsking(
        args.api, tuple(args.stop), args.prompt_folder, args.keep_truncated, args.paper_exact, args.json_schema
    )
    rules, options = tree_rules(args), llm_options(args)
    outputs = {"reads": filter(None, [args.short_path]), "writes": [args.save_path, queries_path, pairs_path]}
    with Step([args.data_path], roots_path, **outputs, **step_options(args)) as step:
        map_rows(step, root_cutter(args, step.counts))
    if args.dry_run:
        estimates = (
            estimate_root(row, asking, args.split_at, args.min_length, args.over_generation)
            for row in read_rows(roots_path)
        )
        return print_estimate(sum(estimates, Counter()), options)
    args.split = None  # belonged to the articles
    with Step([roots_path], args.save_path, writes=[queries_path], **step_options(args)) as step:
        step.facts["prompts"] = prompt_hashes(["tree", "tree_short", "question"], args.prompt_folder)
        work_rows(step, options, tree_grower(args, step.counts, asking, rules))
    write_queries(queries_path, questions_by_root(args.save_path))
    if args.pairs and not args.short_path:
        with Step([args.save_path], pairs_path, **step_options(args)) as step:
            work_rows(step, options, pair_maker(args, step.counts, asking, rules))


if __name__ == "__main__":
    run_main(main)
