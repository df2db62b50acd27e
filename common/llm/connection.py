"""One request and its response over a connection, and whether the response can be trusted to belong to the request.

HTTP/1.1 matches the two by nothing but their order on a connection: a response that is sent twice, late or cut makes
each later request on it get another one's answer. So a connection is used again only after a response whose `id` proves
it new. What proves nothing is read from a connection of its own; what proves the opposite drops its connection.
(A server that repeats the X-Request-Id it is sent in the id of its answer proves it fully. With others one lie cannot
be seen: a response that nobody asked for, on a connection in use, with an id never used before.)
"""

import asyncio
import itertools
import resource
import secrets
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import aiohttp

CONNECT_SECONDS = 30.0
LONGEST_LOOK = 1.0  # seconds between two looks for exchanges that take too long
IDS_KEPT = 100_000  # at least so many of the last ids are remembered, at most twice as many


@dataclass(slots=True)
class Exchange:
    """One request under way; `tag` is sent as X-Request-Id, which vLLM (and the stand-in) make part of the id."""

    tag: str
    under_way: dict[str, "Exchange"]
    ends: float
    late: bool = False  # no answer by then
    connection: aiohttp.connector.Connection | None = None
    reused: bool = False
    trusted: bool = False

    def __enter__(self) -> "Exchange":
        self.under_way[self.tag] = self
        return self

    def __exit__(self, *error: object) -> None:
        """Give the connection back, or close it."""
        del self.under_way[self.tag]
        if self.connection is not None and self.trusted and self.connection.protocol is not None:
            del self.connection.release
            self.connection.release()
        elif self.connection is not None:
            self.connection.close()


_current: ContextVar[Exchange] = ContextVar("exchange")


class _Connector(aiohttp.TCPConnector):
    """Leaves a connection with its exchange until that has ended; aiohttp gives it back when the body was read."""

    def __init__(self, **options: Any) -> None:
        super().__init__(limit=0, ttl_dns_cache=600, **options)

    async def connect(self, *args: Any, **options: Any) -> aiohttp.connector.Connection:
        exchange = _current.get()
        while True:
            exchange.reused = True
            connection = await super().connect(*args, **options)
            if not (exchange.reused and connection.protocol.should_close):
                break
            connection.close()  # bytes came while it was idle, which nobody had asked for
        connection.release = lambda: None
        exchange.connection = connection
        return connection

    async def _create_connection(self, *args: Any, **options: Any) -> Any:
        _current.get().reused = False
        return await super()._create_connection(*args, **options)


class Connections:
    """The connections of a run, and the ids of the answers that came over them."""

    def __init__(self, headers: dict[str, str], request_timeout: float) -> None:
        self._run = secrets.token_hex(6)
        self._tags = itertools.count()
        self._ids: set[int] = set()
        self._older_ids: set[int] = set()
        self._request_timeout = request_timeout
        self._under_way: dict[str, Exchange] = {}  # in the order in which they began
        self._end_late_exchanges()
        connecting = min(CONNECT_SECONDS, request_timeout)
        timeout = aiohttp.ClientTimeout(total=None, connect=connecting, sock_connect=connecting)
        self._kept, self._single_use = (
            aiohttp.ClientSession(
                connector=_Connector(force_close=force_close),
                headers={"Content-Type": "application/json"} | headers,
                timeout=timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
            for force_close in (False, True)
        )

    async def close(self) -> None:
        self._next_look.cancel()
        await self._kept.close()
        await self._single_use.close()

    def exchange(self) -> Exchange:
        return Exchange(
            f"{self._run}-{next(self._tags):010x}", self._under_way, time.monotonic() + self._request_timeout
        )

    def _end_late_exchanges(self) -> None:
        """One look at the oldest now and then; a timer for each was a twentieth of the work of the client."""
        now = time.monotonic()
        for exchange in self._under_way.values():
            if exchange.ends > now:
                break
            exchange.late = True
            if exchange.connection is not None and exchange.connection.transport is not None:
                exchange.connection.transport.abort()  # whoever reads from it gets an error
        interval = min(LONGEST_LOOK, self._request_timeout / 20)
        self._next_look = asyncio.get_running_loop().call_later(interval, self._end_late_exchanges)

    async def request(
        self, exchange: Exchange, method: str, url: str, body: bytes | None, proxy: str | None, own: bool, limit: int
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        """The response and its body, over a connection of its `own` or any. A longer body than `limit`: MemoryError."""
        _current.set(exchange)
        session = self._single_use if own else self._kept
        headers = {"X-Request-Id": exchange.tag}
        async with session.request(
            method, url, data=body and aiohttp.BytesPayload(body), proxy=proxy, headers=headers, allow_redirects=False
        ) as response:
            parts, size = [], 0
            async for part in response.content.iter_any():
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise MemoryError
            return response, b"".join(parts)

    def belongs(self, exchange: Exchange, answer_id: Any) -> bool | None:
        """Whether the answer with this id is the one to this exchange. None: nothing says so but that its connection
        is new, or something would if it were."""
        if isinstance(answer_id, str) and self._run in answer_id:
            exchange.trusted = exchange.tag in answer_id
            return exchange.trusted
        if not isinstance(answer_id, str) or not answer_id or self._seen(answer_id):
            return None if not exchange.reused else False
        exchange.trusted = True
        return True

    def _seen(self, answer_id: str) -> bool:
        """Before in this run; whoever asks has seen it now."""
        known = hash(answer_id)
        seen = known in self._ids or known in self._older_ids
        self._ids.add(known)
        if len(self._ids) >= IDS_KEPT:
            self._ids, self._older_ids = set(), self._ids
        return seen


def allow_many_sockets() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else 65536, hard))
