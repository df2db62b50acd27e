"""Run one function over many files: in worker processes here, on Ray where one machine is too small.

    counts = run_shards(score_file, [(source, target), ...], fingerprint={"model": name}, workers=8, gpus_per_worker=1)

`work(source, target)` reads one file, writes the other whole (`common.rows`) and returns its counts. It must be
importable: a module's function, or a functools.partial of one. A worker lives for many shards, so what is costly to
load goes behind functools.cache. A finished shard leaves `<target>.done.json`: it is skipped when its input and the
fingerprint are the same, and refused when they are not. A shard that fails does not stop the others.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import re
import signal
import sys
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from common import manifest
from common.errors import BadInput, CommonError
from common.program import progress
from common.rows import input_files, write_text

Work = Callable[[str, str], dict[str, int]]
Task = tuple[str, str]
OF_A_PART = re.compile(r"\d{6}\.\w+\.jsonl(\.done\.json)?")  # 000000.rows.jsonl, 000000.scores.jsonl
DEATHS_OF_A_SHARD = 3  # of workers that were at it: then it is given up


def add_shard_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("scale")
    group.add_argument("--num_gpus", type=int, default=0, help="worker processes, each with a GPU of its own")
    group.add_argument("--num_workers", type=int, default=1, help="worker processes without a GPU")
    group.add_argument(
        "--engine", choices=["processes", "ray"], default="processes", help="this machine, or a Ray cluster"
    )


def shard_options(args: argparse.Namespace) -> dict[str, Any]:
    """What the command line says to run_shards."""
    workers = args.num_gpus or args.num_workers
    return {"workers": workers, "gpus_per_worker": 1 if args.num_gpus else 0, "engine": args.engine}


def pair_shards(data_path: str, output_folder: str, ending: str | None = None) -> list[Task]:
    """(input, output) for each file of a glob; an output is named by its input, with another ending if asked."""
    files = input_files(data_path)
    names = [file.name if ending is None else file.name.split(".")[0] + ending for file in files]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise BadInput(f"{data_path}: several inputs would be written to {twice[0]}; name them apart")
    return [(str(file), str(Path(output_folder) / name)) for file, name in zip(files, names, strict=True)]


def remove_parts(folder: Path) -> None:
    """Shards that were only a step's parts, once it is done. A folder that holds something else stays."""
    for file in folder.glob("*") if folder.is_dir() else ():
        if OF_A_PART.fullmatch(file.name):
            file.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def run_shards(
    work: Work,
    tasks: Iterable[Task],
    fingerprint: dict,
    workers: int = 1,
    gpus_per_worker: float = 0,
    engine: str = "processes",
) -> Counter[str]:
    """Do every shard that is not done yet; the counts of all, added up."""
    tasks = list(tasks)
    total: Counter[str] = Counter()
    open_tasks = []
    for source, target in tasks:
        done = _read_done(source, target, fingerprint)
        total.update(done or {})
        if done is None:
            open_tasks.append((source, target))
    run = {"processes": _in_processes, "ray": _on_ray}[engine]
    failed = []
    with progress(total=len(tasks), initial=len(tasks) - len(open_tasks), desc="shards", unit="shard") as bar:
        for (source, target), result in run(work, open_tasks, workers, gpus_per_worker):
            if isinstance(result, Exception):
                failed.append(f"{source}: {result}")
                print(f"failed: {failed[-1]}", file=sys.stderr)
            else:
                hashes = {"input": manifest.hash_file(source), "output": manifest.hash_file(target)}
                record = hashes | {"fingerprint": fingerprint, "counts": dict(result)}
                write_text(_done_path(target), json.dumps(record, indent=1))
                total.update(result)
            bar.update()
    if failed:
        raise CommonError(f"{len(failed)} of {len(tasks)} shards failed, run again to do them; the first: {failed[0]}")
    return total


def _done_path(target: str) -> Path:
    return Path(f"{target}.done.json")


def _read_done(source: str, target: str, fingerprint: dict) -> dict | None:
    """The counts of a finished shard, None for one that is still to do: its output is gone or no longer what it was."""
    path = _done_path(target)
    if not path.exists() or not Path(target).exists():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        kept = {key: record[key] for key in ("input", "fingerprint")}
        output, counts = record.get("output"), dict(record["counts"])
    except (ValueError, LookupError, TypeError):
        return None
    wanted = {"input": manifest.hash_file(source), "fingerprint": json.loads(json.dumps(fingerprint))}
    if changed := manifest.diff(kept, wanted, "shard "):
        raise BadInput(
            f"{target}: was made from another input or with other settings ({'; '.join(changed)}); "
            "delete it or choose another output"
        )
    return counts if manifest.hash_file(target) == output else None


