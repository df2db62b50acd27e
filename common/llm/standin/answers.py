"""From the body of a request to the body of its answer, whatever the rules are."""

import hashlib
import json
import math
import random

from common.llm.serving import COMPLETION_MAX_TOKENS, Refused, checked_body, choice, completion, encoded
from common.llm.standin import words
from common.llm.standin.prompts import language_of
from common.llm.standin.rules import Rule, answer

MODEL = "stand-in"


def complete(
    path: str, raw: bytes, max_model_len: int, content_shares: dict[str, float], rules: list[Rule], own_id: str = ""
) -> tuple[bytes, str]:
    """The answer to one POST and its content type; `own_id` tells its id from that of any other answer."""
    chat = path.endswith("/chat/completions")
    body = checked_body(raw, chat, MODEL)
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
            choices.append(choice(len(choices), text, reason, chat))
            if chat and body.get("logprobs"):
                choices[-1]["logprobs"] = logprobs_of(text, body.get("top_logprobs") or 0, digest)
    answer_id = f"{digest.hex()}{own_id}"
    # No clock: the same body gets the same bytes.
    payload = completion(answer_id, MODEL, choices, prompt_tokens, completion_tokens, created=0)
    return encoded(payload, body)


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


def logprobs_of(text: str, top: int, digest: bytes) -> dict:
    """The answer as one token, and beside it what it might have been: the same in the other case of letters."""
    chance = 0.5 + 0.49 * random.Random(digest).random()
    likely = [(text, chance), (text.swapcase(), 1 - chance)]
    first, *_ = tops = [{"token": token, "logprob": math.log(share)} for token, share in likely]
    return {"content": [first | {"top_logprobs": tops[:top]}]}


def count_tokens(text: str) -> int:
    """A cheap estimate: four bytes of UTF-8, that is four Latin letters or one and a third Chinese characters."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // 4)


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
