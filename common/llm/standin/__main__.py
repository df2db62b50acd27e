"""The stand-in: an OpenAI-compatible server without a model, for the demo, the tests and rehearsals.

    python -m common.llm.standin --port 8000                              # answers by rules, the same every time
    python -m common.llm.standin --faults 0.3 --fault_empty 0.05          # and misbehaves in all the usual ways

in   GET /v1/models, GET /health, POST /v1/chat/completions, POST /v1/completions, /v1/files and /v1/batches
out  answers quoted from the prompt (METHOD/standin.py says which: rules.py); model name `stand-in`

Protocol faults are drawn anew for every POST that arrives, so a retry gets through. Content faults follow from the
request's body (and the number of the choice) alone: the same request always gets the same answer, in a run that goes
on as in one that was never interrupted.

From Python:  with standin_server(faults=0.3) as base_url: ...
"""

import argparse
import asyncio
import contextlib
import hashlib
import os
import random
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # runs without an install

from aiohttp import web

from common.errors import BadInput
from common.llm.connection import allow_many_sockets
from common.llm.serving import Refused, add_usual_routes
from common.llm.standin.answers import MODEL, complete, drawn
from common.llm.standin.batches import add_batch_routes
from common.llm.standin.rules import load_rules
from common.program import make_parser

PROTOCOL_FAULTS = ("429", "500", "drop", "hang", "truncated_json", "html")
BATCH_FAULTS = ("expired", "cancelled", "refused", "failed", "lost")
CONTENT_FAULTS = ("garbage", "refusal", "empty", "length")
LARGEST_BODY = 256 * 2**20


