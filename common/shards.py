"""Run one function over many files: in worker processes here, on Ray where one machine is too small.

    counts = run_shards(score_file, [(source, target), ...], fingerprint={"model": name}, workers=8, gpus_per_worker=1)

`work(source, target)` reads one file, writes the other whole (`common.rows`) and returns its counts. It must be
importable: a module's function, or a functools.partial of one. A worker lives for many shards, so what is costly to
load goes behind functools.cache. A finished shard leaves `<target>.done.json`: it is skipped when its input and the
fingerprint are the same, and refused when they are not. A shard that fails does not stop the others.
"""

import argparse
import json
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from common import manifest
from common.errors import BadInput, CommonError
from common.rows import input_files, write_text
from common.step import progress

Work = Callable[[str, str], dict[str, int]]
Task = tuple[str, str]
CRASHES_WITHOUT_PROGRESS = 3  # then the shards left are given up


def add_shard_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("scale")
    group.add_argument("--num_workers", type=int, default=1, help="worker processes, one a GPU if any (default: 1)")
    group.add_argument(
        "--engine", choices=["processes", "ray"], default="processes", help="this machine, or a Ray cluster"
    )


def pair_shards(data_path: str, output_folder: str, ending: str | None = None) -> list[Task]:
    """(input, output) for each file of a glob; an output is named by its input, with another ending if asked."""
    files = input_files(data_path)
    names = [file.name if ending is None else file.name.split(".")[0] + ending for file in files]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise BadInput(f"{data_path}: several inputs would be written to {twice[0]}; name them apart")
    return [(str(file), str(Path(output_folder) / name)) for file, name in zip(files, names, strict=True)]


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
                record = {"input": manifest.hash_file(source), "fingerprint": fingerprint, "counts": dict(result)}
                write_text(_done_path(target), json.dumps(record, indent=1))
                total.update(result)
            bar.update()
    if failed:
        raise CommonError(f"{len(failed)} of {len(tasks)} shards failed, run again to do them; the first: {failed[0]}")
    return total


def _done_path(target: str) -> Path:
    return Path(f"{target}.done.json")


def _read_done(source: str, target: str, fingerprint: dict) -> dict | None:
    """The counts of a finished shard, None for one that is still to do."""
    path = _done_path(target)
    if not path.exists() or not Path(target).exists():
        return None
    record = json.loads(path.read_text(encoding="utf-8"))
    wanted = {"input": manifest.hash_file(source), "fingerprint": json.loads(json.dumps(fingerprint))}
    if changed := manifest.diff({key: record[key] for key in wanted}, wanted, "shard "):
        raise BadInput(
            f"{target}: was made from another input or with other settings ({'; '.join(changed)}); "
            "delete it or choose another output"
        )
    return record["counts"]


def _in_processes(
    work: Work, tasks: list[Task], workers: int, gpus_per_worker: float
) -> Iterator[tuple[Task, dict | Exception]]:
    """Results as they come. A worker that dies takes the pool with it: the shards left get a new one."""
    if workers <= 1 and not gpus_per_worker:
        for task in tasks:
            yield task, _attempt(work, task)
        return
    left, crashes = list(tasks), 0
    while left and crashes < CRASHES_WITHOUT_PROGRESS:
        context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
        numbers = context.SimpleQueue()
        for number in range(workers):
            numbers.put(number)
        with ProcessPoolExecutor(min(workers, len(left)), context, _start_worker, (numbers, gpus_per_worker)) as pool:
            running: dict[Future, Task] = {pool.submit(_attempt, work, task): task for task in left}
            left_before = len(left)
            while running:
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    task = running.pop(future)
                    if not isinstance(future.exception(), BrokenProcessPool):
                        left.remove(task)
                        yield task, future.result()
            crashes = 0 if len(left) < left_before else crashes + 1
    for task in left:
        yield task, CommonError("its worker process died again and again; out of memory?")


def _attempt(work: Work, task: Task) -> dict | Exception:
    try:
        return work(*task)
    except (CommonError, OSError, ValueError, ArithmeticError, LookupError, TypeError, RuntimeError) as error:
        return error if isinstance(error, CommonError) else CommonError(f"{type(error).__name__}: {error}")


def _start_worker(numbers: multiprocessing.SimpleQueue, gpus_per_worker: float) -> None:
    """Give each worker its own GPUs, before anything loads CUDA."""
    if gpus_per_worker:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        gpus = visible.split(",") if visible else [str(number) for number in range(1024)]
        first = int(numbers.get() * gpus_per_worker)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[first : first + max(1, int(gpus_per_worker))])


def _on_ray(
    work: Work, tasks: list[Task], workers: int, gpus_per_worker: float
) -> Iterator[tuple[Task, dict | Exception]]:
    """The same on a cluster with a shared file system. Ray places the workers and restarts those it loses."""
    import ray

    root = str(Path(__file__).resolve().parent.parent)
    ray.init(ignore_reinit_error=True, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": root}})

    @ray.remote(num_gpus=gpus_per_worker, max_restarts=3, max_task_retries=3)
    class Worker:
        def attempt(self, task: Task) -> dict | Exception:
            return _attempt(work, task)

    waiting = list(reversed(tasks))
    idle = [Worker.remote() for _ in range(min(workers, len(tasks)))]
    running = {}
    while waiting or running:
        while waiting and idle:
            worker, task = idle.pop(), waiting.pop()
            running[worker.attempt.remote(task)] = worker, task
        finished, _ = ray.wait(list(running))
        for reference in finished:
            worker, task = running.pop(reference)
            try:
                result = ray.get(reference)
            except ray.exceptions.RayError as error:
                result = CommonError(f"lost on the cluster: {error}")
                worker = Worker.remote()
            idle.append(worker)
            yield task, result
