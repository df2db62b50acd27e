"""Ask an OpenAI-compatible server for many answers: concurrent, retried, stored, in order.

    def make_request(row):
        return Request(messages=[{"role": "user", "content": need(row, "question")}])

    def use_answer(row, answer):                   # raise Reject(reason): asked again, in the end rejected
        return row | {"response": answer.text}

    with Step(args, inputs=[args.data_path], output=args.save_path) as step:
        ask_rows(step, args, make_request, use_answer)

A step whose requests depend on earlier answers writes `async def work(row, ask)` instead and calls `work_rows`.
"""

import argparse
import asyncio
import contextlib
import gc
import hashlib
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from common.answer_store import AnswerStore
from common.errors import AnswerRejected, BadInput, BadRow, BadValue, Paused, Reject, ServerRefused
from common.llm_client import LLMClient, parse_base_urls
from common.program import progress
from common.redaction import redact
from common.step import Step

KEPT_IN_MEMORY = 20_000  # finished rows that wait for a slower one before them; more wait on disk
OPTIONS = ("temperature", "top_p", "max_tokens", "stop", "seed", "n", "response_format", "extra_body")


@dataclass(slots=True)
class Request:
    """Messages for a chat, or a prompt for a plain completion. What is None comes from the command line."""

    messages: list[dict[str, Any]] | None = None
    prompt: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: list[str] | str | None = None
    seed: int | None = None
    n: int | None = None
    response_format: dict | None = None
    extra_body: dict | None = None


@dataclass(slots=True)
class Answer:
    """`n` texts, why each ended, and the tokens they took (0 where the server does not say)."""

    texts: list[str]
    finish_reasons: list[str]
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def text(self) -> str:
        return self.texts[0]

    @property
    def finish_reason(self) -> str:
        return self.finish_reasons[0]


Output = dict | list[dict]
Ask = Callable[..., Awaitable[Answer]]
Work = Callable[[dict, Ask], Awaitable[Output]]


# ---------------------------------------------------------------- what a step calls


def ask_rows(
    step: Step,
    args: argparse.Namespace,
    make_request: Callable[[dict], Request | None],
    use_answer: Callable[[dict, Answer], Output],
) -> None:
    """One request a row. An answer that `use_answer` rejects is asked for again, with the next sample number.
    A row for which `make_request` gives None needs no answer: it goes into the output as it is."""
    if args.dry_run:
        _print_dry_run(step, args, make_request)

    async def work(row: dict, ask: Ask) -> Output:
        request = make_request(row)
        if request is None:
            return row
        for sample in range(args.max_attempts):
            answer = await ask(request, sample)
            try:
                return use_answer(row, answer)
            except Reject as why:
                rejected = AnswerRejected(why.reason, answer.text)
                step.counts["answers asked again"] += sample + 1 < args.max_attempts
        raise rejected

    work_rows(step, args, work)


def work_rows(step: Step, args: argparse.Namespace, work: Work) -> None:
    """`await work(row, ask)` for every row, `--concurrency` at a time, results in input order.

    `await ask(request, sample=0)` gives one Answer, from the store if it was given before.
    """
    if args.dry_run:
        raise BadInput("--dry_run: what this step asks depends on the answers, so it cannot be counted before")
    asyncio.run(_Run(step, args).work_all(work))


