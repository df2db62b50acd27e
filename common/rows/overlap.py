"""Refuse a run that would write over what it reads, or twice to one place, whatever the names look like."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from common.errors import BadInput
from common.rows.atomic import lock_path
from common.rows.files import files_below

Key = str | tuple[int, int]  # a file by its real name, and by its device and inode


def refuse_overlap(reads: Iterable[str | Path], writes: Iterable[str | Path]) -> None:
    """Before the first byte: no output, side output, part or lock may be, hold or lie in what is read, or one another.

    The same file is found behind links, hard links, other spellings, and names in capitals on a disk that has none.
    """
    known: dict[str, set[Key]] = {}
    read: dict[Key, Path] = {}
    holds_read: dict[Key, Path] = {}
    for path in map(Path, reads):
        for file in (path, *files_below(path)):
            read.update(dict.fromkeys(_keys(file), path))
        holds_read.update(dict.fromkeys(_keys_of_folders(path, known), path))
    written: dict[Key, Path] = {}
    holds_written: dict[Key, Path] = {}
    locks: set[Path] = set()
    for output in map(Path, writes):
        real = Path(os.path.realpath(output))
        parts = [real.with_name(real.name + end) for end in (".part", ".old.part")]
        for path in [output, *parts, *({lock_path(real)} - locks)]:
            keys, folders = _keys(path), _keys_of_folders(path, known)
            if other := _found(keys, read):
                place = "" if str(path) == str(other) else f" ({path})"
                raise BadInput(f"{other}: is both input and output{place}; choose another output")
            if other := _found(folders, read):
                raise BadInput(f"{path}: lies in {other}, which is read; choose another output")
            if other := _found(keys, holds_read):
                raise BadInput(f"{path}: holds {other}, which is read; choose another output")
            keys |= {_without_capitals(path)}  # some disks hold OUT.jsonl and out.jsonl to be one
            if other := _found(keys, written) or _found(folders, written) or _found(keys, holds_written):
                raise BadInput(f"{output} and {other}: would be written to the same place; choose another output")
            written.update(dict.fromkeys(keys, output))
            holds_written.update(dict.fromkeys(folders, output))
        locks.add(lock_path(real))


def _found(keys: Iterable[Key], places: Mapping[Key, Path]) -> Path | None:
    return next((places[key] for key in keys if key in places), None)


def _keys(path: Path) -> set[Key]:
    keys: set[Key] = {os.path.realpath(path)}
    try:
        found = os.stat(path)
        keys.add((found.st_dev, found.st_ino))
    except OSError:
        pass  # it is still to be written
    return keys


def _keys_of_folders(path: Path, known: dict[str, set[Key]]) -> set[Key]:
    """Of all folders that hold it; those of a folder are looked up once."""
    folder = os.path.dirname(os.path.realpath(path))
    if folder not in known:
        known[folder] = {key for above in (Path(folder), *Path(folder).parents) for key in _keys(above)}
    return known[folder]


def _without_capitals(path: Path) -> Key:
    real = Path(os.path.realpath(path))
    return str(real.with_name(real.name.casefold()))
