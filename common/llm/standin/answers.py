"""From the body of a request to the body of its answer: the protocol, whatever the rules are."""

import hashlib
import json
import random
from typing import Any

from common.llm.standin import words
from common.llm.standin.prompts import language_of
from common.llm.standin.rules import Rule, answer

MODEL = "stand-in"
COMPLETION_MAX_TOKENS = 16  # of /v1/completions where the request names none, as OpenAI and vLLM do


class Refused(Exception):
    """The request is answered with this status and an error body."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
        self.status = status
        kind = {429: "rate_limit_error", 500: "server_error"}.get(status, "invalid_request_error")
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
        super().__init__(message)


def complete(
    path: str, raw: bytes, max_model_len: int, content_shares: dict[str, float], rules: list[Rule], own_id: str = ""
) -> tuple[bytes, str]:
    """The answer to one POST and its content type; `own_id` tells its id from that of any other answer."""
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
            text, reason = one_answer(body, system, user, digest, len(choices), limit, content_shares, rules)
            completion_tokens += count_tokens(text)
            said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
            choices.append({"index": len(choices), **said, "finish_reason": reason, "logprobs": None})
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    usage["total_tokens"] = prompt_tokens + completion_tokens
    payload = {
        "id": f"{'chatcmpl' if chat else 'cmpl'}-{digest.hex()}{own_id}",
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
    body: dict,
    system: str,
    user: str,
    digest: bytes,
    index: int,
    limit: int,
    shares: dict[str, float],
    rules: list[Rule],
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
        text = answer(rules, user, system, by_body if sampled else None)
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


def drawn(number: float, shares: dict[str, float]) -> str | None:
    """The fault that a number from 0 to 1 falls on."""
    for fault, share in shares.items():
        if number < share:
            return fault
        number -= share
    return None


# ---- JSON, and bad content on purpose


def as_json(said: str, response_format: dict) -> str:
    """The answer as JSON: under "answer", or in the place of every string of the schema."""
    schema = (response_format.get("json_schema") or {}).get("schema")
    value = {"answer": said} if schema is None else fill_schema(schema, said, schema.get("$defs", {}))
    return json.dumps(value, ensure_ascii=False)


def fill_schema(schema: dict, said: str, definitions: dict) -> object:
    if "$ref" in schema:
        schema = definitions.get(schema["$ref"].rpartition("/")[2], {})
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return fill_schema(schema[key][0], said, definitions)
    if "const" in schema or schema.get("enum"):
        return schema["const"] if "const" in schema else schema["enum"][0]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: fill_schema(part, said, definitions) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [fill_schema(schema.get("items", {}), said, definitions)] * max(1, schema.get("minItems", 1))
    if kind in ("integer", "number"):
        return schema.get("minimum", schema.get("maximum", 1))
    return {"boolean": True, "null": None}.get(kind, said[: schema.get("maxLength")])


def refusal(user: str) -> str:
    return words.REFUSALS[language_of(user)]


def garbage(rng: random.Random) -> str:
    return "".join(rng.choices("#@%&~^|\\/<>{}[]();:?!0123456789qxzwkj 的�ßж\n", k=rng.randint(20, 120)))
