"""What a command line says about server, sampling and run, as named values.

add_llm_arguments(parser, temperature=1.0, max_tokens=4096)      # the paper's values as defaults
ask_rows(step, llm_options(parser.parse_args()), make_request, use_answer)
"""

import argparse
import dataclasses
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from common.program import positive

SERVICE = "the service"  # what --batch without a folder asks
BATCH_PRICE = 0.5  # of the ordinary one
LONGEST_ANSWER = 4096  # tokens, where a request names no max_tokens and its cost must be bounded
SAMPLING = ("temperature", "top_p", "max_tokens", "stop", "seed", "n", "response_format", "extra_body")


@dataclass(frozen=True)
class LLMOptions:
    """Which server, and how to ask it. `sampling` is sent with every request that does not say otherwise."""

    model: str | None = None
    base_url: list[str] | None = None
    concurrency: int = 256
    request_timeout: float = 600.0
    server_timeout: float = 300.0
    max_answer_mb: float = 64.0
    sampling: dict[str, Any] = field(default_factory=dict)
    max_attempts: int = 3
    store_path: str | None = None
    no_store: bool = False
    max_requests: int | None = None
    dry_run: bool = False
    price_in: float | None = None
    price_out: float | None = None
    tokens_per_second: float = 2500.0
    batch: str | None = None
    batch_poll: float = 30.0
    max_cost: float | None = None

    def cost(self, tokens_in: float, tokens_out: float) -> float | None:
        price_in, price_out = self.prices()
        if price_in is None and price_out is None:
            return None
        return round((tokens_in * (price_in or 0) + tokens_out * (price_out or 0)) / 1e6, 6)

    def cost_at_most(self, asked: bytes, count: int, max_tokens: int | None) -> float:
        """Of a request, before it is asked: no tokenizer makes a token of less than two bytes of ordinary text."""
        return self.cost(len(asked) / 2, count * (max_tokens or LONGEST_ANSWER)) or 0.0

    def prices(self) -> tuple[float | None, float | None]:
        """Of a million tokens: as given, else those of a known model (prices.json says from when and whence)."""
        if self.price_in is not None or self.price_out is not None:
            return self.price_in, self.price_out
        return tuple(known_prices().get(self.model or "", (None, None)))


@cache
def known_prices() -> dict[str, list[float]]:
    return json.loads(Path(__file__).with_name("prices.json").read_text(encoding="utf-8"))["models"]


def llm_options(args: argparse.Namespace) -> LLMOptions:
    given = {one.name: getattr(args, one.name) for one in dataclasses.fields(LLMOptions) if one.name != "sampling"}
    sampling = {name: getattr(args, name, None) for name in SAMPLING} | {"seed": args.sampling_seed}
    return LLMOptions(**given, sampling={name: value for name, value in sampling.items() if value is not None})


def add_llm_arguments(parser: argparse.ArgumentParser, **defaults: Any) -> None:
    """The server, sampling and run arguments of every LLM step; `defaults` are the paper's, e.g. temperature=0.85."""
    usual = LLMOptions()
    server = parser.add_argument_group("server (the key is taken from OPENAI_API_KEY)")
    server.add_argument("--model", help="model name; without it the one that the server serves")
    server.add_argument(
        "--base_url",
        action="append",
        help="http://host:port/v1; repeat it or separate with commas to use several; without it OPENAI_BASE_URL",
    )
    server.add_argument("--concurrency", type=positive, default=usual.concurrency, help="requests in flight")
    server.add_argument(
        "--request_timeout", type=float, default=usual.request_timeout, help="seconds to wait for one answer"
    )
    server.add_argument(
        "--server_timeout",
        type=float,
        default=usual.server_timeout,
        help="stop with exit code 75 when nothing was answered for so many seconds",
    )
    server.add_argument(
        "--max_answer_mb", type=float, default=usual.max_answer_mb, help="a longer response ends its request"
    )
    sampling = parser.add_argument_group("sampling")
    sampling.add_argument(
        "--temperature", type=float, help="0: always the likeliest token; without it the server's own"
    )
    sampling.add_argument("--top_p", type=float, help="share of probability that is sampled from")
    sampling.add_argument("--max_tokens", type=positive, help="longest answer")
    sampling.add_argument("--stop", action="append", help="text at which an answer ends; may be repeated")
    sampling.add_argument("--sampling_seed", type=int, help="sent to the server; sample k is drawn with seed + k")
    sampling.add_argument("--extra_body", type=_json_object, help="JSON merged into each request: '{\"top_k\": 20}'")
    sampling.add_argument(
        "--max_attempts", type=positive, default=usual.max_attempts, help="answers to ask for before a row is rejected"
    )
    run = parser.add_argument_group("run")
    run.add_argument("--store_path", help="SQLite file that keeps each answer; without it <output>.answers.sqlite")
    run.add_argument("--no_store", action="store_true", help="fresh answers, nothing kept: a killed run starts anew")
    run.add_argument("--max_requests", type=positive, help="end after so many requests; the same command goes on")
    run.add_argument("--dry_run", action="store_true", help="count requests, tokens, cost and time; ask nothing")
    run.add_argument("--price_in", type=float, help="price of a million prompt tokens; without it that of prices.json")
    run.add_argument("--price_out", type=float, help="price of a million answer tokens; without it that of prices.json")
    run.add_argument(
        "--tokens_per_second", type=float, default=usual.tokens_per_second, help="your server's rate, for --dry_run"
    )
    run.add_argument("--max_cost", type=float, help="end (exit code 75) before this run costs more; needs prices")
    run.add_argument(
        "--batch",
        nargs="?",
        const=SERVICE,
        metavar="FOLDER",
        help="ask in batch files, at half the price: through the service's Batch API, or by way of a folder",
    )
    run.add_argument("--batch_poll", type=float, default=usual.batch_poll, help="seconds between looks at a batch")
    parser.set_defaults(**defaults)


def _json_object(text: str) -> dict:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("expected a JSON object")
    return value
