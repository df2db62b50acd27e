"""`--batch`: the missing answers are asked for in batch files, at half the price and within a day.

    --batch                 send them to the service (files and batches of the OpenAI protocol), wait, go on
    --batch FOLDER          write FOLDER/*.requests.jsonl and end; once FOLDER/*.results.jsonl lie beside them (vLLM's
                            run_batch writes such), the same command goes on

All rows are read with what the store holds; what is missing is collected, sent, and taken into the store, until nothing
is missing: a step whose requests depend on earlier answers takes a batch a level. Then the ordinary run finds every
answer in the store, so the output has the bytes that it has without --batch.

Each file of requests is known by the hash of its content, which stands in the batch's metadata too: a run that is
killed at any moment finds what it has sent, and sends nothing twice.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from common.errors import BadRow, Paused, Reject, ServerRefused
from common.llm.options import SERVICE, LLMOptions
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
from common.program import progress
from common.redaction import redact
from common.rows import write_text
from common.step import Step

MOST_REQUESTS, MOST_BYTES = 50_000, 190_000_000  # of one file; the service takes 50,000 and 200 MB
MOST_FAILURES = 3  # of one request in batches: then its row is set aside
ENDED = ("completed", "expired", "cancelled", "failed")


class _Missing(Exception):
    """The row waits for an answer that is not in the store yet."""


async def run_in_batches(
    step: Step, options: LLMOptions, work: Callable[[dict, Any], Awaitable], store: AnswerStore, identity: str
) -> tuple[dict[bytes, str], Counter]:
    """Fill the store with all answers that the rows need. Gives the keys that batches failed to answer, each with the
    reason, and the tokens that were paid for."""
    folder = Path(f"{step.output}.batches") if options.batch == SERVICE else Path(options.batch)
    folder.mkdir(parents=True, exist_ok=True)
    batches = _Batches(folder, options, store)
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

    def __init__(self, folder: Path, options: LLMOptions, store: AnswerStore) -> None:
        self.folder, self.options, self.store = folder, options, store
        self.failures: dict[bytes, list[str]] = {}
        self.spent: Counter[str] = Counter()
        self.client = _client(options) if options.batch == SERVICE else None
        for _, said in self._known():
            for custom_id, reasons in said.get("failed", {}).items():
                key = bytes.fromhex(custom_id)
                self.failures[key] = max(self.failures.get(key, []), reasons, key=len)

    def given_up(self, key: bytes) -> bool:
        return len(self.failures.get(key, ())) >= MOST_FAILURES

    def why(self, key: bytes) -> str:
        return self.failures[key][-1]

    async def answer(self, missing: dict[bytes, dict]) -> None:
        for requests in _files_of(missing):
            name = self._new_name(hashlib.sha256(requests).hexdigest()[:16])
            path = self.folder / f"{name}.requests.jsonl"
            if not path.exists():
                write_text(path, requests.decode())
            if self.client is not None:
                self._note(name, batch_id=self._send(name, path), state="sent")
            else:
                self._note(name, state="written")
        await self.go_on()

    async def go_on(self) -> None:
        """Wait for all batches that are under way, and take their answers into the store."""
        waiting = {name: said for name, said in self._known() if said["state"] in ("sent", "written")}
        for name, said in waiting.items():
            if self.client is None:
                lines = self._results_beside(name)
            else:
                lines = self._wait_for(name, said["batch_id"])
            failed = await self._take(lines, name)
            # By way of a folder each run is one try, so what failed before counts: else it would never end.
            self._note(name, **said | {"state": "done"} | ({} if self.client else {"failed": failed}))

    def _new_name(self, digest: str) -> str:
        """The same requests again, because all of them failed, are another file."""
        number = 0
        while (self.folder / f"{digest}_{number}.batch.json").exists():
            number += 1
        return f"{digest}_{number}"

    def _known(self) -> Iterator[tuple[str, dict]]:
        for path in sorted(self.folder.glob("*.batch.json")):
            yield path.name.partition(".")[0], json.loads(path.read_text(encoding="utf-8"))

    def _note(self, name: str, **said: Any) -> None:
        write_text(self.folder / f"{name}.batch.json", json.dumps(said) + "\n")

    # ------------------------------------------------------------ the service

    def _send(self, name: str, path: Path) -> str:
        """The id of the batch of this file: of one that a killed run has created, or of a new one."""
        import openai

        try:
            for batch in self.client.batches.list(limit=100):
                sent = (batch.metadata or {}).get("requests") == name
                if sent and batch.status not in ("failed", "expired", "cancelled"):
                    return batch.id
            with open(path, "rb") as file:
                uploaded = self.client.files.create(file=file, purpose="batch")
            endpoint = json.loads(path.open(encoding="utf-8").readline())["url"]
            return self.client.batches.create(
                input_file_id=uploaded.id, endpoint=endpoint, completion_window="24h", metadata={"requests": name}
            ).id
        except openai.APIStatusError as error:
            raise ServerRefused(f"the batch was refused: {redact(str(error))}") from error
        except openai.APIConnectionError as error:
            raise _not_there(error) from error

    def _wait_for(self, name: str, batch_id: str) -> list[str]:
        """The lines of its results, also of one that expired or was cancelled: what it has answered is paid for."""
        import openai

        with progress(desc=f"batch {name}", unit="request") as bar:
            while True:
                try:
                    batch = self.client.batches.retrieve(batch_id)
                except openai.APIConnectionError as error:
                    raise _not_there(error) from error
                counts = batch.request_counts
                if counts is not None:
                    bar.total = counts.total
                    bar.n = counts.completed + counts.failed
                bar.set_postfix_str(batch.status)
                if batch.status in ENDED:
                    break
                time.sleep(self.options.batch_poll)
        files = [file for file in (batch.output_file_id, batch.error_file_id) if file]
        if batch.status == "failed" and not files:
            said = "; ".join(error.message or "" for error in (batch.errors.data if batch.errors else None) or [])
            raise ServerRefused(f"the service turned the batch down: {redact(said) or 'without a reason'}")
        if batch.status != "completed":
            print(f"batch {batch_id} {batch.status}: what it did not answer is asked for again", file=sys.stderr)
        return [line for file in files for line in self.client.files.content(file).text.split("\n")]

    # ------------------------------------------------------------ a folder

    def _results_beside(self, name: str) -> list[str]:
        path = self.folder / f"{name}.results.jsonl"
        if not path.exists():
            raise Paused(
                f"{self.folder}: requests are written; answer them, for instance python -m vllm.entrypoints.openai."
                f"run_batch -i {name}.requests.jsonl -o {name}.results.jsonl --model NAME, then run this command again"
            )
        return path.read_text(encoding="utf-8").split("\n")  # only there does a line end: texts hold U+2028

    # ------------------------------------------------------------ answers

    async def _take(self, lines: list[str], name: str) -> dict[str, list[str]]:
        """Store the answers; for each that failed, the reasons of all its failures."""
        asked = {}
        with open(self.folder / f"{name}.requests.jsonl", encoding="utf-8") as file:
            for line in file:
                request = json.loads(line)
                asked[request["custom_id"]] = request["body"]
        answers, failed = [], {}
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
                answers.append((bytes.fromhex(custom_id), texts_of(response["body"], body)[0]))
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                why = result.get("error") or error
                failed[custom_id] = self.failures.setdefault(bytes.fromhex(custom_id), [])
                failed[custom_id].append(redact(f"in a batch: {why}"))
        if not answers and not failed:
            self._note(name, state="done")
            raise Paused(f"batch {name} answered nothing; run again to send it again")
        if answers:
            await self.store.put(answers)
        add_tokens(self.spent, [answer for _, answer in answers])
        return failed


def _not_there(error: Exception) -> Paused:
    return Paused(f"the batch service does not answer: {redact(str(error))}; run again to go on")


def _client(options: LLMOptions) -> Any:
    import openai

    url = (options.base_url or [os.environ.get("OPENAI_BASE_URL", "")])[0].split(",")[0] or None
    return openai.OpenAI(base_url=url, api_key=os.environ.get("OPENAI_API_KEY") or "none", max_retries=5)


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
