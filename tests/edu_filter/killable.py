"""Steps in processes of their own that can be killed, started in a tenth of the time: imports are paid once."""

import importlib
import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [__name__, "common.rows", "edu_filter.training", "edu_filter.ensemble", "edu_filter.step1_rate"]
    + ["edu_filter.step5_label", "transformers.models.bert.modeling_bert", "transformers.models.auto.modeling_auto"]
)


def start(step: str, *words: object, **small: object) -> BaseProcess:
    """A step as a user runs it; `small` makes what it does at once small enough to be interrupted."""
    process = CONTEXT.Process(target=_run, args=(step, list(map(str, words)), small))
    process.start()
    return process


def _run(step: str, words: list[str], small: dict[str, object]) -> None:
    for name, value in small.items():
        module, _, attribute = name.rpartition(".")
        setattr(importlib.import_module(module), attribute, value)
    sys.stderr = open(os.devnull, "w", encoding="utf-8")
    sys.argv = [step, *words]
    importlib.import_module(f"edu_filter.{step}").main()


def kill_when(process: BaseProcess, enough: Callable[[], bool], seconds: float) -> None:
    while process.is_alive() and not enough():
        process.join(0.001)
    process.join(seconds)
    process.kill()
    process.join()
