"""`--batch`: the missing answers are asked for in batch files, at half the price and within a day.

    --batch                 send them to the service (files and batches of the OpenAI protocol), wait, go on
    --batch FOLDER          write FOLDER/*.requests.jsonl and end; once FOLDER/*.results.jsonl lie beside them (vLLM's
                            run_batch writes such), the same command goes on

All rows are read with what the store holds; what is missing is collected, sent, and taken into the store, until nothing
is missing: a step whose requests depend on earlier answers takes a batch a level. Then the ordinary run finds every
answer in the store, so the output has the bytes that it has without --batch.

Each file of requests is known by the hash of its content, which stands in the batch's metadata too, and is noted before
it is sent: a run that is killed at any moment finds what it has sent, and sends nothing twice.
"""

import asyncio
import contextlib
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from common.errors import BadRow, Paused, Reject
from common.llm.batch_service import create, created, is_final, open_service, results_of, wait_for, why_turned_down
from common.llm.options import BATCH_PRICE, SERVICE, LLMOptions
from common.llm.protocol import (
    Answer,
    Request,
    add_tokens,
    answer_key,
    answer_of,
    canonical,
    path_of,
    request_body,
    texts_of,
)
from common.llm.store import AnswerStore
from common.redaction import redact
from common.rows import write_text
from common.step import Step

MOST_REQUESTS, MOST_BYTES = 50_000, 190_000_000  # of one file; the service takes 50,000 and 200 MB
MOST_FAILURES = 3  # of one request in batches: then its row is set aside
UNDER_WAY = ("sending", "sent", "written")


class _Missing(Exception):
    """The row waits for an answer that is not in the store yet."""


async def run_in_batches(
    step: Step, options: LLMOptions, work: Callable[[dict, Any], Awaitable], store: AnswerStore, identity: str
) -> tuple[dict[bytes, str], Counter]:
    """Fill the store with all answers that the rows need. Gives the keys that batches failed to answer, each with the
    reason, and the tokens that were paid for."""
    folder = Path(f"{step.output}.batches") if options.batch == SERVICE else Path(options.batch)
    folder.mkdir(parents=True, exist_ok=True)
    batches = _Batches(folder, step.output.name, options, store)
    await batches.go_on()  # with what an earlier run sent
    while missing := await _missing(step, options, work, store, identity, batches):
        await batches.answer(missing)
    return {key: batches.why(key) for key in batches.failures if batches.given_up(key)}, batches.spent


async def _missing(
    step: Step, options: LLMOptions, work: Callable, store: AnswerStore, identity: str, batches: "_Batches"
) -> dict[bytes, dict]:
    """key -> body of the request, for all that the rows ask for and the store does not hold."""
    found: dict[bytes, dict] = {}
    counts, not_ours = step.counts.copy(), asyncio.all_tasks()
    asyncio.get_running_loop().set_exception_handler(_let_missing_go)

    async def ask(request: Request, sample: int = 0) -> Answer:
        body, count = request_body(request, options.model, options.sampling)
        asked, first = canonical(body), sample * count
        texts = []
        for place in range(first, first + count):
            key = answer_key(asked, place, identity)
            texts.append(store.get(key))
            if texts[-1] is None:
                if batches.given_up(key):
                    raise Reject(batches.why(key))
                seed = {"seed": body["seed"] + place} if body.get("seed") is not None and place else {}
                found[key] = body | seed
        if None in texts:
            raise _Missing
        return answer_of(texts)

    for _, row in step.scan():
        if not isinstance(row, BadRow):
            with contextlib.suppress(_Missing, Reject):
                await work(row, ask)
    # What rows ask for beside the first that is missing.
    await asyncio.gather(*asyncio.all_tasks() - not_ours, return_exceptions=True)
    step.counts = counts  # this was only a look at the rows
    return found


def _let_missing_go(loop: asyncio.AbstractEventLoop, context: dict) -> None:
    """A row that asks for several answers at a time is told of the first that is missing, and ends; so do the rest."""
    if not isinstance(context.get("exception"), _Missing | Reject):
        loop.default_exception_handler(context)


