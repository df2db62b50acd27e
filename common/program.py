"""What every program here begins and ends with: its parser, its progress bar, its exit code."""

import argparse
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from common.errors import CommonError
from common.redaction import redact

INTERRUPTED = 130

# tqdm's own is shared with processes that are forked: one that is killed while it holds it stops everybody's bars.
tqdm.set_lock(threading.RLock())


class _Help(argparse.RawDescriptionHelpFormatter):
    """The docstring as it is, and behind each option the default that it has."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, False, argparse.SUPPRESS) or not action.option_strings:
            return action.help
        return f"{action.help or ''} (default: %(default)s)".strip()


class _Parser(argparse.ArgumentParser):
    """One that repeats no secret: argparse prints what it does not know. Its commands are like it."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"formatter_class": _Help, "allow_abbrev": False} | settings)

    def error(self, message: str) -> None:
        super().error(redact(message))


def make_parser(docstring: str | None) -> argparse.ArgumentParser:
    return _Parser(description=docstring)


def positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected 1 or more")
    return number


def progress(items: Any = None, **options: Any) -> tqdm:
    """A tqdm bar where somebody watches; nothing in a log file."""
    return tqdm(items, disable=not sys.stderr.isatty(), dynamic_ncols=True, **options)


def run_main(main: Callable[[], None]) -> None:
    """Run a program's main: an error of ours is one sentence and an exit code, anything else a traceback."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        main()
    except CommonError as error:
        print(f"{Path(sys.argv[0]).name}: {redact(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print(f"{Path(sys.argv[0]).name}: interrupted; the same command goes on", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _stop(signum: int, frame: object) -> None:
    raise KeyboardInterrupt
