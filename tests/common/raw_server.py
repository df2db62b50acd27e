"""A server that writes whatever bytes the test wants on its connections, whether they were asked for or not."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

Write = Callable[[bytes], None]


def http(payload: object, status: str = "200 OK", head: str = "") -> bytes:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body


@contextmanager
def raw_server(respond: Callable[[dict, Write], Awaitable[None]]) -> Iterator[str]:
    """`await respond(body, write)` for every POST, whose X-Request-Id is in body["request_id"]; gives the base URL."""
    loop, address = asyncio.new_event_loop(), []
    started = threading.Event()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def write(data: bytes) -> None:
            if not writer.is_closing():
                writer.write(data)

        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"content-length:")[2].split(b"\r\n")[0]
                body = await reader.readexactly(int(length or 0))
                if head.startswith(b"get"):
                    write(http({"data": [{"id": "raw"}]}))
                else:
                    request_id = head.partition(b"x-request-id:")[2].split(b"\r\n")[0].decode().strip()
                    await respond(json.loads(body) | {"request_id": request_id}, write)
                await writer.drain()
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(connection, "127.0.0.1", 0, limit=2**24)
        address.append(server.sockets[0].getsockname()[1])
        started.set()
        await asyncio.Event().wait()

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        for left in asyncio.all_tasks(loop):
            left.cancel()
        loop.run_until_complete(asyncio.sleep(0))

    task = loop.create_task(serve())
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    started.wait()
    try:
        yield f"http://127.0.0.1:{address[0]}/v1"
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
