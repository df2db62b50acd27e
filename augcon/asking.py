"""How a model is asked about a context: the request, its stops, its sample numbers; and what a tree will cost.

ask_about = context_asker(ask, settings, "tree", lang="zh", first_sample=4)      # as context_tree wants it
"""

import math
from collections import Counter
from dataclasses import dataclass
from functools import cache

from augcon.context_tree import Ask as AskContext
from augcon.prompts import template, tree_template
from augcon.tree_answer import FIELDS
from common.llm import Ask, LLMOptions, Request
from common.prompts import fill

TOKENS_OF_A_QUESTION = 15
# An answer to a tree's prompt ends where the next block of the prompt would begin.
STOPS = ("<|eot_id|>", "\n\n---", "\n\n\n", "---")


@dataclass(frozen=True)
class TreeAsking:
    api: str = "completions"  # or chat
    stops: tuple[str, ...] = STOPS
    prompt_folder: str | None = None
    keep_truncated: bool = False
    paper_exact: bool = False
    json_schema: bool = False  # the server is told the form of an answer, and keeps to it

    def request(self, context: str, kind: str, lang: str) -> Request:
        prompt = self.prompt(context, kind, lang)
        if self.json_schema:
            form = response_format(FIELDS[:1] if kind == "question" else FIELDS)
            return Request(messages=[{"role": "user", "content": prompt}], stop=[], response_format=form)
        # An answer repeats the context: what stands in it must not end the answer.
        stops = [stop for stop in self.stops if self.paper_exact or stop not in context]
        if self.api == "chat":
            return Request(messages=[{"role": "user", "content": prompt}], stop=stops or None)
        return Request(prompt=prompt, stop=stops or None)

    def prompt(self, context: str, kind: str, lang: str) -> str:
        name = template(kind, lang, self.prompt_folder) if kind == "question" else None
        text = fill(name or tree_template(kind, lang, self.prompt_folder), context=context)
        return text + " " if self.paper_exact else text


@cache
def response_format(fields: tuple[str, ...]) -> dict:
    """An object of texts, and nothing else."""
    texts = {name: {"type": "string"} for name in fields}
    schema = {"type": "object", "properties": texts, "required": list(fields), "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": "question", "strict": True, "schema": schema}}


def context_asker(ask: Ask, asking: TreeAsking, kind: str, lang: str, first_sample: int = 0) -> AskContext:
    """`first_sample` tells the trees of one root apart: without it the second would be the first again."""

    async def ask_about(context: str, attempt: int) -> str:
        answer = await ask(asking.request(context, kind, lang), first_sample + attempt)
        cut_off = answer.finish_reason == "length" and not (asking.keep_truncated or asking.paper_exact)
        return "" if cut_off else answer.text

    return ask_about


def tokens(text: str) -> int:
    """About four bytes each."""
    return len(text.encode("utf-8", "surrogatepass")) // 4


def estimated_nodes(length: int, min_length: int) -> int:
    """Of a tree whose model halves each context."""
    return 0 if length <= min_length else 1 + 2 * estimated_nodes(length // 2, min_length)


def estimate_root(row: dict, asking: TreeAsking, split: str, min_length: int, over_generation: float) -> Counter:
    """Requests and tokens of a root's first tree, from the length of its text alone."""
    if not row["quota"]:
        return Counter()
    text, lang, level, length = row["text"], row["lang"], 0, len(row["text"])
    while length > min_length:
        level, length = level + 1, length // 2
    requests = estimated_nodes(len(text), min_length)
    if split == "none":
        level = requests = math.ceil(row["quota"] * over_generation)
    fixed = tokens(asking.prompt("", "tree" if split == "llm" else "question", lang))
    # Each level repeats the whole text: in the prompts, and where the model splits in the answers too.
    repeated = level * tokens(text)
    answers = requests * TOKENS_OF_A_QUESTION + (repeated if split == "llm" else 0)
    return Counter({"requests": requests, "tokens in": requests * fixed + repeated, "tokens out": answers})


def print_estimate(total: Counter, options: LLMOptions) -> None:
    cost = options.cost(total["tokens in"], total["tokens out"])
    print(
        f"requests        about {total['requests']:,} for the trees\n"
        f"prompt tokens   about {total['tokens in']:,}\n"
        f"answer tokens   about {total['tokens out']:,}\n"
        f"cost            {'unknown: give --price_in and --price_out' if cost is None else f'about {cost:,.2f}'}\n"
        f"time            about {total['tokens out'] / options.tokens_per_second / 3600:,.2f} h"
        f" at {options.tokens_per_second:,.0f} answer tokens/s (--tokens_per_second)"
    )
