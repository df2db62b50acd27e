"""`--dry_run`: count what a run would ask, and what that would cost, without asking anything."""

import os
import sys
from collections.abc import Callable

from common.llm.identity import known_identity_of
from common.llm.options import BATCH_PRICE, LLMOptions
from common.llm.protocol import Request, answer_key, canonical, is_stored_text, request_body
from common.llm.store import AnswerStore, store_path
from common.step import Step


def about_tokens(text: str) -> int:
    """Four bytes of UTF-8 a token."""
    return len(text.encode("utf-8", "surrogatepass")) // 4


def print_dry_run_of_requests(step: Step, options: LLMOptions, make_request: Callable[[dict], Request | None]) -> None:
    """What is in the store is not asked again."""
    path = store_path(step, options)
    store = AnswerStore(path if path and os.path.exists(path) else None, is_stored_text)
    identity = known_identity_of(options.model, store) if options.model else ""

    def estimate(row: dict) -> tuple[int, int, int]:
        request = make_request(row)
        if request is None:
            return 0, 0, 0
        body, count = request_body(request, options.model, options.sampling)
        asked = canonical(body)
        if options.model and all(store.get(answer_key(asked, sample, identity)) for sample in range(count)):
            step.counts["from the store"] += 1
            return 0, 0, 0
        words = body.get("prompt") or "".join(str(message.get("content")) for message in body["messages"])
        return 1, about_tokens(words), count * body.get("max_tokens", 1024)

    print_dry_run(step, options, estimate)


def print_dry_run(step: Step, options: LLMOptions, estimate: Callable[[dict], tuple[int, int, int]]) -> None:
    """Add up requests, prompt tokens and answer tokens of all rows, print that and end."""
    requests = tokens_in = tokens_out = 0
    for _, _, (more, more_in, more_out) in step.values(estimate):
        requests, tokens_in, tokens_out = requests + more, tokens_in + more_in, tokens_out + more_out
    stored = step.counts["from the store"]
    cost = options.cost(tokens_in, tokens_out)
    if cost is not None and options.batch:
        cost *= BATCH_PRICE
    print(
        f"requests        {requests:,}" + (f" ({stored:,} more are in the store)" if options.model else "") + "\n"
        f"prompt tokens   about {tokens_in:,}\n"
        f"answer tokens   at most {tokens_out:,}\n"
        f"cost            {'unknown: give --price_in and --price_out' if cost is None else f'at most {cost:,.2f}'}\n"
        f"time            at most {tokens_out / options.tokens_per_second / 3600:,.2f} h"
        f" at {options.tokens_per_second:,.0f} answer tokens/s (--tokens_per_second)"
    )
    sys.exit(0)