def add_llm_arguments(parser: argparse.ArgumentParser, **defaults: Any) -> None:
    """The server, sampling and run arguments of every LLM step; `defaults` are the paper's, e.g. temperature=0.85."""
    server = parser.add_argument_group("server (the key is taken from OPENAI_API_KEY)")
    server.add_argument("--model", help="model name (default: the one that the server serves)")
    server.add_argument(
        "--base_url",
        action="append",
        help="http://host:port/v1; repeat it or separate with commas to use several (default: OPENAI_BASE_URL)",
    )
    server.add_argument("--concurrency", type=positive, default=256, help="requests in flight (default: 256)")
    server.add_argument("--request_timeout", type=float, default=600, help="seconds for one answer (default: 600)")
    server.add_argument(
        "--server_timeout",
        type=float,
        default=300,
        help="stop with exit code 75 when nothing was answered for so many seconds (default: 300)",
    )
    sampling = parser.add_argument_group("sampling")
    sampling.add_argument("--temperature", type=float)
    sampling.add_argument("--top_p", type=float)
    sampling.add_argument("--max_tokens", type=positive, help="longest answer")
    sampling.add_argument("--stop", action="append", help="text at which an answer ends; may be repeated")
    sampling.add_argument("--seed", type=int, help="sample k of a request is drawn with seed + k")
    sampling.add_argument("--extra_body", type=_json_object, help="JSON merged into each request: '{\"top_k\": 20}'")
    sampling.add_argument(
        "--max_attempts", type=positive, default=3, help="answers to ask for before a row is rejected (default: 3)"
    )
    run = parser.add_argument_group("run")
    run.add_argument("--store_path", help="SQLite file that keeps every answer (default: <output>.answers.sqlite)")
    run.add_argument("--no_store", action="store_true", help="fresh answers, nothing kept: a killed run starts anew")
    run.add_argument("--max_requests", type=positive, help="end after so many requests; the same command goes on")
    run.add_argument("--dry_run", action="store_true", help="count requests, tokens, cost and time; ask nothing")
    run.add_argument("--price_in", type=float, help="price of a million prompt tokens")
    run.add_argument("--price_out", type=float, help="price of a million answer tokens")
    run.add_argument(
        "--tokens_per_second", type=float, default=2500, help="your server's rate, for --dry_run (default: 2500)"
    )
    parser.set_defaults(**defaults)


def positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected 1 or more")
    return number


def _json_object(text: str) -> dict:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("expected a JSON object")
    return value


# ---------------------------------------------------------------- one run


class _Run:
    """One `work_rows`: the workers, what they share, what was spent."""

    def __init__(self, step: Step, args: argparse.Namespace) -> None:
        self.step, self.args, self.model = step, args, args.model
        self.options = {name: value for name in OPTIONS if (value := getattr(args, name, None)) is not None}
        self.client = LLMClient(parse_base_urls(args.base_url), args.request_timeout, args.server_timeout)
        self.store = AnswerStore(_store_path(step, args))
        self.slots = asyncio.Semaphore(args.concurrency)
        self.used, self.spent = Counter(), Counter()  # tokens of all answers; of those paid for in this run
        self.requests = self.from_store = 0
        self.paused = False
        self.started = time.monotonic()

    async def work_all(self, work: Work) -> None:
        rows, written = self.step.scan(), _InOrder(self.step)
        try:
            async with self.client:
                self.model = self.model or await self.client.only_model()
                bar = progress(total=self.step.total(), desc=self.step.output.name, unit="row")
                with bar, _rare_garbage_collection():
                    await _all_or_error(self._worker(rows, work, written, bar) for _ in range(self.args.concurrency))
            if self.paused:
                raise Paused(f"stopped after {self.requests:,} requests, as asked; run again to go on")
            if self.client.refused and not self.client.served_as and not self.from_store:
                raise ServerRefused(self.client.last_refusal)
        finally:
            self.store.close()
            self._report()

    async def _worker(self, rows: Iterator[tuple[int, dict | BadRow]], work: Work, written: "_InOrder", bar: tqdm):
        for index, row in rows:
            try:
                outcome = await self._outcome(index, row, work)
            except Paused:
                self.paused = True
            if self.paused:
                return
            written.put(index, outcome)
            bar.update()
            if not bar.disable:
                bar.set_postfix_str(self._state(), refresh=False)

    async def _outcome(self, index: int, row: dict | BadRow, work: Work) -> dict:
        """What becomes of one row: its output rows, or the arguments of `step.reject`."""
        try:
            if isinstance(row, BadRow):
                raise row
            output = await work(row, self.ask)
            return {"rows": output if isinstance(output, list) else [output]}
        except (BadRow, BadValue) as why:
            return {"reject": self.step.bad_row(index, why, row)}
        except Reject as why:
            return {"reject": [index, why.reason, row, getattr(why, "answer", None)]}

    async def ask(self, request: Request, sample: int = 0) -> Answer:
        """`sample` tells apart several answers to one request; with n > 1 each of them is n texts."""
        body, count = request_body(request, self.model, self.options)
        canonical = _canonical(body)
        first = sample * count
        keys = [_key(canonical, first + place) for place in range(count)]
        texts = [self.store.get(key) for key in keys]
        missing = [place for place, text in enumerate(texts) if text is None]
        if missing:
            async with self.slots:
                self._count_request()
                fresh = await self._ask_server(body, canonical, first + missing[0], len(missing))
                await self.store.put([(keys[place], text) for place, text in zip(missing, fresh, strict=True)])
            for place, text in zip(missing, fresh, strict=True):
                texts[place] = text
            self.spent.update(_tokens(fresh))
        else:
            self.from_store += 1
        tokens = _tokens(texts)
        self.used.update(tokens)
        return Answer([t["text"] for t in texts], [t["finish_reason"] for t in texts], tokens["in"], tokens["out"])

    def _count_request(self) -> None:
        if self.paused or (self.args.max_requests is not None and self.requests >= self.args.max_requests):
            raise Paused
        self.requests += 1

    async def _ask_server(self, body: dict, canonical: bytes, first: int, count: int) -> list[dict]:
        """Samples `first` to `first + count - 1`, however many the server gives at once (some ignore n)."""
        path = "/chat/completions" if "messages" in body else "/completions"
        texts: list[dict] = []
        while len(texts) < count:
            changed = {}
            if count - len(texts) > 1:
                changed["n"] = count - len(texts)
            if body.get("seed") is not None and first + len(texts):
                changed["seed"] = body["seed"] + first + len(texts)
            payload = await self.client.post(path, _canonical(body | changed) if changed else canonical)
            texts += _texts_of(payload, body)
        return texts[:count]

    def _state(self) -> str:
        rate = self.spent["out"] / (time.monotonic() - self.started)
        return f"{rate:,.0f} tokens/s, {sum(self.client.errors.values())} errors, {self.client.retries} retries"

    def _report(self) -> None:
        counts = {"requests": self.requests, "from the store": self.from_store, "retries": self.client.retries}
        counts |= {"tokens in": self.used["in"], "tokens out": self.used["out"]}
        self.step.counts.update({name: count for name, count in counts.items() if count})
        self.step.facts["llm"] = {
            "model": self.model,
            "base_urls": [redact(server.base_url) for server in self.client.servers],
            "served_as": sorted(self.client.served_as),
            "options": self.options,
            "errors": dict(self.client.errors),
            "cost_of_this_run": _cost(self.args, self.spent["in"], self.spent["out"]),
        }


