"""Vectors of texts, computed once and kept: training again, on other ratings, heads or seeds, encodes only new texts.

    store = FeatureStore("out/features", {"model": "…", "max_length": 512, "pooling": "first", "dtype": "fp32"})
    vectors, tokens, cut = store.vectors(texts, scorer, batch_tokens=2048)

part-000000.npy     n x d numbers
part-000000.jsonl   {"text": "sha256 of the text", "tokens": 212, "cut": false}
features.json       what the vectors depend on; a folder of other ones is refused, not mixed
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common import manifest
from common.errors import BadInput
from common.program import progress
from common.rows import read_rows, replacing, write_rows, write_text
from edu_filter.model import Scorer

PART = 8192  # texts: what a kill can cost


class FeatureStore:
    def __init__(self, folder: str | Path, identity: dict) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        named = self.folder / "features.json"
        identity = json.loads(json.dumps(identity))
        if not named.exists():
            if any(self.folder.glob("part-*")):
                raise BadInput(f"{self.folder}: vectors without features.json; choose another --cache_dir")
            write_text(named, json.dumps(identity, indent=1))
        if changed := manifest.diff(json.loads(named.read_text(encoding="utf-8")), identity, "features "):
            raise BadInput(f"{self.folder}: holds other vectors ({'; '.join(changed)}); choose another --cache_dir")
        self._dtype = np.dtype(identity["kept_as"])
        self._parts = sorted(self.folder.glob("part-*.jsonl"))  # written last, so its .npy is whole
        self._places = {
            row["text"]: (part, at, row["tokens"], row["cut"])
            for part, file in enumerate(self._parts)
            for at, row in enumerate(read_rows(file))
        }
        self.encoded = 0  # texts in this run

    def vectors(
        self, texts: Sequence[str], scorer: Scorer, batch_tokens: int
    ) -> tuple[np.ndarray, list[int], list[bool]]:
        """One vector a text, its tokens within the window, and whether more of it follows."""
        keys = [manifest.hash_text(text) for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._places}
        with progress(total=len(missing), desc="encoding", unit="text") as bar:
            while missing:
                part = dict(list(missing.items())[:PART])
                self._encode(part, scorer, batch_tokens)
                bar.update(len(part))
                for key in part:
                    del missing[key]
        found = [self._places[key] for key in keys]
        return self._read(found), [place[2] for place in found], [place[3] for place in found]

    def _encode(self, part: dict[str, str], scorer: Scorer, batch_tokens: int) -> None:
        windows = scorer.tokenizer(list(part.values()))
        values = scorer.vectors([window.ids for window in windows], batch_tokens).astype(self._dtype)
        name = f"part-{len(self._parts):06}"
        with replacing(self.folder / f"{name}.npy") as part_of_file, open(part_of_file, "wb") as file:
            np.save(file, values)
        facts = [{"text": k, "tokens": len(w.ids), "cut": w.cut} for k, w in zip(part, windows, strict=True)]
        write_rows(self.folder / f"{name}.jsonl", facts)
        for at, row in enumerate(facts):
            self._places[row["text"]] = (len(self._parts), at, row["tokens"], row["cut"])
        self._parts.append(self.folder / f"{name}.jsonl")
        self.encoded += len(part)

    def _read(self, found: list[tuple[int, int, int, bool]]) -> np.ndarray:
        """From each part what is wanted of it, part by part."""
        result: np.ndarray | None = None
        wanted = np.array([place[:2] for place in found])
        for part in np.unique(wanted[:, 0]):
            kept = np.load(self._parts[part].with_suffix(".npy"), mmap_mode="r")
            if result is None:
                result = np.empty((len(found), kept.shape[1]), dtype=self._dtype)
            rows = np.flatnonzero(wanted[:, 0] == part)
            result[rows] = kept[wanted[rows, 1]]
        return result
