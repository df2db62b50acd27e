"""Files and batches of the OpenAI protocol, for rehearsals: kept in memory, answered at once, with the usual faults.

A batch that expires or is cancelled has answered a part of its requests; requests that fail stand in the error file,
those that are lost in none. A batch that is refused has failed before its first request.
"""

import hashlib
import json
import random
from collections.abc import Callable
from typing import Any

from aiohttp import web

from common.llm.serving import Refused

Answer = Callable[[str, bytes], tuple[bytes, str]]  # path and body of a request -> body and content type


def add_batch_routes(app: web.Application, answer: Answer, shares: dict[str, float], seed: int) -> None:
    """`shares`: of batches that expire, are cancelled half-way or refused; of requests that fail or are lost."""
    files: dict[str, bytes] = {}
    batches: dict[str, dict[str, Any]] = {}
    draw = random.Random(seed)

    async def upload(request: web.Request) -> web.Response:
        content = b""
        async for part in await request.multipart():
            if part.name == "file":
                content = await part.read()
        name = _keep(files, content)
        described = {"id": name, "object": "file", "bytes": len(content), "created_at": 0, "filename": "requests.jsonl"}
        return web.json_response(described | {"purpose": "batch", "status": "processed"})

    async def content(request: web.Request) -> web.Response:
        if request.match_info["name"] not in files:
            return web.json_response(Refused(404, "No such file.").body, status=404)
        return web.Response(body=files[request.match_info["name"]], content_type="application/jsonl")

    async def create(request: web.Request) -> web.Response:
        asked = await request.json()
        number = draw.random()
        ends = "expired" if number < shares["expired"] else "completed"
        ends = "cancelled" if shares["expired"] <= number < shares["expired"] + shares["cancelled"] else ends
        batch = {
            "id": f"batch_{len(batches)}", "object": "batch", "endpoint": asked["endpoint"], "created_at": 0,
            "input_file_id": asked["input_file_id"], "completion_window": "24h", "metadata": asked.get("metadata"),
            "status": ends, "errors": None, "output_file_id": None, "error_file_id": None,
        }  # fmt: skip
        if draw.random() < shares["refused"]:
            batch |= {"status": "failed", "errors": {"object": "list", "data": [{"message": "A rehearsed refusal."}]}}
        else:
            _answer_all(batch, files, answer, shares, draw, half=ends != "completed")
        batches[batch["id"]] = batch
        return web.json_response(batch | {"status": "in_progress", "output_file_id": None, "error_file_id": None})

    async def retrieve(request: web.Request) -> web.Response:
        batch = batches.get(request.match_info["name"])
        if batch is None:
            return web.json_response(Refused(404, "No such batch.").body, status=404)
        return web.json_response(batch)

    async def listing(request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": list(batches.values())[::-1], "has_more": False})

    app.router.add_post("/v1/files", upload)
    app.router.add_get("/v1/files/{name}/content", content)
    app.router.add_post("/v1/batches", create)
    app.router.add_get("/v1/batches", listing)
    app.router.add_get("/v1/batches/{name}", retrieve)


def _answer_all(
    batch: dict, files: dict[str, bytes], answer: Answer, shares: dict[str, float], draw: random.Random, half: bool
) -> None:
    lines = files[batch["input_file_id"]].splitlines()
    good, bad = [], []
    for line in lines[: (len(lines) + 1) // 2] if half else lines:
        request = json.loads(line)
        result = {"id": "batch_req", "custom_id": request["custom_id"], "response": None, "error": None}
        body = json.dumps(request["body"], sort_keys=True, separators=(",", ":")).encode()
        try:
            if draw.random() < shares["lost"]:
                continue
            if draw.random() < shares["failed"]:
                raise Refused(500, "The request failed (a rehearsed fault).")
            said, _ = answer(request["url"], body)
            good.append(result | {"response": {"status_code": 200, "request_id": "", "body": json.loads(said)}})
        except Refused as refused:
            bad.append(result | {"response": {"status_code": refused.status, "request_id": "", "body": refused.body}})
    batch["request_counts"] = {"total": len(lines), "completed": len(good), "failed": len(bad)}
    for name, results in (("output_file_id", good), ("error_file_id", bad)):
        if results:
            draw.shuffle(results)  # a service gives them in any order
            batch[name] = _keep(files, "".join(json.dumps(result) + "\n" for result in results).encode())


def _keep(files: dict[str, bytes], content: bytes) -> str:
    name = f"file-{hashlib.sha256(content).hexdigest()[:24]}"
    files[name] = content
    return name
