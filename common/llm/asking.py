"""Ask an OpenAI-compatible server for many answers: concurrent, retried, stored, in order.

    def make_request(row):
        return Request(messages=[{"role": "user", "content": need(row, "question")}])

    def use_answer(row, answer):                   # raise Reject(reason): asked again, in the end rejected
        return row | {"response": answer.text}

    with Step([args.data_path], args.save_path, **step_options(args)) as step:
        ask_rows(step, llm_options(args), make_request, use_answer)

A step whose requests depend on earlier answers writes `async def work(row, ask)` instead and calls `work_rows`.
"""

import asyncio
import contextlib
import dataclasses
import gc
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import uvloop
from tqdm import tqdm

from common.errors import AnswerRejected, BadInput, BadRow, BadValue, Paused, Reject, ServerRefused
from common.llm.batches import run_in_batches
from common.llm.client import LLMClient
from common.llm.dry_run import print_dry_run, print_dry_run_of_requests
from common.llm.identity import identity_of, known_identity_of
from common.llm.in_order import InOrder
from common.llm.options import BATCH_PRICE, SERVICE, LLMOptions
from common.llm.protocol import (
    Answer,
    Ask,
    Request,
    add_tokens,
    answer_key,
    answer_of,
    canonical,
    is_stored_text,
    path_of,
    request_body,
    texts_of,
)
from common.llm.servers import parse_base_urls
from common.llm.store import AnswerStore, store_path
from common.program import progress
from common.step import Step

Output = dict | list[dict]
Work = Callable[[dict, Ask], Awaitable[Output]]


# ---------------------------------------------------------------- what a step calls


def ask_rows(
    step: Step,
    options: LLMOptions,
    make_request: Callable[[dict], Request | None],
    use_answer: Callable[[dict, Answer], Output],
) -> None:
    """One request a row. An answer that `use_answer` rejects is asked for again, with the next sample number.
    A row for which `make_request` gives None needs no answer: it goes into the output as it is."""
    if options.dry_run:
        print_dry_run_of_requests(step, options, make_request)

    async def work(row: dict, ask: Ask) -> Output:
        request = make_request(row)
        if request is None:
            return row
        for sample in range(options.max_attempts):
            answer = await ask(request, sample)
            try:
                return use_answer(row, answer)
            except Reject as why:
                rejected = AnswerRejected(why.reason, answer.text)
                step.counts["answers asked again"] += sample + 1 < options.max_attempts
        raise rejected

    work_rows(step, options, work)


def work_rows(
    step: Step, options: LLMOptions, work: Work, estimate: Callable[[dict], tuple[int, int, int]] | None = None
) -> None:
    """`await work(row, ask)` for every row, `--concurrency` at a time, results in input order.

    `await ask(request, sample=0)` gives one Answer, from the store if it was given before. `estimate(row)` tells
    --dry_run requests, prompt tokens and answer tokens, where what is asked depends on answers.
    """
    if options.dry_run and estimate:
        print_dry_run(step, options, estimate)
    if options.dry_run:
        raise BadInput("--dry_run: what this step asks depends on the answers, so it cannot be counted before")
    uvloop.run(_Run(step, options).work_all(work))


# ---------------------------------------------------------------- one run


