"""The OpenAI protocol, with as many requests in flight as there are workers.

Protocol faults end here: 429, 5xx, dropped and hanging connections, HTML or cut JSON with status 200 are tried again,
elsewhere if there are several servers. What a step sees is an answer, a Reject (this request will never be answered),
ServerRefused (none will be), QuotaSpent (none will be before somebody pays) or ServerDown (none was for too long).

A refusal (403 and the like) is the row's if anything else is answered, now or by the store; a run in which, before any
answer, all requests in flight and at least two are refused is taken for a wrong set-up and ends at once.

Requests are posted directly. Measured on 2 cores at 64 / 256 / 1,024 in flight against a server that takes 200 ms
(tests/bench/bench_client.py): bare aiohttp 309 / 920-1,069 / 2,311-2,465 requests/s, the openai SDK 174-211 / 170-249 /
279, the SDK over its aiohttp transport without response models 231 / 387 / 442.
"""

import asyncio
import contextlib
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from common.errors import BadInput, QuotaSpent, Reject, ServerDown, ServerRefused
from common.llm.connection import CONNECT_SECONDS, Connections, Exchange, allow_many_sockets
from common.llm.responses import (
    Unanswered,
    checked_choices,
    checked_models,
    error_of,
    parse_json,
    retry_after,
    target_of,
)
from common.llm.servers import Server, key_header
from common.redaction import redact

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds between tries, doubled each time, with jitter
LONGEST_WAIT_WHILE_ALIVE = 2.0  # after an odd failure of a server that answers others
MAX_TRIES = 20  # of one request, on a server that answers others
LOAD_TRIES = 5  # failures for the server's load count as one try
SILENT_TRIES = 5  # failures while nobody was answered, after which it is looked whether that is the request's fault
REFUSALS = 20  # of requests that look like a wrong set-up, one after the other, until it is looked whether it is one
REFUSALS_AT_THE_END = 5
REFUSALS_OF_ALL = 100  # where nothing was ever answered
OUTAGE = 2.0  # seconds without an answer after which the first one wakes those that wait for another try
RETRIED = {408, 409, 425, 429}
WRONG_SETUP = {301, 302, 303, 307, 308, 401, 403, 404, 405}
UNAVAILABLE = {429, 502, 503, 504}
ADVICE = {401: "is OPENAI_API_KEY set?", 404: "is the address right, and the model's name?"}


class _Refused(Exception):
    """The server will not answer this request, however often it is asked."""

    def __init__(self, status: int, said: str) -> None:
        self.status, self.said = status, said
        super().__init__(f"{status} {said}".strip())


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    path: str
    body: bytes | None
    check: Callable[[Any], Any]


