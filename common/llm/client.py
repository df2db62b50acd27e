"""The OpenAI protocol, posted directly (the SDK reaches a third of this rate at 1,024 requests in flight).

Protocol faults end here: 429, 5xx, dropped and hanging connections, HTML or cut JSON with status 200 are tried again,
elsewhere if there are several servers. What a step sees is an answer, a Reject (this request will never be answered),
ServerRefused (no request will be) or ServerDown (none was for too long).
"""

import asyncio
import contextlib
import email.utils
import json
import os
import random
import resource
import sys
import time
import urllib.parse
import urllib.request
from collections import Counter
from typing import Any

import aiohttp

from common.errors import BadInput, Reject, ServerDown, ServerRefused
from common.redaction import redact

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds between tries, doubled each time, with jitter
LONGEST_WAIT_WHILE_ALIVE = 2.0  # after an odd failure of a server that answers others
LONGEST_RETRY_AFTER = 300.0
MAX_TRIES = 20  # of one request, on a server that answers others
OUTAGE = 2.0  # seconds without an answer after which the first one wakes those that wait for another try
RETRIED = {408, 409, 425, 429}
WRONG_SETUP = {401, 403, 404, 405}
UNAVAILABLE = {429, 502, 503, 504}


class Unanswered(Exception):
    """One try failed. It says something about this `request`, about the `connection`, or the server's `load`."""

    def __init__(self, kind: str, detail: str, about: str = "request", retry_after: float = 0.0) -> None:
        self.kind, self.about, self.retry_after = kind, about, retry_after
        super().__init__(f"{kind}: {detail}" if detail else kind)


class Server:
    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.in_flight = self.sent = 0
        self.rests_until = 0.0
        self.failures = 0
        parts = urllib.parse.urlsplit(base_url)
        proxies = {} if urllib.request.proxy_bypass(parts.netloc) else urllib.request.getproxies()
        self.proxy = proxies.get(parts.scheme)


def parse_base_urls(given: list[str] | None) -> list[str]:
    """Of `--base_url` (repeated or comma-separated) or OPENAI_BASE_URL; a bare host gets http:// and /v1."""
    words = ",".join(given or [os.environ.get("OPENAI_BASE_URL", "")]).split(",")
    urls = []
    for word in filter(None, map(str.strip, words)):
        url = (word if "://" in word else f"http://{word}").rstrip("/")
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput(f"{redact(word)}: not a server address like http://127.0.0.1:8000/v1")
        if parts.username is not None and os.environ.get("OPENAI_API_KEY"):
            raise BadInput(
                f"{redact(word)}: holds a user, and OPENAI_API_KEY is set; a request carries only one of them"
            )
        urls.append(url if parts.path else url + "/v1")
    if not urls:
        raise BadInput("no server named: give --base_url http://host:8000/v1 or set OPENAI_BASE_URL")
    return list(dict.fromkeys(urls))