class _Batches:
    """The batch files of one run in their folder: NAME.requests.jsonl, and what is known of each in NAME.batch.json."""

    def __init__(self, folder: Path, output: str, options: LLMOptions, store: AnswerStore) -> None:
        self.folder, self.output, self.options, self.store = folder, output, options, store
        self.failures: dict[bytes, list[str]] = {}
        self.spent: Counter[str] = Counter()
        self.requests = 0
        self.client = open_service(options) if options.batch == SERVICE else None
        for _, said in self._known():
            for custom_id, reasons in said.get("failed", {}).items():
                key = bytes.fromhex(custom_id)
                self.failures[key] = max(self.failures.get(key, []), reasons, key=len)

    def given_up(self, key: bytes) -> bool:
        return len(self.failures.get(key, ())) >= MOST_FAILURES

    def why(self, key: bytes) -> str:
        return self.failures[key][-1]

    async def answer(self, missing: dict[bytes, dict]) -> None:
        for requests in _files_of(self._allowed(missing)):
            name = self._new_name(hashlib.sha256(requests).hexdigest()[:16])
            path = self.folder / f"{name}.requests.jsonl"
            if not path.exists():
                write_text(path, requests.decode())
            if self.client is None:
                self._note(name, state="written")
            else:
                self._note(name, state="sending")
                batch_id = created(self.client, name) or create(self.client, name, path)
                self._note(name, state="sent", batch_id=batch_id)
        await self.go_on()

    async def go_on(self) -> None:
        """Wait for all batches that are under way, and take their answers into the store."""
        waiting = {name: said for name, said in self._known() if said["state"] in UNDER_WAY}
        if self.client is None:
            self._need_results(list(waiting))
        for name, said in waiting.items():
            if self.client is None:
                lines, whole = self._results_beside(name), True
            elif batch_id := said.get("batch_id") or created(self.client, name):
                lines, whole = self._answered_by_the_service(name, batch_id)
            else:  # killed before it was sent
                self._note(name, state="done")
                continue
            failed = await self._take(lines, name, whole)
            # By way of a folder each run is one try, so what failed before counts: else it would never end.
            self._note(name, **said | {"state": "done"} | ({} if self.client else {"failed": failed}))

    def _allowed(self, missing: dict[bytes, dict]) -> dict[bytes, dict]:
        """As many of them as --max_requests and --max_cost leave room for; Paused if that is none."""
        most_requests, most = self.options.max_requests, self.options.max_cost
        spent = BATCH_PRICE * (self.options.cost(self.spent["in"], self.spent["out"]) or 0.0)
        allowed, cost = {}, spent
        for key, body in missing.items():
            cost += BATCH_PRICE * self.options.cost_at_most(canonical(body), 1, body.get("max_tokens"))
            if most_requests is not None and self.requests >= most_requests:
                why = f"after {self.requests:,} requests, as asked"
                break
            if most is not None and cost > most:
                why = f"at a cost of {spent:,.4f}, as asked by --max_cost"
                break
            allowed[key] = body
            self.requests += 1
        if not allowed:
            raise Paused(f"stopped {why}; run again to go on")
        return allowed

    def _new_name(self, digest: str) -> str:
        """The same requests again, because all of them failed, are another file; so are those of another output."""
        number = 0
        while (self.folder / f"{digest}_{number}.batch.json").exists():
            number += 1
        return f"{digest}_{number}"

    def _known(self) -> Iterator[tuple[str, dict]]:
        """Those of this output; several steps may share a folder."""
        for path in sorted(self.folder.glob("*.batch.json")):
            said = json.loads(path.read_text(encoding="utf-8"))
            if said.get("output", self.output) == self.output:
                yield path.name.partition(".")[0], said

    def _note(self, name: str, **said: Any) -> None:
        write_text(self.folder / f"{name}.batch.json", json.dumps({"output": self.output} | said) + "\n")

    def _answered_by_the_service(self, name: str, batch_id: str) -> tuple[list[str], bool]:
        """The lines of its results, and whether they are all there will be."""
        batch = wait_for(self.client, batch_id, name, self.options.batch_poll)
        if why := why_turned_down(batch):
            self._note(name, state="done", batch_id=batch_id)  # the next run sends its requests anew
            raise why
        if batch.status != "completed":
            print(f"batch {batch_id} {batch.status}: what it did not answer is asked for again", file=sys.stderr)
        return results_of(self.client, batch), batch.status == "completed"

    # ------------------------------------------------------------ a folder

    def _need_results(self, names: list[str]) -> None:
        open_names = [name for name in names if not (self.folder / f"{name}.results.jsonl").exists()]
        if not open_names:
            return
        first, *more = open_names
        rest = f" (so too {', '.join(more)})" if more else ""
        raise Paused(
            f"{self.folder}: requests are written; answer them, for instance python -m vllm.entrypoints.openai."
            f"run_batch -i {first}.requests.jsonl -o {first}.results.jsonl --model NAME{rest}, "
            "then run this command again"
        )

    def _results_beside(self, name: str) -> list[str]:
        # Only there does a line end: texts hold U+2028.
        return (self.folder / f"{name}.results.jsonl").read_text(encoding="utf-8").split("\n")

    # ------------------------------------------------------------ answers

    async def _take(self, lines: list[str], name: str, whole: bool) -> dict[str, list[str]]:
        """Store the answers; for each that failed, the reasons of all its failures."""
        asked = {}
        with open(self.folder / f"{name}.requests.jsonl", encoding="utf-8") as file:
            for line in file:
                request = json.loads(line)
                asked[request["custom_id"]] = request["body"]
        answers, failed = {}, {}
        for line in lines:
            try:
                result = json.loads(line)
                custom_id = result["custom_id"]
                body = asked[custom_id]
            except (ValueError, LookupError, TypeError):
                continue  # of no request of ours
            try:
                response = result["response"]
                if response["status_code"] != 200:
                    raise ValueError(f"status {response['status_code']}: {json.dumps(response.get('body'))[:300]}")
                answers[custom_id] = texts_of(response["body"], body)[0]
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                failed[custom_id] = (redact(f"in a batch: {result.get('error') or error}"), _is_final(result))
        if not answers and not failed:
            self._note(name, state="done")
            raise Paused(f"batch {name} answered nothing; run again to send it again")
        if whole:
            no_line = dict.fromkeys(asked, ("in a batch: its results have no line of this request", False))
            failed = no_line | failed
        stored = [(bytes.fromhex(custom_id), answer) for custom_id, answer in answers.items()]
        if stored:
            await self.store.put(stored)
        add_tokens(self.spent, list(answers.values()))
        return {custom_id: self._fail(custom_id, *why) for custom_id, why in failed.items() if custom_id not in answers}

    def _fail(self, custom_id: str, why: str, final: bool) -> list[str]:
        reasons = self.failures.setdefault(bytes.fromhex(custom_id), [])
        reasons += [why] * (MOST_FAILURES if final else 1)
        return reasons


def _is_final(result: dict) -> bool:
    response = result.get("response")
    return isinstance(response, dict) and is_final(response.get("status_code"))


def _files_of(missing: dict[bytes, dict]) -> Iterator[bytes]:
    """Files of requests within the service's limits; one endpoint a file."""
    for path in sorted({path_of(body) for body in missing.values()}):
        lines, size = [], 0
        for key, body in missing.items():
            if path_of(body) != path:
                continue
            request = {"custom_id": key.hex(), "method": "POST", "url": f"/v1{path}", "body": body}
            line = json.dumps(request, sort_keys=True).encode() + b"\n"
            if lines and (len(lines) == MOST_REQUESTS or size + len(line) > MOST_BYTES):
                yield b"".join(lines)
                lines, size = [], 0
            lines.append(line)
            size += len(line)
        if lines:
            yield b"".join(lines)