class LLMClient:
    def __init__(
        self, base_urls: list[str], request_timeout: float, server_timeout: float, largest_answer: int = 64 * 2**20
    ) -> None:
        self.servers = [Server(url) for url in base_urls]
        self.errors: Counter[str] = Counter()
        self.retries = self.answered = self.refused = 0
        self.served_as: set[str] = set()  # model names in the answers
        self.last_refusal = ""
        self._headers = key_header()
        self._request_timeout, self._server_timeout = request_timeout, server_timeout
        self._largest_answer = largest_answer
        self._failing_since: float | None = None  # since when no request was answered
        self._recovered = asyncio.Event()
        self._known_good: _Call | None = None  # one that was answered, in this run or before
        self._checking = False
        self._hopeful = 0  # requests in flight that may be answered yet
        self._refusals_in_row = 0
        self._posts = self._undecided = 0  # calls of `post` that go on; those that were refused before any was answered
        self._news = asyncio.Event()

    async def __aenter__(self) -> "LLMClient":
        allow_many_sockets()
        self._connections = Connections(self._headers, self._request_timeout)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._connections.close()

    async def models(self, patient: bool = True) -> dict[str, dict]:
        """What the server says of each model; Reject if it lists none, or is not there at once and nobody `patient`."""
        call = _Call("GET", "/models", None, checked_models)
        try:
            if patient:
                return await self._until_answered(call, max_tries=3)
            return await self._try(call, own=True, hopeful=True)
        except (_Refused, Unanswered) as failure:
            raise Reject(str(failure)) from None

    async def only_model(self) -> str:
        """The model that the server serves, if it serves one."""
        shown = self.servers[0].shown
        try:
            models = list(await self.models())
        except Reject as why:
            raise BadInput(f"{shown} does not list its models ({why}); give --model") from None
        if len(models) != 1:
            raise BadInput(f"{shown} serves {len(models)} models, choose one with --model: {models}")
        return models[0]

    async def post(self, path: str, body: bytes) -> dict:
        """The server's answer to one request: its payload with at least one choice."""
        call = _Call("POST", path, body, checked_choices)
        self._posts += 1
        try:
            payload = await self._until_answered(call)
        except _Refused as refused:
            await self._judge(refused)
            raise Reject(f"BadRequestError {refused.status}: {refused.said}") from None
        finally:
            self._posts -= 1
            self._tell_news()
        self._known_good = call
        self._refusals_in_row = 0
        self.served_as.add(str(payload.get("model")))
        return payload

    def answered_before(self, path: str, body: bytes) -> None:
        """This request was answered in an earlier run: whoever refuses others does not refuse all."""
        if self._known_good is None:
            self._known_good = _Call("POST", path, body, checked_choices)
            self._tell_news()

    # ------------------------------------------------------------ trying again

    async def _until_answered(self, call: _Call, max_tries: int | None = None) -> Any:
        wait, pause, failed_by_itself, own = FIRST_WAIT, 0.0, False, False
        tries = silent = 0
        answered_before = self.answered
        while True:
            try:
                return await self._try(call, own, hopeful=not failed_by_itself)
            except Unanswered as failure:
                alive = self.answered > answered_before  # others are answered: it is not the server
                answered_before = self.answered
                about, failed_by_itself = failure.about, failure.about == "connection"
                if alive:
                    tries += 1 if about != "load" else 1 / LOAD_TRIES
                elif about in ("request", "mixed up"):
                    tries += 1
                else:
                    silent += 1
                    if silent % SILENT_TRIES == 0 and await self._is_well():
                        tries += SILENT_TRIES if about == "connection" else 1
                        wait = FIRST_WAIT
                if tries >= (max_tries or MAX_TRIES) and (alive or max_tries or await self._is_well()):
                    raise Reject(f"not answered in {int(tries)} tries; the last: {failure}") from failure
                await self._stop_if_down(failure, call)
                known = self._known_good is not None
                odd = about == "request" and known and tries < MAX_TRIES  # of a server that answers others, it seems
                longest = LONGEST_WAIT_WHILE_ALIVE if odd or (alive and about != "load") else LONGEST_WAIT
                pause = max(failure.retry_after, min(wait, longest) * random.uniform(0.5, 1.5))
                own = about == "mixed up"
                limited = failure.retry_after > 0 or failure.kind.startswith("RateLimit")
            self.retries += 1
            if not own or tries > 1:
                await self._wait(pause, until_recovery=not limited)
                wait = min(2 * wait, LONGEST_WAIT)

    def _pick(self) -> Server:
        """The least busy server that is not resting after a failure; if all rest, the one that rests shortest."""
        if len(self.servers) == 1:
            return self.servers[0]
        now = time.monotonic()
        awake = [server for server in self.servers if server.rests_until <= now]
        if awake:
            return min(awake, key=lambda server: (server.in_flight, server.sent))
        return min(self.servers, key=lambda server: server.rests_until)

    async def _try(self, call: _Call, own: bool, hopeful: bool) -> Any:
        server = self._pick()
        server.in_flight += 1
        server.sent += 1
        self._hopeful += hopeful
        try:
            own = own or not server.ids_tell or call.method == "GET"
            with self._connections.exchange() as exchange:
                answer = await self._exchange(server, call, exchange, own)
        except Unanswered as failure:
            self._note_failure(server, failure)
            raise
        finally:
            server.in_flight -= 1
            self._hopeful -= hopeful
        server.failures = 0
        self._note_answer()
        return answer

    async def _exchange(self, server: Server, call: _Call, exchange: Exchange, own: bool) -> Any:
        try:
            response, payload = await self._connections.request(
                exchange, call.method, server.base_url + call.path, call.body, server.proxy, own, self._largest_answer
            )
        except aiohttp.ConnectionTimeoutError:
            seconds = min(CONNECT_SECONDS, self._request_timeout)
            raise Unanswered("APITimeoutError", f"no connection in {seconds:g} s", "connection") from None
        except aiohttp.InvalidURL as error:
            raise ServerRefused(f"{server.shown}: not an address: {error}") from None
        except MemoryError:
            self.refused += 1
            self.last_refusal = f"the answer is larger than {self._largest_answer / 2**20:g} MB (--max_answer_mb)"
            raise Reject(self.last_refusal) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: headers that are none
            if exchange.late:
                raise Unanswered("APITimeoutError", f"no answer in {self._request_timeout:g} s", "connection") from None
            said = redact(str(error)) or type(error).__name__
            raise Unanswered("APIConnectionError", said, "connection") from None
        if response.status != 200:
            raise self._bad_status(server, response, payload)
        answer = parse_json(payload)
        checked = call.check(answer)
        belongs = self._connections.belongs(exchange, answer.get("id"))
        if belongs is None and call.method == "POST":
            server.ids_tell = False
        if belongs is False:
            raise Unanswered("APIResponseMixedUp", "the answer to another request, or one without an id", "mixed up")
        return checked

    def _bad_status(self, server: Server, response: aiohttp.ClientResponse, payload: bytes) -> Exception:
        status, (said, about_money) = response.status, error_of(payload)
        if status == 402 or (about_money and status >= 400):
            return QuotaSpent(
                f"{server.shown}: {status} {said}: the account has no money or quota left. Everything so far is kept, "
                "run again to go on"
            )
        if status >= 500 or status in RETRIED:
            kind = "RateLimitError" if status == 429 else "InternalServerError"
            about = "load" if status in UNAVAILABLE else "request"
            return Unanswered(f"{kind} {status}", said, about, retry_after(response.headers))
        if status in WRONG_SETUP or status >= 400:
            self.errors[f"BadRequestError {status}"] += 1
            to = f"redirects to {target_of(response)}, which is not followed" if status < 400 else said
            return _Refused(status, to)
        return Unanswered("APIResponseValidationError", f"status {status}")  # 204, 206, 304 and the like: no answer

    # ------------------------------------------------------------ whose fault is it

    async def _judge(self, refused: _Refused) -> None:
        """Returns if the server refuses this request; raises if it refuses all."""
        self.refused += 1
        self.last_refusal = f"{self.servers[0].shown} refused every request; the last: {refused}"
        if self._known_good is None and refused.status in WRONG_SETUP:
            await self._hear_of_others()
            if self._known_good is None and self.refused > 1:
                advice = ADVICE.get(refused.status, "check the set-up")
                raise ServerRefused(f"{self.servers[0].shown} refuses every request: {refused}; {advice}")
        if self._known_good is None and self.refused >= REFUSALS_OF_ALL:
            raise ServerRefused(self.last_refusal)
        self._refusals_in_row += refused.status in WRONG_SETUP
        if self._refusals_in_row == REFUSALS:
            await self.check_refusals()

    async def _hear_of_others(self) -> None:
        """Until another request is answered, or all that are in flight are refused as well."""
        self._undecided += 1
        self._tell_news()
        while self._known_good is None and self._undecided < self._posts:
            await self._news.wait()
        self._undecided -= 1

    def _tell_news(self) -> None:
        if self._undecided:
            self._news.set()
            self._news = asyncio.Event()

    async def check_refusals(self, at_least: int = REFUSALS_AT_THE_END) -> None:
        """Raise if the last requests were all refused, and so is now one that was answered before."""
        if self._refusals_in_row < at_least:
            return
        self._refusals_in_row = 0
        if await self._is_well() is False:
            raise ServerDown(
                f"{self.servers[0].shown} refuses now what it answered before; the last: {self.last_refusal}. "
                "Everything so far is kept, run again to go on"
            )

    async def _is_well(self) -> bool | None:
        """Whether the server answers a request that it, or another like it, has answered before. None: not known."""
        if self._known_good is None or self._checking:
            return None
        self._checking = True
        try:
            await self._try(self._known_good, own=False, hopeful=False)
        except (Unanswered, _Refused, Reject):
            return False
        finally:
            self._checking = False
        return True

    def _note_answer(self) -> None:
        self.answered += 1
        if self._failing_since is not None and time.monotonic() - self._failing_since > OUTAGE:
            self._recovered.set()
            self._recovered = asyncio.Event()
        self._failing_since = None

    async def _wait(self, seconds: float, until_recovery: bool) -> None:
        """The pause before another try; a server that is back ends the pauses that its absence caused."""
        if not until_recovery:
            await asyncio.sleep(seconds)
            return
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._recovered.wait(), seconds)

    def _note_failure(self, server: Server, failure: Unanswered) -> None:
        """Count it, let the server rest."""
        now = time.monotonic()
        self.errors[failure.kind] += 1
        if self._failing_since is None:
            self._failing_since = now
            if not self.answered:
                print(f"waiting for {server.shown} ({failure}), up to {self._server_timeout:g} s", file=sys.stderr)
        if failure.about in ("connection", "load"):
            server.failures += 1
            server.rests_until = now + min(FIRST_WAIT * 2 ** min(server.failures, 10), LONGEST_WAIT)

    async def _stop_if_down(self, failure: Unanswered, call: _Call) -> None:
        """Raise if nothing was answered for too long, nothing in flight may be yet, and what was answered before is
        not answered now."""

        def down() -> bool:
            since = self._failing_since
            return since is not None and time.monotonic() - since >= self._server_timeout and not self._hopeful

        if down() and not await self._is_well() and down():
            raise ServerDown(
                f"{self.servers[0].shown}{call.path}: no request was answered for {self._server_timeout:g} s; "
                f"the last: {failure}. Everything so far is kept, run again to go on"
            )
