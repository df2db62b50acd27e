"""Files and batches of the OpenAI protocol: what `--batch` says to a service, through the official SDK.

batch_id = created(client, name) or create(client, name, Path("requests.jsonl"))     # `name` finds it again
batch = wait_for(client, batch_id, name, seconds=30)
lines = results_of(client, batch)
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.errors import Paused, ServerRefused
from common.llm.options import LLMOptions
from common.program import progress
from common.redaction import redact

ENDED = ("completed", "expired", "cancelled", "failed")
WORTH_ANOTHER_TRY = (408, 409, 425, 429)  # of the refusals from 400 to 499; the others would be the same again


def is_final(status: Any) -> bool:
    """Whether the same request would be refused again: too long, not allowed."""
    return isinstance(status, int) and 400 <= status < 500 and status not in WORTH_ANOTHER_TRY


def open_service(options: LLMOptions) -> Any:
    import openai

    url = (options.base_url or [os.environ.get("OPENAI_BASE_URL", "")])[0].split(",")[0] or None
    return openai.OpenAI(base_url=url, api_key=os.environ.get("OPENAI_API_KEY") or "none", max_retries=5)


@contextlib.contextmanager
def _speaking() -> Iterator[None]:
    """What the service answers otherwise than asked for, as an error of ours."""
    import openai

    try:
        yield
    except openai.APIConnectionError as error:
        raise _not_there(error) from error
    except openai.APIStatusError as error:
        if not is_final(error.status_code):
            raise _not_there(error) from error
        raise ServerRefused(f"the batch was refused: {redact(str(error))}") from error


def _not_there(error: Exception) -> Paused:
    return Paused(f"the batch service does not answer: {redact(str(error))}; run again to go on")


def created(client: Any, name: str) -> str | None:
    """The batch of this name that a killed run has created; also one that ended early, for what it answered is paid
    for."""
    import openai

    with _speaking(), contextlib.suppress(openai.NotFoundError):  # not every service lists its batches
        for batch in client.batches.list(limit=100):
            if (batch.metadata or {}).get("requests") == name and batch.status != "failed":
                return batch.id
    return None


def create(client: Any, name: str, path: Path) -> str:
    with _speaking():
        with open(path, "rb") as file:
            uploaded = client.files.create(file=file, purpose="batch")
        with open(path, encoding="utf-8") as file:
            endpoint = json.loads(file.readline())["url"]
        return client.batches.create(
            input_file_id=uploaded.id, endpoint=endpoint, completion_window="24h", metadata={"requests": name}
        ).id


def wait_for(client: Any, batch_id: str, name: str, seconds: float) -> Any:
    """The batch once it has ended, looked at every so many seconds."""
    with progress(desc=f"batch {name}", unit="request") as bar:
        while True:
            with _speaking():
                batch = client.batches.retrieve(batch_id)
            counts = batch.request_counts
            if counts is not None:
                bar.total = counts.total
                bar.n = counts.completed + counts.failed
            bar.set_postfix_str(batch.status)
            if batch.status in ENDED:
                return batch
            time.sleep(seconds)


def results_of(client: Any, batch: Any) -> list[str]:
    """The lines of its results and errors; those of a batch that expired or was cancelled are paid for too."""
    import openai

    lines: list[str] = []
    for file in filter(None, (batch.output_file_id, batch.error_file_id)):
        with _speaking(), contextlib.suppress(openai.NotFoundError):  # a service keeps them for a month or so
            lines += client.files.content(file).content.decode("utf-8", "replace").split("\n")
    return lines


def why_turned_down(batch: Any) -> ServerRefused | Paused | None:
    """Why it failed before its first request, if it did; too much under way at a time is no fault of it."""
    if batch.status != "failed" or batch.output_file_id or batch.error_file_id:
        return None
    errors = (batch.errors.data if batch.errors else None) or []
    said = redact("; ".join(error.message or "" for error in errors)) or "without a reason"
    if any(getattr(error, "code", None) == "token_limit_exceeded" for error in errors):
        return Paused(f"the service has too much of yours under way: {said}; run again when other batches are done")
    return ServerRefused(f"the service turned the batch down: {said}")
