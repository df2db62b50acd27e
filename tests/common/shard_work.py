"""Work for the tests of common/shards.py: importable, as shards must be."""

import os
import signal
import threading
from pathlib import Path

from common.errors import BadInput, BadRow
from common.rows import RowWriter, read_rows, write_rows


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


def double_or_lose_the_node(source: str, target: str) -> dict[str, int]:
    mark = Path(f"{target}.died")
    if "2" in Path(source).name and not mark.exists():
        mark.touch()
        os.kill(os.getppid(), signal.SIGKILL)  # the raylet, which is the node
        threading.Event().wait()
    return double(source, target)


def double_or_fail(source: str, target: str) -> dict[str, int]:
    if "2" in Path(source).name:
        raise BadInput(f"{source}: not good")
    return double(source, target)


def double_under_ctrl_c(source: str, target: str) -> dict[str, int]:
    os.kill(os.getpid(), signal.SIGINT)  # as a terminal sends it to all of them
    return double(source, target)


def visible_gpus(source: str, target: str) -> dict[str, int]:
    write_rows(target, [{"gpus": os.environ["CUDA_VISIBLE_DEVICES"], "pid": os.getpid()}])
    return {"rows": 1}


def visible_gpus_of_two(source: str, target: str) -> dict[str, int]:
    """Each of two shards waits for the other, so that each has a worker."""
    folder = Path(target).parent
    folder.mkdir(exist_ok=True)
    Path(f"{target}.begun").touch()
    while len(list(folder.glob("*.begun"))) < 2:
        threading.Event().wait(0.01)
    return visible_gpus(source, target)


def double_or_break(source: str, target: str) -> dict[str, int]:
    """Part 1 holds a bad row, part 2 meets a bug."""
    if "1" in Path(source).name:
        raise BadRow(source, 7, "is none", line=9)
    assert "2" not in Path(source).name, "a bug"
    return double(source, target)


def double_and_hang_once(source: str, target: str) -> dict[str, int]:
    """The first time, half a file is written and never the rest."""
    mark = Path(f"{target}.hung")
    if mark.exists():
        return double(source, target)
    with RowWriter(target) as writer:
        writer.write({"half": 1})
        mark.touch()
        print("hangs", flush=True)
        threading.Event().wait()
    return {}
