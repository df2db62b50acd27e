"""A small OpenAI-compatible server for a small model, on a CPU or a GPU: whoever asks at once is answered in one batch.

    python -m common.llm.small_server --model models/SmolLM2-135M-Instruct --port 8000

in   GET /v1/models, GET /health, POST /v1/chat/completions, POST /v1/completions
out  what the model of that folder writes. What would change an answer and is not offered here (logprobs, JSON schemas,
     tools, penalties) is refused with status 400; a client that leaves ends its request

vLLM is the server for a large model; this one needs nothing but transformers.
"""

import argparse
import asyncio
import contextlib
import random
import secrets
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without an install

from aiohttp import web

from common.llm.connection import allow_many_sockets
from common.llm.continuous_batch import ContinuousBatch, Row, load
from common.llm.serving import (
    COMPLETION_MAX_TOKENS,
    Refused,
    add_usual_routes,
    checked_body,
    choice,
    completion,
    encoded,
)
from common.program import make_parser, positive, run_main

NOT_OFFERED = (
    "logprobs top_logprobs tools functions logit_bias presence_penalty frequency_penalty repetition_penalty echo "
    "suffix best_of top_k min_p min_tokens guided_json structured_outputs"
).split()
OF_NO_EFFECT = {"top_k": -1, "repetition_penalty": 1, "best_of": 1}  # values that ask for nothing


def prompts_of(body: dict, chat: bool, tokenizer: Any) -> list[list[int]]:
    """Token ids of each prompt."""
    if not chat:
        prompts = [body["prompt"]] if isinstance(body["prompt"], str) else body["prompt"]
        return [tokenizer.encode(prompt) or [tokenizer.eos_token_id] for prompt in prompts]
    if tokenizer.chat_template is None:
        raise Refused(400, "This model has no chat template: ask /v1/completions.", "messages")
    messages = [message | {"content": text_of(message.get("content"))} for message in body["messages"]]
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except Exception as error:  # noqa: BLE001 - a template is a program of the model's, and raises what it likes
        raise Refused(400, f"The chat template refuses these messages: {error}", "messages") from None
    return [tokenizer.encode(text, add_special_tokens=False)]


def text_of(content: str | list[dict] | None) -> str:
    return "\n".join(part["text"] for part in content) if isinstance(content, list) else content or ""


def rows_of(body: dict, chat: bool, tokenizer: Any, max_model_len: int) -> list[Row]:
    """What the batch has to write: `n` rows a prompt."""
    form = (body.get("response_format") or {}).get("type", "text")
    for name in ["response_format"] if form != "text" else NOT_OFFERED:
        if body.get(name) and body[name] != OF_NO_EFFECT.get(name):
            raise Refused(400, f"'{name}' is not offered by this server.", name)
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or (None if chat else COMPLETION_MAX_TOKENS)
    stops, seed = body.get("stop") or [], body.get("seed")
    temperature, top_p = body.get("temperature"), body.get("top_p")
    rows = []
    for prompt in prompts_of(body, chat, tokenizer):
        if len(prompt) + (limit or 1) > max_model_len:
            message = f"This model's maximum context length is {max_model_len} tokens; the prompt has {len(prompt)}, "
            message += f"the answer may have {limit or 1}."
            raise Refused(400, message, "messages" if chat else "prompt", "context_length_exceeded")
        for _ in range(body.get("n") or 1):
            row = Row(prompt, limit or max_model_len - len(prompt), stops=[stops] if isinstance(stops, str) else stops)
            row.temperature = 1.0 if temperature is None else temperature
            row.top_p = 1.0 if top_p is None else top_p
            if seed is not None:
                row.draw = random.Random(seed + len(rows))
            rows.append(row)
    return rows


