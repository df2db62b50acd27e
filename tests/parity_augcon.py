"""What our functions and steps give under --paper_exact, against what the released AugCon gave: tests/parity.py."""

import asyncio
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from augcon import corpus
from augcon.answers import released_answer, released_prompt
from augcon.context_tree import Grown, Node, TreeRules, grow, grow_root, quota
from augcon.demonstrations import bootstrap, released_verdict, teacher_demonstrations
from augcon.question_filter import rank, released_filter, rouge_l, words
from augcon.scorer_pairs import choose, negative_question, shuffled

RULES = TreeRules(min_precision=0, max_depth=sys.maxsize, paper_exact=True)
NODES, TREES = 10**6, 10**3
Rows = Iterable[tuple[bool, str]]


def rows_of(path: Path) -> Iterator[dict]:
    with open(path, encoding="utf-8", newline="\n") as file:
        yield from map(json.loads, file)


def each(compare: Callable[[dict], tuple[Any, Any]]) -> Callable[[Path], Rows]:
    """A check whose rows are (what we give, what was given)."""

    def check(path: Path) -> Rows:
        for row in rows_of(path):
            ours, theirs = compare(row)
            yield ours == theirs, f"gives {str(ours)[:300]}, expected {str(theirs)[:300]}"

    return check


def scripted(completions: dict[str, list[str]], default: str, asked: Counter) -> Callable:
    """Answers the n-th request for a context with its n-th completion, or the last."""

    async def ask(context: str, attempt: int) -> str:
        asked[context] += 1
        texts = completions.get(context, [default])
        return texts[min(asked[context], len(texts)) - 1]

    return ask


def grown(context: str, ask: Callable) -> list[list[str]]:
    tree = asyncio.run(grow(context, ask, RULES, NODES))
    return [[node.context, node.question] for node in tree.nodes]


