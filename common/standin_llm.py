"""The stand-in: an OpenAI-compatible server without a model, for the demo, the tests and rehearsals.

    python -m common.standin_llm --port 8000                              # answers by rules, the same every time
    python -m common.standin_llm --faults 0.3 --fault_empty 0.05          # and misbehaves in all the usual ways

in   GET /v1/models, GET /health, POST /v1/chat/completions, POST /v1/completions
out  answers quoted from the prompt (standin_rules.py says which); model name `stand-in`

Protocol faults are drawn anew for every POST that arrives, so a retry gets through. Content faults follow from the
request's body (and the number of the choice) alone: the same request always gets the same answer, in a run that goes
on as in one that was never interrupted.

From Python:  with standin_server(faults=0.3) as base_url: ...
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiohttp import web

from common.errors import CommonError
from common.standin_rules import answer, as_json, garbage, refusal

MODEL = "stand-in"
PROTOCOL_FAULTS = ("429", "500", "drop", "hang", "truncated_json", "html")
CONTENT_FAULTS = ("garbage", "refusal", "empty", "length")
COMPLETION_MAX_TOKENS = 16  # of /v1/completions where the request names none, as OpenAI and vLLM do
LARGEST_BODY = 256 * 2**20


class Refused(Exception):
    """The request is answered with this status and an error body."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
        self.status = status
        kind = {429: "rate_limit_error", 500: "server_error"}.get(status, "invalid_request_error")
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
        super().__init__(message)


# ---- from a request's body to the answer's


def complete(path: str, raw: bytes, max_model_len: int, content_shares: dict[str, float]) -> tuple[bytes, str]:
    """The answer to one POST and its content type."""
    chat = path.endswith("/chat/completions")
    body = checked_body(raw, chat)
    digest = hashlib.blake2b(raw, digest_size=16).digest()
    choices, prompt_tokens, completion_tokens = [], 0, 0
    for system, user in prompts_of(body, chat):
        used = count_tokens(system) + count_tokens(user)
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or (None if chat else COMPLETION_MAX_TOKENS)
        if used + (limit or 1) > max_model_len:
            message = f"This model's maximum context length is {max_model_len} tokens. However, you requested "
            message += f"{used + (limit or 1)} tokens ({used} in the prompt, {limit or 1} for the answer)."
            raise Refused(400, message, "messages" if chat else "prompt", "context_length_exceeded")
        limit = limit or max_model_len - used
        prompt_tokens += used
        for _ in range(body.get("n") or 1):
            text, reason = one_answer(body, system, user, digest, len(choices), limit, content_shares)
            completion_tokens += count_tokens(text)
            said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
            choices.append({"index": len(choices), **said, "finish_reason": reason, "logprobs": None})
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    usage["total_tokens"] = prompt_tokens + completion_tokens
    payload = {
        "id": f"{'chatcmpl' if chat else 'cmpl'}-{digest.hex()}",
        "object": "chat.completion" if chat else "text_completion",
        "created": 0,  # no clock: the same body gets the same bytes
        "model": MODEL,
        "choices": choices,
        "usage": usage,
    }
    if body.get("stream"):
        return as_events(payload, chat, body), "text/event-stream"
    return json.dumps(payload).encode(), "application/json"


