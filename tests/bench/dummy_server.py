"""The fastest OpenAI server that answers nothing: the other end of the client's benchmark.

    python tests/bench/dummy_server.py --port 8000 --latency 0.2

Every POST gets the same chat completion after exactly --latency seconds, with an id of its own unless --no_ids; GET
/v1/models names the model `dummy`.
A raw asyncio protocol with keep-alive and Content-Length, so that what is measured is the client.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import re
import resource

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
PLACE_OF_ID = b"an id of 16 byte"
COMPLETION = {
    "id": f"chatcmpl-{PLACE_OF_ID.decode()}",
    "object": "chat.completion",
    "created": 0,
    "model": "dummy",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "A canned answer."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 8, "completion_tokens": 4, "total_tokens": 12},
}
MODELS = {"object": "list", "data": [{"id": "dummy", "object": "model", "created": 0, "owned_by": "nobody"}]}


def http_response(payload: dict) -> bytes:
    body = json.dumps(payload).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class DummyServer(asyncio.Protocol):
    """One connection: one request at a time, answered whole."""

    numbers = itertools.count()

    def __init__(self, latency: float, completion: bytes, models: bytes) -> None:
        self.latency, self.completion, self.models = latency, completion, models
        self.received = b""
        self.call_later = asyncio.get_running_loop().call_later

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        received = self.received + data if self.received else data
        head = received.find(b"\r\n\r\n")
        if head < 0:
            self.received = received
            return
        length = CONTENT_LENGTH.search(received, 0, head)
        end = head + 4 + (int(length[1]) if length else 0)
        if len(received) < end:
            self.received = received
            return
        self.received = received[end:]
        if received.startswith(b"GET"):
            self.transport.write(self.models)
        else:
            self.call_later(self.latency, self.answer)

    def answer(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self.completion.replace(PLACE_OF_ID, b"%016x" % next(self.numbers), 1))


async def serve(port: int, latency: float, no_ids: bool) -> None:
    answer = {name: value for name, value in COMPLETION.items() if not (no_ids and name == "id")}
    completion, models = http_response(answer), http_response(MODELS)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: DummyServer(latency, completion, models), "127.0.0.1", port, backlog=4096)
    print(f"serving dummy on http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one (default: %(default)s)")
    parser.add_argument("--latency", type=float, default=0.2, help="seconds before every answer (default: %(default)s)")
    parser.add_argument("--no_ids", action="store_true", help="answers without an id")
    args = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(args.port, args.latency, args.no_ids))


if __name__ == "__main__":
    main()
