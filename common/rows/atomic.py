"""Replace a file or a dataset folder as a whole: written beside it under a lock, synced, renamed.

Nothing is removed that this program did not write: a `.part` only if a killed run left it with its lock, a folder only
if it carries our mark, and then file by file, by the names that we gave them.
"""

import contextlib
import errno
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common.errors import BadInput, CommonError, OutputInUse
from common.rows.files import output_of

DATA_FILE = "data-00000-of-00001.arrow"
FOLDER_FILES = (DATA_FILE, "dataset_info.json", "state.json")  # removed in this order: the mark goes last
MARK = {"_written_by": "common.rows"}  # in state.json; datasets reads past it


# ---------------------------------------------------------------- locks


@dataclass
class _Lock:
    descriptor: int
    left_over: bool  # by a run that was killed: then its parts may lie there too
    users: int = 1
    part_stays: bool = False  # one could not be removed: the lock stays too, and tells the next run that it is ours


_held: dict[Path, _Lock] = {}  # of this process, by lock file
_open_parts: set[Path] = set()


def lock_path(path: Path) -> Path:
    """One lock for an output and what its step writes beside it."""
    output = output_of(path)
    return output.with_name(output.name + ".lock")


@contextlib.contextmanager
def locked(output: str | Path) -> Iterator[None]:
    """Hold the lock of `output` while several files are written beside it; any other run of that output stops."""
    path = Path(os.path.realpath(output))
    with saying(path):
        _take(path)
    try:
        yield
    finally:
        _leave(path)


def _join(path: Path) -> _Lock:
    """Take the lock, or share it with the Step of this process that holds it."""
    held = _held.get(lock_path(path))
    if held is None:
        return _take(path)
    held.users += 1
    return held


def _take(path: Path) -> _Lock:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = lock_path(path)
    while True:
        descriptor, left_over = _open_lock(lock)
        with contextlib.ExitStack() as closing:
            closing.callback(os.close, descriptor)
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_size:
                raise BadInput(f"{lock}: stands where this run needs its lock, and is none; move it away")
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _in_use(path) from None
            with contextlib.suppress(FileNotFoundError):  # else whoever held it has just ended and removed it
                if found.st_ino == os.stat(lock).st_ino:
                    closing.pop_all()
                    _held[lock] = _Lock(descriptor, left_over)
                    return _held[lock]


