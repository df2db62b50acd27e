"""The texts of rows as vectors of a small sentence encoder: what Superfiltering.D compares.

vectors_once(texts, "sentence-transformers/all-MiniLM-L6-v2", 64, "cpu", Path("diverse.json.embeddings.npz"))
"""

import json
import zipfile
from pathlib import Path

import numpy as np

from common import manifest
from common.conversations import as_messages, has_turns
from common.errors import BadInput
from common.program import progress
from common.rows import replacing
from common.step import need

KINDS = ("whole", "instruction", "response")


def text_to_embed(row: dict, kind: str, paper_exact: bool) -> str:
    """As released each text of the question ends its line, and an empty input is a line; only a row without the key is
    spared it."""
    if has_turns(row):
        return "\n".join(turn["content"] for turn in as_messages(row) if kind in ("whole", _side(turn["role"])))
    if kind == "response":
        return need(row, "output")
    with_input = "input" in row if paper_exact else row.get("input")
    texts = [need(row, "instruction"), *([need(row, "input")] if with_input else [])]
    question = "".join(f"{text}\n" for text in texts)
    if kind == "instruction":
        return question if paper_exact else question[:-1]
    return question + need(row, "output")


def _side(role: str) -> str:
    return "response" if role == "assistant" else "instruction"


def embed(texts: list[str], model_name: str, batch_size: int, device: str | None) -> np.ndarray:
    """Mean of the token states, at unit length; texts of like length go together."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        tokenizer = AutoTokenizer.from_pretrained(model_name)
        model = AutoModel.from_pretrained(model_name).eval().to(device)
    except (OSError, ValueError) as error:
        raise BadInput(f"{model_name}: cannot be loaded as a sentence encoder: {error}") from error
    longest = min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", 512))
    order = sorted(range(len(texts)), key=lambda index: -len(texts[index]))
    vectors = np.empty((len(texts), model.config.hidden_size), dtype=np.float32)
    with torch.inference_mode():
        for start in progress(range(0, len(texts), batch_size), desc="embedding", unit="batch"):
            batch = order[start : start + batch_size]
            inputs = tokenizer(
                [texts[index] for index in batch],
                padding=True,
                truncation=True,
                max_length=longest,
                return_tensors="pt",
            ).to(device)
            mask = inputs["attention_mask"][:, :, None].float()
            means = (model(**inputs).last_hidden_state * mask).sum(1) / mask.sum(1).clamp_min(1e-9)
            vectors[batch] = torch.nn.functional.normalize(means.float(), dim=1).cpu().numpy()
    return vectors


def vectors_once(texts: list[str], model_name: str, batch_size: int, device: str | None, path: Path) -> np.ndarray:
    """Those of an earlier run if they are of the same texts and model."""
    key = manifest.hash_text(json.dumps([model_name, texts]))
    try:
        with np.load(path) as saved:
            if str(saved["key"]) == key:
                return saved["vectors"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        pass  # there are none, or none that can be read: made anew
    vectors = embed(texts, model_name, batch_size, device)
    with replacing(path) as part, open(part, "wb") as file:
        np.savez(file, key=key, vectors=vectors)
    return vectors
