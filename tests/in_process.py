"""A program of ours run as a user runs it, but in this process: no second Python to start."""

import contextlib
import io
import sys
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from types import ModuleType

Verdicts = Iterator[tuple[bool, str]]


def run_program(module: ModuleType, *arguments: object) -> str:
    """What `module.main()` printed, given these arguments on its command line."""
    before, printed = sys.argv, io.StringIO()
    sys.argv = [module.__file__ or module.__name__, *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            module.main()
    finally:
        sys.argv = before
    return printed.getvalue()


def compare(found: Iterable[object], wanted: Iterable[object]) -> Verdicts:
    for ours, released in zip_longest(found, wanted):
        yield ours == released, f"ours {ours!r}, released {released!r}"
