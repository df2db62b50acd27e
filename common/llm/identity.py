"""What a model's name stands for, as far as somebody says: it belongs into the key of an answer, because a model that
was trained anew in the same folder is another model.

A folder on this machine is known by its content. Of other models the server may say a `root` in its list, the folder or
hub name behind the name it serves (vLLM does). `created` is not used: vLLM and llama.cpp give the time of the question.
"""

import os

from common.errors import Reject
from common.llm.client import LLMClient
from common.llm.store import AnswerStore
from common.model_identity import model_identity


async def identity_of(model: str, client: LLMClient, store: AnswerStore) -> str:
    """A store remembers what was said, so that a run whose answers are all there needs no server."""
    if os.path.isdir(model):
        return model_identity(model)
    remembered = store.identity_of(model)
    try:
        identity = _of_listed((await client.models(patient=remembered is None)).get(model, {}), model)
    except Reject:
        identity = remembered or ""
    store.remember_identity(model, identity)
    return identity


def known_identity_of(model: str, store: AnswerStore) -> str:
    """Without asking a server."""
    return model_identity(model) if os.path.isdir(model) else store.identity_of(model) or ""


def _of_listed(said: dict, model: str) -> str:
    root = said.get("root")
    if not isinstance(root, str) or root == model:
        return ""
    return model_identity(root)