def one_answer(
    body: dict, system: str, user: str, digest: bytes, index: int, limit: int, shares: dict[str, float]
) -> tuple[str, str]:
    """Text and finish_reason of choice `index`; at temperature 0 seed and index change nothing but the faults."""
    by_body = random.Random(digest + index.to_bytes(4, "big"))
    fault = drawn(by_body.random(), shares)
    if fault == "empty":
        return "", "stop"
    if fault in ("garbage", "refusal"):
        text = garbage(by_body) if fault == "garbage" else refusal(user)
    else:
        sampled = body.get("temperature") is None or body["temperature"] > 0
        text = answer(user, system, by_body if sampled else None)
        if (body.get("response_format") or {}).get("type") in ("json_object", "json_schema"):
            try:
                text = as_json(text, body["response_format"])
            except (AttributeError, TypeError, ValueError, RecursionError) as error:
                raise Refused(400, f"This JSON schema is not understood: {error}", "response_format") from None
    stops = body.get("stop") or []
    cuts = [text.find(stop) for stop in ([stops] if isinstance(stops, str) else stops) if stop in text]
    text = text[: min(cuts, default=None)]
    if fault == "length":
        return text[: len(text) // 2], "length"
    if count_tokens(text) > limit:
        return text.encode("utf-8", "surrogatepass")[: 4 * limit].decode("utf-8", "ignore"), "length"
    return text, "stop"


def count_tokens(text: str) -> int:
    """A cheap estimate: four bytes of UTF-8, that is four Latin letters or one and a third Chinese characters."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // 4)


def checked_body(raw: bytes, chat: bool) -> dict:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"We could not parse the JSON body of your request: {error}") from None
    if not isinstance(body, dict):
        raise Refused(400, "The body must be a JSON object.")

    def must(condition: bool, name: str, expected: str) -> None:
        if not condition:
            raise Refused(400, f"Invalid value for '{name}': expected {expected}.", name)

    def number(name: str, low: float, high: float, kinds: tuple[type, ...]) -> None:
        value = body.get(name)
        good = value is None or (isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high)
        must(good, name, f"{'an integer' if kinds == (int,) else 'a number'} from {low:g} to {high:g}")

    must(isinstance(body.get("model"), str), "model", "the name of a model")
    if body["model"] != MODEL:
        raise Refused(404, f"The model `{body['model']}` does not exist.", "model", "model_not_found")
    number("temperature", 0, 2, (int, float))
    number("top_p", 0, 1, (int, float))
    number("max_tokens", 1, 2**31, (int,))
    number("max_completion_tokens", 1, 2**31, (int,))
    number("n", 1, 128, (int,))
    number("seed", -(2**63), 2**63, (int,))
    stop = body.get("stop")
    stops = [] if stop is None else [stop] if isinstance(stop, str) else stop
    good_stops = isinstance(stops, list) and all(isinstance(one, str) and one for one in stops)
    must(good_stops, "stop", "a string or a list of strings")
    must(isinstance(body.get("response_format"), dict | None), "response_format", "an object")
    must(isinstance(body.get("stream_options"), dict | None), "stream_options", "an object")
    if chat:
        messages = body.get("messages")
        must(isinstance(messages, list) and bool(messages), "messages", "a list of at least one message")
        must(all(_is_message(message) for message in messages), "messages", "objects with a role and a text as content")
    else:
        prompt = body.get("prompt")
        several = isinstance(prompt, list) and bool(prompt) and all(isinstance(one, str) for one in prompt)
        must(isinstance(prompt, str) or several, "prompt", "a string or a list of strings")
    return body


def _is_message(message: Any) -> bool:
    if not isinstance(message, dict) or message.get("role") not in ("system", "developer", "user", "assistant", "tool"):
        return False
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    texts = all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in parts)
    return isinstance(content, str) or (bool(parts) and texts) or (content is None and message["role"] == "assistant")


def prompts_of(body: dict, chat: bool) -> list[tuple[str, str]]:
    """(system text, user text) of each prompt. Of a conversation the last user turn is answered."""
    if not chat:
        prompts = [body["prompt"]] if isinstance(body["prompt"], str) else body["prompt"]
        return [("", prompt) for prompt in prompts]
    texts: dict[str, list[str]] = {}
    for message in body["messages"]:
        content = message.get("content") or ""
        text = content if isinstance(content, str) else "\n".join(part["text"] for part in content)
        texts.setdefault("system" if message["role"] == "developer" else message["role"], []).append(text)
    return [("\n".join(texts.get("system", [])), texts.get("user", [""])[-1])]


def as_events(payload: dict, chat: bool, body: dict) -> bytes:
    """The whole answer as server-sent events; they are sent at once, for there is nothing to wait for."""
    head = {key: payload[key] for key in ("id", "created", "model")}
    head["object"] = "chat.completion.chunk" if chat else "text_completion"
    events: list[Any] = []
    for choice in payload["choices"]:
        text = choice["message"]["content"] if chat else choice["text"]
        pieces = [text[start : start + 20] for start in range(0, len(text), 20)]
        for number, piece in enumerate([*pieces, ""]):
            delta = {"delta": {"role": "assistant", "content": piece}} if chat else {"text": piece}
            reason = choice["finish_reason"] if number == len(pieces) else None
            events.append({**head, "choices": [{"index": choice["index"], **delta, "finish_reason": reason}]})
    if (body.get("stream_options") or {}).get("include_usage"):
        events.append({**head, "choices": [], "usage": payload["usage"]})
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"


# ---- the server


def drawn(number: float, shares: dict[str, float]) -> str | None:
    """The fault that a number from 0 to 1 falls on."""
    for fault, share in shares.items():
        if number < share:
            return fault
        number -= share
    return None


def make_app(args: argparse.Namespace) -> web.Application:
    every = args.faults / len(PROTOCOL_FAULTS)
    protocol_shares = {name: getattr(args, f"fault_{name}") + every for name in PROTOCOL_FAULTS}
    content_shares = {name: getattr(args, f"fault_{name}") for name in CONTENT_FAULTS}
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
            body, kind = complete(request.path, raw, args.max_model_len, content_shares)
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

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [model]})

    async def one_model(request: web.Request) -> web.Response:
        if request.match_info["name"] == MODEL:
            return web.json_response(model)
        return web.json_response(Refused(404, "No such model.", "model", "model_not_found").body, status=404)

    async def health(request: web.Request) -> web.Response:
        return web.Response()

    async def unknown(request: web.Request) -> web.Response:
        message = f"Unknown request URL: {request.method} {request.path}."
        return web.json_response(Refused(404, message).body, status=404)

    app = web.Application(client_max_size=LARGEST_BODY)
    app.router.add_post("/v1/chat/completions", post)
    app.router.add_post("/v1/completions", post)
    app.router.add_get("/v1/models", models)
    app.router.add_get("/v1/models/{name}", one_model)
    app.router.add_get("/health", health)
    app.router.add_route("*", "/{rest:.*}", unknown)
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


@contextlib.contextmanager
def standin_server(**flags: Any) -> Iterator[str]:
    """Run the server as a process of its own, with the command line's flags; gives its base URL."""
    command = [sys.executable, "-m", "common.standin_llm"]
    command += [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    root = str(Path(__file__).resolve().parent.parent)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            line = process.stdout.readline()
            if not line.startswith("serving "):
                raise CommonError(f"the stand-in did not start (exit code {process.wait()}): {' '.join(command)}")
            yield line.split()[-1]
        finally:
            process.terminate()


def share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share from 0 to 1")
    return number


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1", help="(default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one (default: %(default)s)")
    parser.add_argument("--max_model_len", type=int, default=131072, help="in tokens of four bytes")
    parser.add_argument("--log_path", help="append a line per answered POST: sha256 of its body, status or fault")
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
    protocol.add_argument("--retry_after", type=float, default=0.0, help="of a 429, seconds (default: %(default)s)")
    protocol.add_argument("--hang_seconds", type=float, default=3600.0, help="(default: %(default)s)")
    protocol.add_argument("--fault_seed", type=int, default=0, help="(default: %(default)s)")
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
    return args


def main() -> None:
    args = parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard and hard != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with contextlib.suppress(KeyboardInterrupt):  # SIGTERM keeps its default: the process ends at once
        asyncio.run(serve(args))


if __name__ == "__main__":
    main()