class _Run:
    """One `work_rows`: the workers, what they share, what was spent."""

    def __init__(self, step: Step, options: LLMOptions) -> None:
        self.step, self.options, self.model = step, options, options.model
        self.client = LLMClient(
            parse_base_urls(options.base_url),
            options.request_timeout,
            options.server_timeout,
            int(options.max_answer_mb * 2**20),
        )
        self.store = AnswerStore(store_path(step, options), is_stored_text)
        self.identity = ""
        self.asking: dict[bytes, asyncio.Future] = {}  # keys for which a request is under way
        self.slots = asyncio.Semaphore(options.concurrency)
        self.used, self.spent = Counter(), Counter()  # tokens of all answers; of those paid for in this run
        self.requests = self.from_store = 0
        self.paused = ""  # why
        self.reserved = 0.0  # what the requests in flight can cost at most
        self.given_up: dict[bytes, str] = {}  # keys that batches failed to answer
        self.spent_in_batches: Counter[str] = Counter()
        self.started = time.monotonic()

    async def work_all(self, work: Work) -> None:
        rows, written = self.step.scan(), InOrder(self.step)
        try:
            async with self.client:
                await self._know_the_model()
                if self.options.batch:
                    found = await run_in_batches(self.step, self.options, work, self.store, self.identity)
                    self.given_up, self.spent_in_batches = found
                bar = progress(total=self.step.total(), desc=self.step.output.name, unit="row")
                with bar, _rare_garbage_collection():
                    await _all_or_error(self._worker(rows, work, written, bar) for _ in range(self.options.concurrency))
                await self.client.check_refusals()
            if self.paused:
                raise Paused(self.paused)
            if self.client.refused and not self.client.served_as and not self.from_store:
                raise ServerRefused(self.client.last_refusal)
        finally:
            self.store.close()
            self._report()

    async def _know_the_model(self) -> None:
        if self.options.batch not in (None, SERVICE):  # answers come by way of a folder, there may be no server
            if self.model is None:
                raise BadInput("--batch FOLDER: name the model with --model")
            self.identity = known_identity_of(self.model, self.store)
        else:
            self.model = self.model or await self.client.only_model()
            self.identity = await identity_of(self.model, self.client, self.store)
        self.options = dataclasses.replace(self.options, model=self.model)  # by which prices are known
        if self.options.max_cost is not None and self.options.cost(1, 1) is None:
            raise BadInput(f"--max_cost: what {self.model} costs is not known; give --price_in and --price_out")

    async def _worker(self, rows: Iterator[tuple[int, dict | BadRow]], work: Work, written: InOrder, bar: tqdm):
        for index, row in rows:
            try:
                outcome = await self._outcome(index, row, work)
            except Paused as why:
                self.paused = str(why)
            if self.paused:
                return
            written.put(index, outcome)
            bar.update()
            if not bar.disable:
                bar.set_postfix_str(self._state(), refresh=False)

    async def _outcome(self, index: int, row: dict | BadRow, work: Work) -> dict:
        """What becomes of one row: its output rows, and the row itself; or the arguments of `step.reject`."""
        try:
            if isinstance(row, BadRow):
                raise row
            output = await work(row, self.ask)
            return {"rows": output if isinstance(output, list) else [output], "row": row}
        except (BadRow, BadValue) as why:
            return {"reject": self.step.bad_row(index, why, row)}
        except Reject as why:
            return {"reject": [index, why.reason, row, getattr(why, "answer", None)]}

    async def ask(self, request: Request, sample: int = 0) -> Answer:
        """`sample` tells apart several answers to one request; with n > 1 each of them is n texts."""
        body, count = request_body(request, self.model, self.options.sampling)
        asked = canonical(body)
        first = sample * count
        keys = [answer_key(asked, first + place, self.identity) for place in range(count)]
        texts = await self._stored(keys)
        missing = [place for place, text in enumerate(texts) if text is None]
        if missing and self.options.batch:
            raise Reject(self.given_up.get(keys[missing[0]], "no answer in any batch"))
        if missing:
            fresh = await self._ask_once(body, asked, first + missing[0], [keys[place] for place in missing])
            for place, text in zip(missing, fresh, strict=True):
                texts[place] = text
        else:
            self.from_store += 1
            self.client.answered_before(path_of(body), asked)
        add_tokens(self.used, texts)
        return answer_of(texts)

    async def _stored(self, keys: list[bytes]) -> list[dict | None]:
        """What the store holds of them, once nobody else is asking for one of them."""
        while under_way := [self.asking[key] for key in keys if key in self.asking]:
            await asyncio.wait(under_way)
        return [self.store.get(key) for key in keys]

    async def _ask_once(self, body: dict, asked: bytes, first: int, keys: list[bytes]) -> list[dict]:
        """The answers under these keys, which nobody else asks for in the meantime: identical rows are paid once, and
        what is given out is what is stored."""
        answered = asyncio.get_running_loop().create_future()
        if not self.options.no_store:
            self.asking.update(dict.fromkeys(keys, answered))
        try:
            async with self.slots:
                at_most = self._count_request(body, asked, len(keys))
                try:
                    fresh = await self._ask_server(body, asked, first, len(keys))
                    add_tokens(self.spent, fresh)
                finally:
                    self.reserved -= at_most
                return await self.store.put(list(zip(keys, fresh, strict=True)))
        finally:
            answered.set_result(None)
            for key in keys:
                self.asking.pop(key, None)

    def _count_request(self, body: dict, asked: bytes, count: int) -> float:
        """Room for one request more, or Paused; gives what it can cost at most."""
        if self.paused:
            raise Paused(self.paused)
        if self.options.max_requests is not None and self.requests >= self.options.max_requests:
            raise Paused(f"stopped after {self.requests:,} requests, as asked; run again to go on")
        at_most = 0.0
        if self.options.max_cost is not None:
            at_most = self.options.cost_at_most(asked, count, body.get("max_tokens"))
            spent = self.options.cost(self.spent["in"], self.spent["out"])
            if spent + self.reserved + at_most > self.options.max_cost:
                raise Paused(f"stopped at a cost of {spent:,.4f}, as asked by --max_cost; run again to go on")
        self.requests += 1
        self.reserved += at_most
        return at_most

    async def _ask_server(self, body: dict, asked: bytes, first: int, count: int) -> list[dict]:
        """Samples `first` to `first + count - 1`, however many the server gives at once (some ignore n)."""
        texts: list[dict] = []
        while len(texts) < count:
            changed = {}
            if count - len(texts) > 1:
                changed["n"] = count - len(texts)
            if body.get("seed") is not None and first + len(texts):
                changed["seed"] = body["seed"] + first + len(texts)
            payload = await self.client.post(path_of(body), canonical(body | changed) if changed else asked)
            texts += texts_of(payload, body)
        return texts[:count]

    def _state(self) -> str:
        rate = self.spent["out"] / (time.monotonic() - self.started)
        cost = self.options.cost(self.spent["in"], self.spent["out"])
        money = "" if cost is None else f", cost {cost:,.2f}"
        return f"{rate:,.0f} tokens/s, {sum(self.client.errors.values())} errors, {self.client.retries} retries{money}"

    def _report(self) -> None:
        counts = {"requests": self.requests, "from the store": self.from_store, "retries": self.client.retries}
        counts |= {"tokens in": self.used["in"], "tokens out": self.used["out"]}
        self.step.counts.update({name: count for name, count in counts.items() if count})
        self.step.facts["llm"] = {
            "model": self.model,
            "model_identity": self.identity,
            "base_urls": [server.shown for server in self.client.servers],
            "served_as": sorted(self.client.served_as),
            "options": self.options.sampling,
            "errors": dict(self.client.errors),
            **self._costs(),
        }

    def _costs(self) -> dict[str, float | None]:
        """What was paid in this run, and what the store and the batch price saved."""
        if (paid := self.options.cost(self.spent["in"], self.spent["out"])) is None:
            return {"cost_of_this_run": None}
        in_batches = self.options.cost(self.spent_in_batches["in"], self.spent_in_batches["out"])
        everything = self.options.cost(self.used["in"], self.used["out"])
        costs = {"cost_of_this_run": paid + BATCH_PRICE * in_batches}
        costs["saved_by_the_store"] = max(0.0, everything - paid - in_batches)
        costs["saved_by_batches"] = in_batches * (1 - BATCH_PRICE)
        print("; ".join(f"{name.replace('_', ' ')} {cost:,.4f}" for name, cost in costs.items()), file=sys.stderr)
        return costs


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