class LLMClient:
    def __init__(self, base_urls: list[str], request_timeout: float, server_timeout: float) -> None:
        self.servers = [Server(url) for url in base_urls]
        self.errors: Counter[str] = Counter()
        self.retries = self.answered = 0
        self.served_as: set[str] = set()  # model names in the answers
        self._server_timeout = server_timeout
        self._timeout = aiohttp.ClientTimeout(total=request_timeout, sock_connect=30)
        self.refused = 0
        self.last_refusal = ""
        self._failing_since: float | None = None  # since when no request was answered
        self._recovered = asyncio.Event()
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get("OPENAI_API_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        self._headers = headers

    async def __aenter__(self) -> "LLMClient":
        _allow_many_sockets()
        connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=600)
        self._session = aiohttp.ClientSession(
            connector=connector, headers=self._headers, timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._session.close()

    async def only_model(self) -> str:
        """The model that the server serves, if it serves one."""
        try:
            models = await self._until_answered("GET", "/models", None, _checked_models, max_tries=3)
        except Reject as why:
            raise BadInput(f"{self.servers[0].base_url} does not list its models ({why}); give --model") from None
        if len(models) != 1:
            raise BadInput(f"{self.servers[0].base_url} serves {len(models)} models, choose one with --model: {models}")
        return models[0]

    async def post(self, path: str, body: bytes) -> dict:
        """The server's answer to one request: its payload with at least one choice."""
        payload = await self._until_answered("POST", path, body, _checked_choices)
        self.served_as.add(str(payload.get("model")))
        return payload

    async def _until_answered(
        self, method: str, path: str, body: bytes | None, check: Any, max_tries: int | None = None
    ) -> Any:
        tries, wait, answered_before = 0, FIRST_WAIT, self.answered
        while True:
            server = self._pick()
            server.in_flight += 1
            server.sent += 1
            try:
                answer = check(await self._try(server, method, path, body))
            except Unanswered as failure:
                self._note_failure(server, failure, path)
                alive = self.answered > answered_before  # others are answered: it is not the server
                answered_before = self.answered
                tries += alive or failure.about == "request"
                if tries >= (max_tries or MAX_TRIES):
                    raise Reject(f"not answered in {tries} tries; the last: {failure}") from failure
                longest = LONGEST_WAIT_WHILE_ALIVE if alive and failure.about != "load" else LONGEST_WAIT
                pause = max(failure.retry_after, min(wait, longest) * random.uniform(0.5, 1.5))
                limited = failure.retry_after > 0 or failure.kind.startswith("RateLimit")
            else:
                server.failures = 0
                self._note_answer()
                return answer
            finally:
                server.in_flight -= 1
            await self._wait(pause, until_recovery=not limited)
            wait = min(2 * wait, LONGEST_WAIT)
            self.retries += 1

    def _pick(self) -> Server:
        """The least busy server that is not resting after a failure; if all rest, the one that rests shortest."""
        if len(self.servers) == 1:
            return self.servers[0]
        now = time.monotonic()
        awake = [server for server in self.servers if server.rests_until <= now]
        if awake:
            return min(awake, key=lambda server: (server.in_flight, server.sent))
        return min(self.servers, key=lambda server: server.rests_until)

    async def _try(self, server: Server, method: str, path: str, body: bytes | None) -> Any:
        try:
            async with self._session.request(method, server.base_url + path, data=body, proxy=server.proxy) as response:
                payload = await response.read()
        except asyncio.TimeoutError:
            raise Unanswered("APITimeoutError", f"no answer in {self._timeout.total:g} s", "connection") from None
        except aiohttp.InvalidURL as error:
            raise ServerRefused(f"{server.base_url}: not an address: {error}") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unanswered("APIConnectionError", str(error) or type(error).__name__, "connection") from None
        if response.status != 200:
            raise self._bad_status(server, response.status, response.headers, payload)
        try:
            return json.loads(payload)
        except ValueError:
            kind = "HTML" if payload.lstrip()[:1] == b"<" else "cut or broken JSON"
            raise Unanswered("APIResponseValidationError", f"{kind} with status 200") from None

    def _bad_status(self, server: Server, status: int, headers: Any, payload: bytes) -> Exception:
        said = _error_message(payload)
        if status >= 500 or status in RETRIED:
            kind = "RateLimitError" if status == 429 else "InternalServerError"
            after = _retry_after(headers.get("Retry-After"))
            return Unanswered(f"{kind} {status}", said, "load" if status in UNAVAILABLE else "request", after)
        if status in WRONG_SETUP:
            advice = {401: "is OPENAI_API_KEY set?", 404: "is the address right, and the model's name?"}
            return ServerRefused(
                f"{server.base_url} refuses every request: {status} {said}; {advice.get(status, 'check the set-up')}"
            )
        self.errors[f"BadRequestError {status}"] += 1
        self.refused += 1
        self.last_refusal = f"{server.base_url} refused every request; the last: {status} {said}"
        if not self.served_as and self.refused >= 100:
            return ServerRefused(self.last_refusal)
        return Reject(f"BadRequestError {status}: {said}")

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

    def _note_failure(self, server: Server, failure: Unanswered, path: str) -> None:
        """Count it, let the server rest, stop the run if nothing was answered for too long."""
        now = time.monotonic()
        self.errors[failure.kind] += 1
        if self._failing_since is None:
            self._failing_since = now
            if not self.answered:
                message = f"waiting for {server.base_url} ({failure}), up to {self._server_timeout:g} s"
                print(redact(message), file=sys.stderr)
        if failure.about != "request":
            server.failures += 1
            server.rests_until = now + min(FIRST_WAIT * 2 ** min(server.failures, 10), LONGEST_WAIT)
        if now - self._failing_since >= self._server_timeout:
            raise ServerDown(
                f"{server.base_url}{path}: no request was answered for {self._server_timeout:g} s; "
                f"the last: {failure}. Everything so far is kept, run again to go on"
            )


def _checked_choices(payload: Any) -> dict:
    try:
        for choice in payload["choices"]:
            text = choice["message"]["content"] if "message" in choice else choice["text"]
            if not isinstance(text, str | None):
                raise TypeError
        payload["choices"][0]
    except (KeyError, TypeError, IndexError):
        said = json.dumps(payload, ensure_ascii=True)[:200]
        raise Unanswered("APIResponseValidationError", f"no choices in {said}") from None
    return payload


def _checked_models(payload: Any) -> list[str]:
    try:
        return [model["id"] for model in payload["data"]]
    except (KeyError, TypeError):
        raise Unanswered("APIResponseValidationError", "no list of models") from None


def _error_message(payload: bytes) -> str:
    text = payload.decode(errors="replace")
    try:
        error = json.loads(text)
        error = error.get("error", error) if isinstance(error, dict) else error
        text = error.get("message", text) if isinstance(error, dict) else str(error)
    except ValueError:
        pass
    return redact(" ".join(str(text).split())[:500])


def _retry_after(value: str | None) -> float:
    """Seconds, or a date; a server may ask for at most five minutes."""
    if not value:
        return 0.0
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return 0.0
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER) if seconds == seconds else 0.0


def _allow_many_sockets() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else 65536, hard))