@contextlib.contextmanager
def _rare_garbage_collection() -> Iterator[None]:
    """A thousand requests in flight are many live objects and no cycles: the default makes a third of the client's
    work of looking at them again and again."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def _all_or_error(coroutines: Iterator[Awaitable[None]]) -> None:
    """Run them all; the first error cancels the others."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _InOrder:
    """Hands outcomes to the step in row order. Those that wait for a slower row before them wait in memory, and
    beyond KEPT_IN_MEMORY of them in an unnamed file."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._next = 0
        self._waiting: dict[int, dict] = {}
        self._on_disk: dict[int, tuple[int, int]] = {}
        self._file = None

    def put(self, index: int, outcome: dict) -> None:
        if index != self._next:
            self._keep(index, outcome)
            return
        while outcome is not None:
            if "rows" in outcome:
                self._step.write(*outcome["rows"])
            else:
                self._step.reject(*outcome["reject"])
            self._next += 1
            outcome = self._take(self._next)

    def _keep(self, index: int, outcome: dict) -> None:
        if len(self._waiting) >= KEPT_IN_MEMORY:
            try:
                line = json.dumps(outcome).encode()
            except TypeError:
                pass  # holds what JSON cannot (dates, bytes of a parquet row): stays in memory
            else:
                self._file = self._file or tempfile.TemporaryFile()
                self._on_disk[index] = (self._file.seek(0, 2), self._file.write(line))
                return
        self._waiting[index] = outcome

    def _take(self, index: int) -> dict | None:
        if index in self._on_disk:
            place, size = self._on_disk.pop(index)
            self._file.seek(place)
            return json.loads(self._file.read(size))
        return self._waiting.pop(index, None)


# ---------------------------------------------------------------- the protocol's details


def request_body(request: Request, model: str | None, defaults: dict) -> tuple[dict, int]:
    """What determines the answer, and how many answers are wanted."""
    options = defaults | {name: value for name in OPTIONS if (value := getattr(request, name)) is not None}
    count = options.pop("n", 1)
    options |= options.pop("extra_body", {})
    if request.messages is not None:
        return {"model": model, "messages": request.messages, **options}, count
    return {"model": model, "prompt": request.prompt, **options}, count


_ENCODE_SORTED = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _canonical(body: dict) -> bytes:
    return _ENCODE_SORTED(body).encode()


def _key(canonical: bytes, sample: int) -> bytes:
    return hashlib.blake2b(canonical, digest_size=16, salt=sample.to_bytes(8, "big")).digest()


def _texts_of(payload: dict, body: dict) -> list[dict]:
    """The stored form of a response: one dict a text. The tokens of the response are noted on the first."""
    stops = [] if body.get("include_stop_str_in_output") else body.get("stop") or []
    stops = [stops] if isinstance(stops, str) else stops
    texts = []
    for choice in sorted(payload["choices"], key=lambda choice: choice.get("index") or 0):
        text = (choice["message"]["content"] if "message" in choice else choice["text"]) or ""
        reason = choice.get("finish_reason") or ""
        for stop in stops:  # a server may leave the stop text in, or not know stops at all
            if stop in text:
                text, reason = text[: text.index(stop)], "stop"
        texts.append({"text": text, "finish_reason": reason})
    usage = payload.get("usage") or {}
    texts[0] |= {"in": usage.get("prompt_tokens") or 0, "out": usage.get("completion_tokens") or 0}
    return texts


def _tokens(texts: list[dict]) -> dict[str, int]:
    return {kind: sum(text.get(kind, 0) for text in texts) for kind in ("in", "out")}


def _store_path(step: Step, args: argparse.Namespace) -> str | None:
    if args.no_store:
        return None
    path = args.store_path or f"{step.output}.answers.sqlite"
    if os.path.realpath(path) in map(os.path.realpath, (step.output, *step.inputs)):
        raise BadInput(f"{path}: is input or output, not an answer store; choose another --store_path")
    return path


def _cost(args: argparse.Namespace, tokens_in: float, tokens_out: float) -> float | None:
    if args.price_in is None and args.price_out is None:
        return None
    return round((tokens_in * (args.price_in or 0) + tokens_out * (args.price_out or 0)) / 1e6, 6)


def _print_dry_run(step: Step, args: argparse.Namespace, make_request: Callable[[dict], Request | None]) -> None:
    """Count what a run would ask, print it and end. A token is taken as four bytes of UTF-8."""
    options = {name: value for name in OPTIONS if (value := getattr(args, name, None)) is not None}
    path = _store_path(step, args)
    store = AnswerStore(path if path and os.path.exists(path) else None)
    requests = stored = tokens_in = tokens_out = 0
    for index, row in step.rows():
        try:
            request = make_request(row)
        except BadValue as why:
            step.reject(*step.bad_row(index, why, row))
            continue
        except Reject:
            continue
        if request is None:
            continue
        body, count = request_body(request, args.model, options)
        canonical = _canonical(body)
        if args.model and all(store.get(_key(canonical, sample)) for sample in range(count)):
            stored += 1
            continue
        requests += 1
        words = body.get("prompt") or "".join(str(message.get("content")) for message in body["messages"])
        tokens_in += len(words.encode("utf-8", "surrogatepass")) // 4
        tokens_out += count * body.get("max_tokens", 1024)
    store.close()
    cost = _cost(args, tokens_in, tokens_out)
    print(
        f"requests        {requests:,}" + (f" ({stored:,} more are in the store)" if args.model else "") + "\n"
        f"prompt tokens   about {tokens_in:,}\n"
        f"answer tokens   at most {tokens_out:,}\n"
        f"cost            {'unknown: give --price_in and --price_out' if cost is None else f'at most {cost:,.2f}'}\n"
        f"time            at most {tokens_out / args.tokens_per_second / 3600:,.2f} h"
        f" at {args.tokens_per_second:,.0f} answer tokens/s (--tokens_per_second)"
    )
    sys.exit(0)
