"""What tells one model from another: a name from the hub as it is, a local folder by what its files hold.

    model_identity("gpt2")                  # "gpt2"
    model_identity("results/model")         # "model 3f2a9c0d51e8b7a6"

Weights trained anew have the same names and sizes, so files are read whole. 140 GB take minutes: the hash of a large
file is kept in the user's cache folder until size, time or inode of the file change.
"""

import contextlib
import json
import os
from pathlib import Path

from common.manifest import hash_file, hash_text

LARGE = 2**24  # bytes; smaller files are read each time


def model_identity(name: str) -> str:
    folder = Path(name)
    if not folder.is_dir():
        return name
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    known = _read_cache() if any(file.stat().st_size >= LARGE for file in files) else {}
    hashes = [[str(file.relative_to(folder)), _hash(file, known)] for file in files]
    if known:
        _write_cache(known)
    return f"{folder.resolve().name} {hash_text(json.dumps(hashes))[:16]}"


def _hash(file: Path, known: dict[str, list]) -> str:
    stat = file.stat()
    if stat.st_size < LARGE:
        return hash_file(file)
    stamp = [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
    place = str(file.resolve())
    if known.get(place, [None])[0] != stamp:
        known[place] = [stamp, hash_file(file)]
    return known[place][1]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "web_to_sft_data", "model_hashes.json")


def _read_cache() -> dict[str, list]:
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(_cache().read_text(encoding="utf-8"))
        if isinstance(known, dict) and all(isinstance(entry, list) and len(entry) == 2 for entry in known.values()):
            return known
    return {}


def _write_cache(known: dict[str, list]) -> None:
    """Where that cannot be, the files are read again the next time."""
    with contextlib.suppress(OSError):
        _cache().parent.mkdir(parents=True, exist_ok=True)
        part = _cache().with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(known), encoding="utf-8")
        os.replace(part, _cache())
