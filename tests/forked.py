"""Programs of ours in processes of their own that can be killed, started in a tenth of the time: forks of one process
that has imported the heavy libraries.

    process = start(["superfiltering/step1_score_ifd.py", "--help"], output=tmp_path / "said")
    process.join()
    assert process.exitcode == 0
"""

import importlib
import multiprocessing
import os
import runpy
import sys
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

ROOT = Path(__file__).parent.parent
OURS = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [__name__, "datasets", "sklearn.linear_model", "trl.trainer.sft_trainer", "trl.trainer.reward_trainer"]
    + ["transformers.models.bert.modeling_bert", "transformers.models.gpt2.modeling_gpt2"]
)


def start(words: Sequence[object], output: str | Path = os.devnull, **changed: object) -> BaseProcess:
    """`python WORDS…` from the repository's root, what it says in `output`. `changed` sets what cannot be set from a
    command line, to make it small enough to be interrupted: start([…], **{"common.llm.client.FIRST_WAIT": 0.01})."""
    process = FORKS.Process(target=_run, args=(list(map(str, words)), str(output), changed))
    process.start()
    return process


def kill_when(process: BaseProcess, enough: Callable[[], bool], seconds: float = 0) -> None:
    """SIGKILL, so many seconds after it has done enough; nothing if it ended before."""
    while process.is_alive() and not enough():
        process.join(0.001)
    process.join(seconds)
    process.kill()
    process.join()


def _run(words: list[str], output: str, changed: dict[str, object]) -> None:
    sys.stdout = sys.stderr = open(output, "w", encoding="utf-8", buffering=1)
    for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
        del sys.modules[name]
    as_module = words[0] == "-m"
    sys.argv = words[as_module:]
    elsewhere = [place for place in sys.path if os.path.realpath(place) != str(ROOT)]
    sys.path[:] = [str(ROOT if as_module else (ROOT / sys.argv[0]).parent), *elsewhere]
    os.chdir(ROOT)
    if changed:
        sys.path.append(str(ROOT))
    for name, value in changed.items():
        module, _, attribute = name.rpartition(".")
        setattr(importlib.import_module(module), attribute, value)
    if as_module:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")