def make_app(args: argparse.Namespace) -> web.Application:
    every = args.faults / len(PROTOCOL_FAULTS)
    protocol_shares = {name: getattr(args, f"fault_{name}") + every for name in PROTOCOL_FAULTS}
    content_shares = {name: getattr(args, f"fault_{name}") for name in CONTENT_FAULTS}
    answered: Counter[int] = Counter()
    arrivals = random.Random(args.fault_seed)
    log = os.open(args.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if args.log_path else None
    model = {"id": MODEL, "object": "model", "created": 0, "owned_by": "rules", "max_model_len": args.max_model_len}

    def note(raw: bytes, status: str | int) -> None:
        if log is not None:
            os.write(log, f"{hashlib.sha256(raw).hexdigest()} {status}\n".encode())

    async def post(request: web.Request) -> web.StreamResponse:
        number, chance = arrivals.random(), arrivals.random()
        raw = await request.read()
        fault = drawn(number, protocol_shares)
        if args.delay or args.jitter:
            await asyncio.sleep(args.delay + args.jitter * chance)
        try:
            if fault == "429":
                raise Refused(429, "Rate limit reached (a rehearsed fault).", code="rate_limit_exceeded")
            if fault == "500":
                raise Refused(500, "The server had an error (a rehearsed fault).")
            # Who sends an id of his own finds it in the answer's, as with vLLM; else answers to one body are counted.
            own_id = f"-{request.headers.get('X-Request-Id') or answered[hash(raw)]}"
            answered[hash(raw)] += 1
            body, kind = complete(request.path, raw, args.max_model_len, content_shares, args.rules, own_id)
        except Refused as refused:
            note(raw, fault or refused.status)
            headers = {"Retry-After": f"{args.retry_after:g}"} if refused.status == 429 else None
            return web.json_response(refused.body, status=refused.status, headers=headers)
        note(raw, fault or 200)
        if fault == "hang":
            await asyncio.sleep(args.hang_seconds)
        if fault == "hang" or (fault == "drop" and chance < 0.5):
            request.transport.abort()
            return web.Response()
        if fault == "drop":
            return await send_half(request, body, kind)
        if fault == "html":
            return web.Response(text="<html><body><h1>502 Bad Gateway</h1></body></html>", content_type="text/html")
        if fault == "truncated_json":
            body = body[: int(len(body) * (0.1 + 0.8 * chance))]
        return web.Response(body=body, content_type=kind)

    app = web.Application(client_max_size=LARGEST_BODY)
    app.router.add_post("/v1/chat/completions", post)
    app.router.add_post("/v1/completions", post)
    batch_shares = {name: getattr(args, f"batch_{name}") for name in BATCH_FAULTS}

    def answer_in_batch(path: str, raw: bytes) -> tuple[bytes, str]:
        note(raw, "batch")
        return complete(path, raw, args.max_model_len, content_shares, args.rules)

    add_batch_routes(app, answer_in_batch, batch_shares, args.fault_seed)
    add_usual_routes(app, model)
    return app


async def send_half(request: web.Request, body: bytes, kind: str) -> web.StreamResponse:
    """Promise the whole body, send half of it and close the connection."""
    response = web.StreamResponse(headers={"Content-Type": kind, "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    request.transport.close()
    return response


async def serve(args: argparse.Namespace) -> None:
    # A request whose client has gone is dropped, not answered: handler_cancellation.
    runner = web.AppRunner(make_app(args), access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, args.host, args.port, backlog=4096).start()
    print(f"serving {MODEL} on http://{args.host}:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.Event().wait()


def share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share from 0 to 1")
    return number


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="where it listens")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--max_model_len", type=int, default=131072, help="in tokens of four bytes")
    parser.add_argument("--log_path", help="append a line per answered POST: sha256 of its body, status or fault")
    parser.add_argument(
        "--rules", action="append", default=[], help="file of rules to try before those of METHOD/standin.py"
    )
    slow = parser.add_argument_group("slowness, in seconds")
    slow.add_argument("--delay", type=float, default=0.0, help="before every answer")
    slow.add_argument("--jitter", type=float, default=0.0, help="up to this much more, at random")
    protocol = parser.add_argument_group("protocol faults, each a share 0..1 of the POSTs, drawn per arrival")
    protocol.add_argument("--faults", type=share, default=0.0, help="a share spread evenly over these six")
    protocol.add_argument("--fault_429", type=share, default=0.0, help="too many requests, with Retry-After")
    protocol.add_argument("--fault_500", type=share, default=0.0, help="internal server error")
    protocol.add_argument("--fault_drop", type=share, default=0.0, help="closed before or in the middle of the answer")
    protocol.add_argument("--fault_hang", type=share, default=0.0, help="no answer for --hang_seconds, then closed")
    protocol.add_argument("--fault_truncated_json", type=share, default=0.0, help="status 200 with JSON cut off")
    protocol.add_argument("--fault_html", type=share, default=0.0, help="status 200 with a gateway's HTML page")
    protocol.add_argument("--retry_after", type=float, default=0.0, help="of a 429, seconds")
    protocol.add_argument("--hang_seconds", type=float, default=3600.0, help="how long a hanging request hangs")
    protocol.add_argument("--fault_seed", type=int, default=0, help="of the draws of protocol faults")
    batch = parser.add_argument_group("faults of batches, each a share 0..1")
    batch.add_argument("--batch_expired", type=share, default=0.0, help="of batches: half of it is answered")
    batch.add_argument("--batch_cancelled", type=share, default=0.0, help="of batches: half of it is answered")
    batch.add_argument("--batch_refused", type=share, default=0.0, help="of batches: none of it is answered")
    batch.add_argument("--batch_failed", type=share, default=0.0, help="of the requests in batches")
    batch.add_argument("--batch_lost", type=share, default=0.0, help="of the requests in batches: no line is theirs")
    content = parser.add_argument_group("content faults, each a share 0..1 of the answers, fixed by the request's body")
    content.add_argument("--fault_garbage", type=share, default=0.0, help="random characters")
    content.add_argument("--fault_refusal", type=share, default=0.0, help="an apology in the prompt's language")
    content.add_argument("--fault_empty", type=share, default=0.0, help="an empty text")
    content.add_argument("--fault_length", type=share, default=0.0, help="half of the text, finish_reason length")
    args = parser.parse_args(argv)
    if args.faults + sum(getattr(args, f"fault_{name}") for name in PROTOCOL_FAULTS) > 1 + 1e-9:
        parser.error("the shares of the protocol faults add up to more than 1")
    if sum(getattr(args, f"fault_{name}") for name in CONTENT_FAULTS) > 1 + 1e-9:
        parser.error("the shares of the content faults add up to more than 1")
    try:
        args.rules = load_rules(args.rules)
    except BadInput as error:
        parser.error(str(error))
    return args


def main() -> None:
    args = parse_args()
    allow_many_sockets()
    with contextlib.suppress(KeyboardInterrupt):  # SIGTERM keeps its default: the process ends at once
        asyncio.run(serve(args))


if __name__ == "__main__":
    main()
