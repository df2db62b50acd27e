"""The server's side of the OpenAI protocol: what the stand-in and the small server have in common.

body = checked_body(raw, chat, "my-model")                        # or Refused, which carries the error's body
payload = completion("1", "my-model", [choice(0, "Yes.", "stop", chat)], 12, 2, created=0)
content, content_type = encoded(payload, body)
"""

import json
from typing import Any

from aiohttp import web

COMPLETION_MAX_TOKENS = 16  # of /v1/completions where the request names none, as OpenAI and vLLM do


class Refused(Exception):
    """The request is answered with this status and an error body."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
        self.status = status
        kind = {429: "rate_limit_error", 500: "server_error"}.get(status, "invalid_request_error")
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
        super().__init__(message)


def checked_body(raw: bytes, chat: bool, model: str) -> dict:
    """The request, or Refused."""
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
    if body["model"] != model:
        raise Refused(404, f"The model `{body['model']}` does not exist.", "model", "model_not_found")
    number("temperature", 0, 2, (int, float))
    number("top_p", 0, 1, (int, float))
    number("max_tokens", 1, 2**31, (int,))
    number("max_completion_tokens", 1, 2**31, (int,))
    number("n", 1, 128, (int,))
    number("seed", -(2**63), 2**63, (int,))
    number("top_logprobs", 0, 20, (int,))
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


def choice(index: int, text: str, finish_reason: str, chat: bool) -> dict:
    said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
    return {"index": index, **said, "finish_reason": finish_reason, "logprobs": None}


def completion(
    own_id: str, model: str, choices: list[dict], prompt_tokens: int, completion_tokens: int, created: int
) -> dict:
    chat = "message" in choices[0]
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    return {
        "id": f"{'chatcmpl' if chat else 'cmpl'}-{own_id}",
        "object": "chat.completion" if chat else "text_completion",
        "created": created,
        "model": model,
        "choices": choices,
        "usage": usage | {"total_tokens": prompt_tokens + completion_tokens},
    }


def encoded(payload: dict, body: dict) -> tuple[bytes, str]:
    """The answer as it goes over the wire, and its content type."""
    if body.get("stream"):
        with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        return as_events(payload, with_usage), "text/event-stream"
    return json.dumps(payload).encode(), "application/json"


def as_events(payload: dict, with_usage: bool) -> bytes:
    """The whole answer as server-sent events, sent at once."""
    chat = payload["object"] == "chat.completion"
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
    if with_usage:
        events.append({**head, "choices": [], "usage": payload["usage"]})
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"


def add_usual_routes(app: web.Application, model: dict) -> None:
    """The model, whether the server is well, and a sentence for every other address; the last to be added."""

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [model]})

    async def one_model(request: web.Request) -> web.Response:
        if request.match_info["name"] == model["id"]:
            return web.json_response(model)
        return web.json_response(Refused(404, "No such model.", "model", "model_not_found").body, status=404)

    async def health(request: web.Request) -> web.Response:
        return web.Response()

    async def unknown(request: web.Request) -> web.Response:
        message = f"Unknown request URL: {request.method} {request.path}."
        return web.json_response(Refused(404, message).body, status=404)

    app.router.add_get("/v1/models", models)
    app.router.add_get("/v1/models/{name:.+}", one_model)
    app.router.add_get("/health", health)
    app.router.add_route("*", "/{rest:.*}", unknown)