def _in_processes(
    work: Work, tasks: list[Task], workers: int, gpus_per_worker: float
) -> Iterator[tuple[Task, dict | Exception]]:
    """Results as they come. A worker that dies takes only its own shard with it, which gets another one."""
    if workers <= 1 and not gpus_per_worker:
        for task in tasks:
            yield task, _attempt(work, task)
        return
    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    waiting, deaths = deque(tasks), Counter()
    pool: dict[Connection, tuple[int, BaseProcess]] = {}
    busy: dict[Connection, Task | None] = {}  # None: it is starting

    def start(number: int) -> None:
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(work, there, number, gpus_per_worker))
        process.start()
        there.close()  # the worker's death is the end of this pipe
        pool[here], busy[here] = (number, process), None

    try:
        for number in range(min(workers, len(tasks))):
            start(number)
        while busy:
            for pipe in wait(list(busy)):
                task = busy.pop(pipe)
                try:
                    result = pipe.recv()
                except (EOFError, OSError):
                    number, process = pool.pop(pipe)
                    process.join()
                    if task is None:
                        raise CommonError("a worker process could not start; see above") from None
                    deaths[task] += 1
                    if deaths[task] < DEATHS_OF_A_SHARD:
                        waiting.append(task)
                    else:
                        yield task, CommonError(f"{deaths[task]} worker processes died of it; out of memory?")
                    if waiting:
                        start(number)
                    continue
                if task is not None:
                    yield task, result
                if waiting:
                    busy[pipe] = waiting.popleft()
                    with contextlib.suppress(BrokenPipeError):  # it has died idle, as the next wait will tell
                        pipe.send(busy[pipe])
    finally:
        for _, process in pool.values():
            process.kill()  # nothing is lost: files appear whole or not at all
            process.join()


def _serve(work: Work, pipe: Connection, number: int, gpus_per_worker: float) -> None:
    """A worker process: one shard after the other, and never longer than the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for that process, which ends this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if gpus_per_worker:  # its own, before anything loads CUDA
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        gpus = visible.split(",") if visible else [str(gpu) for gpu in range(1024)]
        first = int(number * gpus_per_worker)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[first : first + max(1, int(gpus_per_worker))])
    pipe.send(None)
    while True:
        pipe.send(_attempt(work, pipe.recv()))


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _attempt(work: Work, task: Task) -> dict | Exception:
    try:
        return work(*task)
    except CommonError as error:
        return CommonError(str(error))  # any subclass finds its way between processes like this
    except Exception as error:  # noqa: BLE001 - whatever it is: the shard is named, the others go on
        print(f"{task[0]}:", traceback.format_exc(), file=sys.stderr)
        return CommonError(f"{type(error).__name__}: {error}")


def _on_ray(
    work: Work, tasks: list[Task], workers: int, gpus_per_worker: float
) -> Iterator[tuple[Task, dict | Exception]]:
    """The same on a cluster with a shared file system, where Ray places the workers."""
    try:
        import ray
    except ImportError:
        raise CommonError("--engine ray needs Ray: pip install -e '.[ray]'") from None

    root = str(Path(__file__).resolve().parent.parent)
    ray.init(ignore_reinit_error=True, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": root}})

    @ray.remote(num_gpus=gpus_per_worker)
    class Worker:
        def start(self) -> None:
            """Done when the cluster has found a place for this worker; shards are for those that have one."""

        def attempt(self, task: Task) -> dict | Exception:
            return _attempt(work, task)

    waiting, deaths, left = deque(tasks), Counter(), len(tasks)
    running = {}

    def start() -> None:
        worker = Worker.remote()
        running[worker.start.remote()] = worker, None

    for _ in range(min(workers, len(tasks))):
        start()
    while left:
        (reference,), _ = ray.wait(list(running))
        worker, task = running.pop(reference)
        try:
            result = ray.get(reference)
        except ray.exceptions.RayError as error:  # the worker or its node is gone
            deaths[task] += 1
            result = CommonError(f"{deaths[task]} workers on the cluster died of it: {error}")
            if deaths[task] < DEATHS_OF_A_SHARD:
                waiting.extend([task] if task else [])
                task = None
            elif task is None:
                raise CommonError(f"workers on the cluster cannot start: {error}") from None
            if waiting:
                start()
        else:
            if waiting:
                following = waiting.popleft()
                running[worker.attempt.remote(following)] = worker, following
        del worker  # one without work gives up its place
        if task is not None:
            left -= 1
            yield task, result
