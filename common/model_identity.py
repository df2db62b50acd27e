"""What tells one model from another: a name from the hub as it is, a local folder by what its files hold.

    model_identity("gpt2")                  # "gpt2"
    model_identity("results/model")         # "model 3f2a9c0d51e8b7a6"

Weights trained anew have the same names and sizes, and reading 140 GB takes minutes: of a large file many small pieces
all along it are read, which any training has changed.
"""

import hashlib
from pathlib import Path

PIECES = 1024
PIECE = 4096  # bytes


def model_identity(name: str) -> str:
    folder = Path(name)
    if not folder.is_dir():
        return name
    digest = hashlib.sha256()
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(folder)}\n{file.stat().st_size}\n".encode("utf-8", "surrogateescape"))
        digest.update(_content(file))
    return f"{folder.resolve().name} {digest.hexdigest()[:16]}"


def _content(file: Path) -> bytes:
    """The digest of the whole file, or of its pieces when it is longer than all of them."""
    size, digest = file.stat().st_size, hashlib.sha256()
    with open(file, "rb") as source:
        if size <= PIECES * PIECE:
            digest.update(source.read())
        else:
            for piece in range(PIECES):
                source.seek(piece * (size - PIECE) // (PIECES - 1))
                digest.update(source.read(PIECE))
    return digest.digest()
