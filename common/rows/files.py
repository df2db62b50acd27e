"""Files and folders under rows: what a path names, locks, and the replacing of a file as a whole."""

import errno
import fcntl
import glob
import os
import shutil
import stat
from pathlib import Path

from common.errors import BadInput, CommonError, OutputInUse

LINE_ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".json")
TABLE_ENDINGS = (".parquet", ".arrow")
# What a step leaves beside its output; a glob of outputs does not mean these.
SIDE_FILES = (".rejected.jsonl", ".manifest.json", ".done.json", ".answers.sqlite", ".lock", ".part")


def input_files(path: str | Path) -> list[Path]:
    """The files `path` names: itself, or the sorted matches of a glob."""
    try:
        if Path(path).exists():
            return [Path(path)]
    except OSError as error:  # a name too long, a folder one may not look into
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
    matches = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]
    matches = [match for match in matches if not match.name.endswith(SIDE_FILES)]
    if not matches:
        raise BadInput(f"{path}: no such file. Give a file, a dataset folder or a quoted glob. {known_formats()}")
    return matches


def known_formats() -> str:
    return f"Known: {' '.join(LINE_ENDINGS + TABLE_ENDINGS)}, or a Hugging Face dataset folder."


def ending(path: Path) -> str:
    for known in LINE_ENDINGS + TABLE_ENDINGS:
        if path.name.endswith(known):
            return known
    return path.suffix


def check_target(path: Path) -> None:
    if ending(path) not in ("", *LINE_ENDINGS, *TABLE_ENDINGS):
        raise BadInput(f"{path}: cannot write this format. {known_formats()}")
    if Path.cwd().is_relative_to(path):
        raise BadInput(f"{path}: holds the folder you are in; choose another output")
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise cannot_write(path, error) from error
    folder = ending(path) == ""
    if folder and not (path / "state.json").exists() and not (path.is_dir() and not any(path.iterdir())):
        raise BadInput(f"{path}: exists and is not a dataset folder; choose another output")
    if not folder and not stat.S_ISREG(mode):
        raise BadInput(f"{path}: exists and is not a file; choose another output")
    if not mode & stat.S_IWUSR or not os.access(path, os.W_OK):
        raise BadInput(f"{path}: is read-only; remove it or choose another output")


def cannot_write(path: Path, error: OSError) -> CommonError:
    advice = "free some space and run again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "nothing was changed"
    return CommonError(f"{path}: cannot be written: {error.strerror or error}; {advice}")


def replace_synced(part: Path, path: Path) -> None:
    """Rename `part` to `path` and make that durable. A dataset folder in the way is moved aside first."""
    if path.is_dir():
        os.rename(path, _aside(path))
        os.rename(part, path)
        remove(_aside(path))
    else:
        os.replace(part, path)
    sync(path.parent)


def _aside(folder: Path) -> Path:
    return folder.with_name(folder.name + ".old.part")


def restore(folder: Path) -> None:
    """Tidy up after a run that was killed between the two renames of a folder."""
    if _aside(folder).exists() and not folder.exists():
        os.rename(_aside(folder), folder)
    remove(_aside(folder))


def write_text(path: Path, text: str) -> None:
    """A small file, whole and synced."""
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        replace_synced(part, path)
    except OSError as error:
        raise cannot_write(path, error) from error


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def take_lock(path: Path) -> int:
    lock = path.with_name(path.name + ".lock")
    while True:
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == os.stat(lock).st_ino:
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise OutputInUse(f"{path}: another run is writing it; wait for that one or stop it") from None
        except FileNotFoundError:
            pass  # the run that held it has just ended and removed it: take a new one
        os.close(descriptor)


def drop_lock(descriptor: int, path: Path) -> None:
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    os.close(descriptor)