class Desk:
    """Takes requests, gives their rows to the batch, and each answer back when all of its rows have ended."""

    def __init__(self, batch: ContinuousBatch) -> None:
        self.batch = batch
        self.waiting: list[Row] = []
        self.ends: dict[Row, asyncio.Future] = {}
        self.arrived = asyncio.Event()

    async def answered(self, rows: list[Row]) -> None:
        ends = {row: asyncio.get_running_loop().create_future() for row in rows}
        self.ends |= ends
        self.waiting += rows
        self.arrived.set()
        try:
            await asyncio.gather(*ends.values())
        finally:  # also when the client has gone
            for row in rows:
                row.abandoned = True
                self.ends.pop(row, None)

    async def work(self) -> None:
        while True:
            await self.arrived.wait()
            while self.waiting or self.batch.rows:
                joining, self.waiting = self.waiting, []
                ended = await asyncio.to_thread(self.batch.advance, joining)
                self.waiting = joining + self.waiting  # those that found no room come first
                for row in ended:
                    if row in self.ends and not self.ends[row].done():
                        self.ends[row].set_result(None)
            self.arrived.clear()


def make_app(desk: Desk, name: str, max_model_len: int) -> web.Application:
    async def post(request: web.Request) -> web.Response:
        raw = await request.read()
        chat = request.path.endswith("/chat/completions")
        tag = request.headers.get("X-Request-Id")
        try:
            body = checked_body(raw, chat, name)
            rows = rows_of(body, chat, desk.batch.tokenizer, max_model_len)
        except Refused as refused:
            return web.json_response(refused.body, status=refused.status)
        await desk.answered(rows)
        choices = [choice(place, row.text, row.finish_reason, chat) for place, row in enumerate(rows)]
        used = sum(len(row.prompt) for row in rows[:: body.get("n") or 1])
        written = sum(len(row.written) for row in rows)
        # An id is told once; with the client's own in it, a client can tell whose answer this is.
        own_id = f"{secrets.token_hex(8)}-{tag}" if tag else secrets.token_hex(8)
        payload = completion(own_id, name, choices, used, written, created=int(time.time()))
        content, kind = encoded(payload, body)
        return web.Response(body=content, content_type=kind, headers={"X-Request-Id": tag} if tag else None)

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/chat/completions", post)
    app.router.add_post("/v1/completions", post)
    model = {"id": name, "object": "model", "created": 0, "owned_by": "here", "max_model_len": max_model_len}
    add_usual_routes(app, model)
    return app


async def serve(batch: ContinuousBatch, name: str, max_model_len: int, host: str, port: int) -> None:
    """Until the process ends; an error in the model ends it."""
    desk = Desk(batch)
    # A request whose client has gone is dropped, not answered: handler_cancellation.
    runner = web.AppRunner(make_app(desk, name, max_model_len), access_log=None, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=4096).start()
        print(f"serving {name} on http://{host}:{runner.addresses[0][1]}/v1", flush=True)
        await desk.work()
    finally:
        await runner.cleanup()


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--model", required=True, help="folder of the model; its name on the server, too")
    parser.add_argument("--host", default="127.0.0.1", help="where it listens")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--max_model_len", type=positive, help="without it the model's own")
    parser.add_argument("--batch_size", type=positive, default=32, help="answers that are written at once")
    parser.add_argument("--batch_tokens", type=positive, default=2048, help="of the prompts that are read at once")
    parser.add_argument("--device", help="cpu, cuda, cuda:1; without it a GPU if there is one")
    parser.add_argument("--dtype", choices=["auto", "bf16", "fp32"], default="auto", help="auto: bf16 where it is fast")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    allow_many_sockets()
    model, tokenizer = load(args.model, args.dtype, args.device)
    batch = ContinuousBatch(model, tokenizer, args.batch_size, args.batch_tokens)
    longest = args.max_model_len or model.config.max_position_embeddings
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the process ends at once: there is nothing to lose
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(batch, args.model, longest, args.host, args.port))


if __name__ == "__main__":
    run_main(main)
