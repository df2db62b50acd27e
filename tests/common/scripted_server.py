"""An HTTP server whose every answer is scripted by the test: `reply(body, number)` gives (status, payload, headers)."""

import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import contextmanager

from aiohttp import web

Reply = tuple[int, object, dict]


def completion(*texts: str, reason: str = "stop", chat: bool = True, **more: object) -> dict:
    choices = [
        {"index": place, "finish_reason": reason} | ({"message": {"content": text}} if chat else {"text": text})
        for place, text in enumerate(texts)
    ]
    return {"model": "scripted", "choices": choices, "usage": {"prompt_tokens": 3, "completion_tokens": 2}, **more}


def ok(*texts: str, **more: object) -> Reply:
    return 200, completion(*texts, **more), {}


def echo(body: dict, _number: int) -> Reply:
    return ok("answer to " + body["messages"][-1]["content"])


class ScriptedServer:
    models = (200, {"data": [{"id": "scripted"}]})

    def __init__(self, reply: Callable[[dict, int], Reply | None]) -> None:
        self._reply = reply
        self.bodies: list[dict] = []
        self.headers: list[dict] = []
        self.in_flight = self.most_in_flight = 0
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            return web.json_response(self.models[1], status=self.models[0])
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            reply = self._reply(body, len(self.bodies) - 1)
            reply = await reply if asyncio.iscoroutine(reply) else reply
            if reply is None:  # drop the connection
                request.transport.abort()
                return web.Response()
            status, payload, headers = reply
            text = payload if isinstance(payload, str) else json.dumps(payload)
            return web.Response(status=status, text=text, headers=headers)
        finally:
            self.in_flight -= 1


@contextmanager
def scripted_server(reply: Callable[[dict, int], Reply | None]):
    server, started, loop = ScriptedServer(reply), threading.Event(), asyncio.new_event_loop()

    async def start() -> None:
        app = web.Application(client_max_size=2**28)
        app.router.add_route("*", "/{path:.*}", server.handle)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"
        server.runner = runner
        started.set()

    def serve() -> None:
        loop.create_task(start())
        loop.run_forever()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    started.wait()

    async def stop() -> None:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()  # answers that would never come
        await server.runner.cleanup()

    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
