"""A program of ours run as a user runs it, but in this process: no second Python to start."""

import contextlib
import io
import sys
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from types import ModuleType
from typing import NamedTuple

from common.errors import CommonError

Verdicts = Iterator[tuple[bool, str]]


def run_program(module: ModuleType, *arguments: object, stderr: io.StringIO | None = None) -> str:
    """What `module.main()` printed, given these arguments on its command line."""
    before, printed, hidden = sys.argv, io.StringIO(), stderr or io.StringIO()
    sys.argv = [module.__file__ or module.__name__, *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(hidden):
            module.main()
    finally:
        sys.argv = before
    return printed.getvalue()


class Ended(NamedTuple):
    returncode: int
    stderr: str


def end_of_program(module: ModuleType, *arguments: object) -> Ended:
    """How `module.main()` ended, as `run_main` would end it."""
    said, code = io.StringIO(), 0
    try:
        run_program(module, *arguments, stderr=said)
    except CommonError as error:
        print(error, file=said)
        code = error.exit_code
    return Ended(code, said.getvalue())


def compare(found: Iterable[object], wanted: Iterable[object]) -> Verdicts:
    for ours, released in zip_longest(found, wanted):
        yield ours == released, f"ours {ours!r}, released {released!r}"
