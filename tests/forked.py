"""A program of ours in a process of its own that need not import torch again: a fork of this one.

with tempfile.TemporaryFile("w+") as output:
    program = Forked(["superfiltering/step1_score_ifd.py", "--help"], output)
    assert program.wait() == 0
"""

import os
import runpy
import select
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, TextIO

ROOT = Path(__file__).parent.parent
OURS = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}


class Forked:
    """`python WORDS…` from the repository's root; its modules of ours are fresh, those of others are this process's."""

    def __init__(self, words: Sequence[object], output: TextIO) -> None:
        self.returncode: int | None = None
        self.pid = os.fork()
        if not self.pid:
            _run_and_exit([str(word) for word in words], output)
        self.end = os.pidfd_open(self.pid)

    def wait(self, seconds: float | None = None) -> int | None:
        """Its exit code; None if it has not ended by then."""
        if self.returncode is None and select.select([self.end], [], [], seconds)[0]:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self.end)
        return self.returncode

    def kill(self) -> int | None:
        if self.wait(0) is None:
            os.kill(self.pid, signal.SIGKILL)
        return self.wait()


def _run_and_exit(words: list[str], output: TextIO) -> NoReturn:
    code: object = 1
    try:
        sys.stdout = sys.stderr = output
        for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
            del sys.modules[name]
        as_module = words[0] == "-m"
        sys.argv = words[as_module:]
        elsewhere = [place for place in sys.path if os.path.realpath(place) != str(ROOT)]
        sys.path[:] = [str(ROOT if as_module else (ROOT / sys.argv[0]).parent), *elsewhere]
        os.chdir(ROOT)
        if as_module:
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except:  # noqa: E722 - whatever it is, this child must not go on as a second pytest
        traceback.print_exc()
    finally:
        output.flush()
        os._exit(code if isinstance(code, int) else 1)
