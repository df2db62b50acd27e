"""Work for the tests of common/shards.py: importable, as shards must be."""

import os
import signal
from pathlib import Path

from common.errors import BadInput
from common.rows import read_rows, write_rows


def double(source: str, target: str) -> dict[str, int]:
    rows = [{"n": 2 * row["n"], "pid": 0} for row in read_rows(source)]
    return {"rows": write_rows(target, rows)}


def double_or_die_once(source: str, target: str) -> dict[str, int]:
    mark = Path(f"{target}.died")
    if "2" in Path(source).name and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return double(source, target)


def double_or_always_die(source: str, target: str) -> dict[str, int]:
    if "2" in Path(source).name:
        os._exit(1)
    return double(source, target)


def double_or_fail(source: str, target: str) -> dict[str, int]:
    if "2" in Path(source).name:
        raise BadInput(f"{source}: not good")
    return double(source, target)


def visible_gpus(source: str, target: str) -> dict[str, int]:
    write_rows(target, [{"gpus": os.environ["CUDA_VISIBLE_DEVICES"]}])
    return {"rows": 1}
