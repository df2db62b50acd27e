"""Which files a path means, and how their names tell what they are."""

import glob
import os
from pathlib import Path

from common.errors import BadInput

LINE_ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".json")
TABLE_ENDINGS = (".parquet", ".arrow")
ROW_ENDINGS = LINE_ENDINGS + TABLE_ENDINGS
SHOWN_RAW = 2000  # characters of a bad row that its error keeps
# What a step itself writes beside its output, under the output's lock.
BESIDE_OUTPUT = (".rejected.jsonl", ".manifest.json")
# What any run may leave beside an output, whatever its name is.
SIDE_FILES = (
    *BESIDE_OUTPUT,
    ".near_misses.jsonl",
    ".done.json",
    ".answers.sqlite",
    ".answers.sqlite-wal",
    ".answers.sqlite-shm",
    ".lock",
    ".part",
)


def input_files(path: str | Path) -> list[Path]:
    """The files `path` names: itself, or the sorted matches of a glob without what runs leave beside their outputs."""
    try:
        if Path(path).exists():
            return [Path(path)]
    except OSError as error:  # a name too long, a folder one may not look into
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
    matches = [Path(name) for name in sorted(set(glob.glob(str(path), recursive=True)))]
    files = [match for match in matches if not _is_side_file(match, str(path))]
    if matches and not files:
        raise BadInput(f"{path}: means only what runs leave beside their outputs; spell the ending out to read that")
    if not files:
        raise BadInput(f"{path}: no such file. Give a file, a dataset folder or a quoted glob. {known_formats()}")
    return files


def _is_side_file(file: Path, pattern: str) -> bool:
    """`<output>.<what>` belongs to an output of rows that lies beside it. Patterns that end in `.<what>` mean it."""
    name = file.name
    for side in SIDE_FILES:
        if name.endswith(side):
            return not pattern.endswith(side)
    stem = name.removesuffix(ending(file)) if name.endswith(ROW_ENDINGS) else name
    for at in (at for at, letter in enumerate(stem) if letter == "."):
        if stem[:at].endswith(ROW_ENDINGS) and file.with_name(stem[:at]).exists():
            return not pattern.endswith(name[at:])
    return False


def known_formats() -> str:
    return f"Known: {' '.join(ROW_ENDINGS)}, or a Hugging Face dataset folder."


def ending(path: Path) -> str:
    """The known ending of a file of rows, else whatever stands after the last dot; a dataset folder has none."""
    return next((known for known in ROW_ENDINGS if path.name.endswith(known)), path.suffix)


def output_of(path: Path) -> Path:
    """The output beside which a step wrote `path`, or `path` itself."""
    for side in BESIDE_OUTPUT:
        if path.name.removesuffix(side) not in ("", path.name):
            return path.with_name(path.name.removesuffix(side))
    return path


def files_below(folder: Path) -> list[Path]:
    """All files in a folder and its folders, also those behind links, each folder once; none below a file."""
    files, seen = [], set()
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if os.path.realpath(os.path.join(place, name)) not in seen)
        seen.update(os.path.realpath(os.path.join(place, name)) for name in folders)
        files += [Path(place, name) for name in names]
    return sorted(file for file in files if file.is_file())
