"""The stand-in: an OpenAI-compatible server without a model. `python -m common.llm.standin --help` says more.

with standin_server(faults=0.3) as base_url: ...
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.errors import CommonError


@contextlib.contextmanager
def standin_server(**flags: Any) -> Iterator[str]:
    """Run the server as a process of its own, with the command line's flags; gives its base URL."""
    command = [sys.executable, "-m", "common.llm.standin"]
    command += [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    root = str(Path(__file__).resolve().parents[3])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            line = process.stdout.readline()
            if not line.startswith("serving "):
                raise CommonError(f"the stand-in did not start (exit code {process.wait()}): {' '.join(command)}")
            yield line.split()[-1]
        finally:
            process.terminate()