def _open_lock(lock: Path) -> tuple[int, bool]:
    """Its descriptor, and whether it was there before."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK
    while True:
        with contextlib.suppress(FileExistsError):
            return os.open(lock, flags | os.O_CREAT | os.O_EXCL, 0o666), False
        with contextlib.suppress(FileNotFoundError):
            return os.open(lock, flags), True


def _in_use(path: Path) -> OutputInUse:
    return OutputInUse(f"{path}: another run is writing it; wait for that one or stop it")


def _leave(path: Path, part_stays: bool = False) -> None:
    lock = lock_path(path)
    held = _held.get(lock)
    if held is None:  # in a process that was forked while it was held
        return
    held.users -= 1
    held.part_stays |= part_stays
    if not held.users:
        del _held[lock]
        if not held.part_stays:
            lock.unlink(missing_ok=True)
        os.close(held.descriptor)


def _forget_locks() -> None:
    """A forked process holds none: else it would keep the output locked when its parent is killed."""
    for held in _held.values():
        os.close(held.descriptor)
    _held.clear()
    _open_parts.clear()


os.register_at_fork(after_in_child=_forget_locks)


# ---------------------------------------------------------------- replacing


class Replacement:
    """What is written to `part`, between `begin` and `keep`, takes the place of `path`; `drop` leaves no trace."""

    def __init__(self, path: str | Path, folder: bool = False) -> None:
        self.path = Path(os.path.realpath(path))  # through a symlink: the link stays, its target is replaced
        self._folder = folder
        check_target(self.path, folder)
        self.part = _beside(self.path, ".part")

    def begin(self) -> None:
        with saying(self.path):
            if self.part in _open_parts:
                raise _in_use(self.path)
            lock = _join(self.path)
            try:
                self._clear(lock.left_over)
                self._create()
            except BaseException:
                _leave(self.path)
                raise
            _open_parts.add(self.part)

    def _clear(self, left_over: bool) -> None:
        aside = _beside(self.path, ".old.part")
        for path in (self.part, aside) if self._folder else (self.part,):
            ours = left_over if path == self.part else _is_ours(path)
            if os.path.lexists(path) and not ours:
                raise BadInput(f"{path}: stands where this run would write, and no run left it; move it away")
        if self._folder and aside.is_dir():  # killed between the two renames of `replace_synced`
            if not self.path.exists():
                os.rename(aside, self.path)
            else:
                _remove(aside)
        _remove(self.part)

    def _create(self) -> None:
        """Empty, and never readable by more people than what it replaces, or than the output it lies beside."""
        likes = (path for path in (self.path, output_of(self.path)) if path.exists() and path.is_dir() == self._folder)
        modes = [stat.S_IMODE(path.stat().st_mode) for path in likes]
        if self._folder:
            os.mkdir(self.part, modes[0] if modes else 0o777)
        else:
            os.close(os.open(self.part, os.O_CREAT | os.O_EXCL, modes[0] if modes else 0o666))
        if modes and stat.S_IMODE(self.part.stat().st_mode) != modes[0]:
            os.chmod(self.part, modes[0])

    def keep(self) -> None:
        try:
            with saying(self.path):
                for file in self.part.iterdir() if self._folder else ():
                    _sync(file)
                _sync(self.part)
                replace_synced(self.part, self.path)
        except BaseException:
            self.drop()
            raise
        self._end()

    def drop(self) -> None:
        with contextlib.suppress(OSError):  # what stopped the writing is what is told
            _remove(self.part)
        self._end()

    def _end(self) -> None:
        _open_parts.discard(self.part)
        _leave(self.path, part_stays=os.path.lexists(self.part))


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """`with replacing(path) as part:` write the file `part`; it becomes `path` when the block ends well."""
    replacement = Replacement(path)
    replacement.begin()
    try:
        with saying(replacement.path):
            yield replacement.part
    except BaseException:
        replacement.drop()
        raise
    replacement.keep()


def write_text(path: str | Path, text: str) -> None:
    """A small file, whole and synced."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", newline="")


def replace_synced(part: Path, path: Path) -> None:
    """Rename `part` to `path` and make that durable. A dataset folder of ours in the way is moved aside first."""
    if path.is_dir():
        check_target(path, folder=part.is_dir())
        aside = _beside(path, ".old.part")
        os.rename(path, aside)
        try:
            os.rename(part, path)
        except BaseException:
            os.rename(aside, path)
            raise
        _remove(aside)
    else:
        os.replace(part, path)
    _sync(path.parent)


def check_target(path: str | Path, folder: bool = False) -> None:
    """Refuse, before anything is written, what cannot be replaced or must not be."""
    path = Path(path)
    with contextlib.suppress(FileNotFoundError):  # the folder you are in has vanished
        if Path.cwd().is_relative_to(path):
            raise BadInput(f"{path}: holds the folder you are in; choose another output")
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise cannot_write(path, error) from error
    if folder and not _is_ours(path):
        raise BadInput(f"{path}: exists and is not a dataset folder that this program wrote; choose another output")
    if not folder and not stat.S_ISREG(mode):
        raise BadInput(f"{path}: exists and is not a file; choose another output")
    if not mode & stat.S_IWUSR or not os.access(path, os.W_OK):
        raise BadInput(f"{path}: is read-only; remove it or choose another output")


def _is_ours(folder: Path) -> bool:
    """Whether a folder is empty, or is a dataset that we wrote and that nobody has put anything into."""
    try:
        names = os.listdir(folder)
        if not names:
            return True
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        return set(names) <= set(FOLDER_FILES) and state.items() >= MARK.items()
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for name in FOLDER_FILES:
            (path / name).unlink(missing_ok=True)
        path.rmdir()  # refuses if anything else is in it
    else:
        path.unlink(missing_ok=True)


def _beside(path: Path, what: str) -> Path:
    return path.with_name(path.name + what)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def saying(path: Path) -> Iterator[None]:
    """What the system says while `path` is written, said of that file."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> CommonError:
    advice = "free some space and run again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "nothing was changed"
    return CommonError(f"{path}: cannot be written: {error.strerror or error}; {advice}")