def or_error(function: Callable, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except ValueError as error:
        return f"ValueError: {error}"


def check_chunks(row: dict) -> tuple[Any, Any]:
    return corpus.released_chunks(row["text"], row.get("max_length", 500)), row["chunks"]


def check_corpus(row: dict) -> tuple[Any, Any]:
    return [text for article in row["articles"] for text in corpus.released_roots(article)], row["contexts"]


def check_parse(row: dict) -> tuple[Any, Any]:
    """The root gets the completion each time it is asked; what is asked after it are its parts."""
    asked: list[str] = []
    root = row["context"]

    async def ask(context: str, attempt: int) -> str:
        asked.append(context)
        only_root_so_far = set(asked) == {root} and len(asked) <= row["tries"]
        return row["completion"] if only_root_so_far else ""

    stored = grown(root, ask)
    tries, children = asked[: row["tries"]].count(root), list(dict.fromkeys(asked[row["tries"] :]))
    expected = list(dict.fromkeys(row["children_asked"]))
    return (stored, tries, sorted(children)), (row["stored"], row["tries"], sorted(expected))


def check_trees(row: dict) -> tuple[Any, Any]:
    asked = Counter()
    nodes = grown(row["context"], scripted(row["completions"], row["default_completion"], asked))
    return (nodes, dict(asked), asked.total()), (row["nodes"], row["asked"], row["calls"])


def check_quota(row: dict) -> tuple[Any, Any]:
    context, sizes = "x" * row["length"], row["nodes_per_tree"]

    async def grow_tree(number: int, allowance: int) -> Grown:
        return Grown([Node(context, "q", 0, None)] * sizes[number % len(sizes)], 1)

    root = asyncio.run(grow_root(grow_tree, quota(context) * 1.15, TREES, NODES))
    ours = (quota(context), root.trees, len(root.nodes))
    return ours, (row["gen_count"], row["trees"], row["questions"])


def check_pairs(row: dict) -> tuple[Any, Any]:
    questions = [tuple(pair) for pairs in row["queries"].values() for pair in pairs]
    chosen = choose(len(questions), row["count"], row["seed"])
    pairs, lost = [], 0
    for place, kind in chosen.items():
        context, question = questions[place]
        ask = scripted(row["negative_completions"][str(kind)], "", Counter())
        negative = asyncio.run(negative_question(context, ask, RULES))
        lost += negative is None
        pairs += [] if negative is None else [[context, question, negative]]
    order = [list(questions[place]) for place in shuffled(len(questions), row["seed"])]
    ours = (order, len(chosen) // 3, sorted(pairs), lost)
    return ours, (row["shuffled"], row["count_used"], row["pairs_sorted"], row["lost"])


def check_rank(row: dict) -> tuple[Any, Any]:
    from augcon.scorer import scorer_text

    scores = iter(row["scores"])
    texts, ranked = [], {}
    for root, pairs in row["queries"].items():
        texts += [scorer_text(context, question) for context, question in pairs]
        own = [next(scores) for _ in pairs]
        ranked[root] = [pairs[place] for place in rank([float("nan") if x is None else x for x in own])]
    return (texts, ranked), (row["texts"], row["ranked"])


def check_rouge(row: dict) -> tuple[Any, Any]:
    ours = or_error(lambda: rouge_l(words(row["hypothesis"]), words(row["reference"])))
    if "rouge_l_f" in row:
        return ours["f"], row["rouge_l_f"]
    return ours, row.get("error") or {name: row[name] for name in "rpf"}


def check_filter(row: dict) -> tuple[Any, Any]:
    length = row["context_length"] if "context_length" in row else len(row["context"])
    kept = or_error(released_filter, row["ranked_queries"], length // 35)
    expected = row.get("error") or row["kept"]
    if isinstance(kept, list) and expected and isinstance(expected[0], str):
        kept = [row["ranked_queries"][place] for place in kept]
    return kept, expected


def check_judge(row: dict) -> tuple[Any, Any]:
    verdict = released_verdict(row["reply"])
    return "error" if verdict is None else verdict, row["accepted"]


def check_demos(row: dict) -> tuple[Any, Any]:
    accepted = [None if verdict == "error" else verdict for verdict in row["accepted_if_judged"]]
    choice = bootstrap(accepted)
    kinds = (("bootstrapped", choice.taken), ("labelled", choice.labelled))
    demos = None if choice.ended else [[kind, place] for kind, places in kinds for place in places]
    teacher = [place for place in teacher_demonstrations(row["examples"]) if place != 0]
    expected = (row.get("final_demos"), row["judged"], row["teacher_demos_of_first"])
    return (demos, list(range(choice.judged)), teacher), expected


def check_answers(row: dict) -> tuple[Any, Any]:
    requests = []
    prompt = released_prompt("Instruction.", ["c", "q", "a"], [], "A context.", "A question?")
    before = prompt.rpartition("Reasoning:")[0]

    async def ask(asked: str, max_tokens: int) -> str:
        text = row["completions"][min(len(requests), len(row["completions"]) - 1)]
        after = asked.removeprefix(before)
        requests.append({"max_tokens": max_tokens, "temperature": 0.0, "after_the_question": after})
        return text

    _, answer = asyncio.run(released_answer(prompt, ask))
    return (answer, requests), (row["answer"], row["requests"])


def check_scorer_head(path: Path) -> Rows:
    import torch

    from augcon.scorer import head_scores, released_loss

    for row in rows_of(path):
        hidden, mask, weight = (torch.tensor(row[name]) for name in ("hidden", "attention_mask", "weight"))
        raw = head_scores(hidden, mask, weight, row["bias"])
        ours = [*raw.sigmoid().tolist(), *([] if row["loss"] is None else [released_loss(raw).item()])]
        theirs = [*row["scores"], *([] if row["loss"] is None else [row["loss"]])]
        far = max(abs(one - other) for one, other in zip(ours, theirs, strict=True))
        yield far < 1e-5, f"differs by {far:.2g}"


def check_scorer_batch(row: dict) -> tuple[Any, Any]:
    from augcon.scorer import pad_right, pair_batch

    def unpadded(feature: dict, place: int) -> list[int]:
        ids, mask = feature["input_ids"][place], feature["attention_mask"][place]
        return [token for token, attended in zip(ids, mask, strict=True) if attended]

    features, pad = row["features"], row["pad_token_id"]
    if len(features[0]["input_ids"]) == 1:
        batch = pad_right([unpadded(feature, 0) for feature in features], pad)
    else:
        pairs = [{"chosen_ids": unpadded(one, 0), "rejected_ids": unpadded(one, 1)} for one in features]
        batch = pair_batch(pairs, pad)
    expected = {name: row["batch"][name] for name in ("input_ids", "attention_mask")}
    return {name: tensor.tolist() for name, tensor in batch.items()}, expected


def check_sft_batches(path: Path) -> Rows:
    from transformers import AutoTokenizer
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    from augcon.write_chatml import chatml
    from common.training.examples import encode_text

    folder = next(place for place in (path.parent / "tiny_gpt2", path.parent.parent / "tiny_gpt2") if place.is_dir())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for row in rows_of(path):
        texts = [chatml(example["question"], example["answer"]) for example in row["examples"]]
        collate = DataCollatorForLanguageModeling(pad_token_id=row["pad_token_id"])
        batch = collate([encode_text(tokenizer, text) for text in texts])
        ours = {name: batch[name].tolist() for name in ("input_ids", "attention_mask", "labels")} | {"texts": texts}
        wrong = [name for name, value in ours.items() if value != row[name]]
        yield not wrong, f"differs in {', '.join(wrong)}"


def check_pipeline(row: dict) -> tuple[Any, Any]:
    """Articles to questions to ranks to what is answered, with a scripted model and given scores."""
    roots = [text for article in row["articles"] for text in corpus.released_roots(article)]
    queries, filtered, asked = {}, {}, []
    scores = iter(row["scores"])
    for number, text in enumerate(roots):
        nodes = asyncio.run(_questions(text, scripted(row["completions"], "", Counter())))
        queries[str(number)] = nodes
        order = rank([next(scores) for _ in nodes])
        kept = released_filter([nodes[place][1] for place in order], quota(text)) if nodes else []
        filtered[str(number)] = [nodes[order[place]] for place in kept]
        asked += filtered[str(number)]
    digest = hashlib.sha256(json.dumps(queries).encode()).hexdigest()
    names = ("queries", "queries_json_sha256", "filtered_queries", "asked_in_step3")
    return [queries, digest, filtered, asked], [row[name] for name in names]


async def _questions(text: str, ask: Callable) -> list[list[str]]:
    async def grow_tree(number: int, allowance: int) -> Grown:
        return await grow(text, ask, RULES, allowance)

    root = await grow_root(grow_tree, quota(text) * 1.15, TREES, NODES)
    return [[node.context, node.question] for node in root.nodes]


CHECKS = {
    "augcon_chunks*.jsonl": each(check_chunks),
    "augcon_corpus*.jsonl": each(check_corpus),
    "augcon_parse*.jsonl": each(check_parse),
    "augcon_trees*.jsonl": each(check_trees),
    "augcon_quota*.jsonl": each(check_quota),
    "augcon_scorer_pairs*.jsonl": each(check_pairs),
    "augcon_scorer_head*.jsonl": check_scorer_head,
    "augcon_scorer_batch*.jsonl": each(check_scorer_batch),
    "augcon_rank*.jsonl": each(check_rank),
    "augcon_rouge*.jsonl": each(check_rouge),
    "augcon_filter*.jsonl": each(check_filter),
    "augcon_judge*.jsonl": each(check_judge),
    "augcon_demos*.jsonl": each(check_demos),
    "augcon_answers*.jsonl": each(check_answers),
    "augcon_sft_batches*.jsonl": check_sft_batches,
    "augcon_pipeline*.jsonl": each(check_pipeline),
}
COMPANIONS = ("tiny_gpt2/*",)  # whose tokenizer the fine-tuning batches were made with
