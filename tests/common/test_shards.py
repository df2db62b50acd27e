"""Shards: done once, refused when something changed, finished in spite of workers that die."""

import argparse
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from common.errors import BadInput, CommonError
from common.manifest import hash_file
from common.rows import read_rows, write_rows
from common.shards import add_shard_arguments, pair_shards, run_shards, shard_options
from tests.common import shard_work


@pytest.fixture
def tasks(tmp_path):
    for number in range(5):
        write_rows(tmp_path / "in" / f"part{number}.jsonl", [{"n": 10 * number + n} for n in range(3)])
    return pair_shards(str(tmp_path / "in" / "*.jsonl"), str(tmp_path / "out"))


def results(tasks):
    return [row["n"] for _, target in tasks for row in read_rows(target)]


EXPECTED = [2 * (10 * number + n) for number in range(5) for n in range(3)]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_shard_is_done_once(tasks, workers, monkeypatch):
    assert run_shards(shard_work.double, tasks, {"model": "m"}, workers) == {"rows": 15}
    assert results(tasks) == EXPECTED and not multiprocessing.active_children()
    # Finished shards are not done again: their counts come from the record.
    assert run_shards(shard_work.double_or_fail, tasks, {"model": "m"}, workers) == {"rows": 15}


def test_another_input_or_model_is_refused(tasks):
    run_shards(shard_work.double, tasks, {"model": "m"})
    with pytest.raises(BadInput, match=r"part0.*fingerprint.model: \"m\" -> \"other\""):
        run_shards(shard_work.double, tasks, {"model": "other"})
    write_rows(tasks[3][0], [{"n": 0}])
    with pytest.raises(BadInput, match="part3.*was made from another input"):
        run_shards(shard_work.double, tasks, {"model": "m"})


@pytest.mark.parametrize("harm", ["delete", "cut", '{"input": "half of a rec', "{}", "[1]", "5", "null"])
def test_a_finished_shard_that_was_harmed_is_done_again(tasks, harm):
    run_shards(shard_work.double, tasks, {})
    target = Path(tasks[2][1])
    if harm == "delete":
        target.unlink()
    elif harm == "cut":
        target.write_bytes(target.read_bytes()[:9])
    else:
        Path(f"{target}.done.json").write_text(harm, encoding="utf-8")
    assert run_shards(shard_work.double, tasks, {}) == {"rows": 15}
    assert results(tasks) == EXPECTED


@pytest.mark.parametrize("workers", [1, 2])
def test_a_shard_that_fails_is_named_and_does_not_stop_the_others(tasks, workers):
    with pytest.raises(CommonError, match="1 of 5 shards failed.*part2.jsonl: not good"):
        run_shards(shard_work.double_or_fail, tasks, {}, workers)
    assert run_shards(shard_work.double, tasks, {}, workers) == {"rows": 15}
    assert results(tasks) == EXPECTED


def test_a_worker_that_dies_is_replaced(tasks):
    assert run_shards(shard_work.double_or_die_once, tasks, {}, workers=2) == {"rows": 15}
    assert results(tasks) == EXPECTED


def test_a_shard_that_kills_every_worker_is_given_up_and_the_others_are_done(tasks):
    tasks.insert(0, tasks.pop(2))  # at once, before any other is done
    with pytest.raises(CommonError, match="1 of 5 shards failed.*part2.*3 worker processes died of it"):
        run_shards(shard_work.double_or_always_die, tasks, {}, workers=2)
    assert [Path(target).exists() for _, target in tasks] == [False, True, True, True, True]
    assert run_shards(shard_work.double, tasks, {}, workers=2) == {"rows": 15}
    assert results(sorted(tasks)) == EXPECTED


@pytest.mark.parametrize("workers", [1, 2])
def test_whatever_a_shard_fails_with_is_named_and_the_others_are_done(tasks, workers, capfd):
    with pytest.raises(CommonError, match="2 of 5 shards failed"):
        run_shards(shard_work.double_or_break, tasks, {}, workers)
    said = capfd.readouterr().err
    assert "part1.jsonl, line 9 (row 7): is none" in said and "part2.jsonl: AssertionError: a bug" in said
    assert [Path(target).exists() for _, target in tasks] == [True, False, False, True, True]


def test_workers_that_cannot_start_end_the_run(tasks, tmp_path, monkeypatch):
    (tmp_path / "gone_by_then.py").write_text("def work(source, target): ...")
    monkeypatch.syspath_prepend(tmp_path)
    import gone_by_then

    (tmp_path / "gone_by_then.py").unlink()
    shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
    with pytest.raises(CommonError, match="could not start"):
        run_shards(gone_by_then.work, tasks, {}, workers=2)


@pytest.mark.parametrize(
    "visible, each, expected",
    [("4,5,6,7", 2, {"4,5", "6,7"}), ("4,5,6,7", 1, {"4", "5"}), ("4,5", 0.5, {"4"}), (None, 1, {"0", "1"})],
)
def test_each_worker_has_its_own_gpus(tasks, monkeypatch, visible, each, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible or "")
    run_shards(shard_work.visible_gpus_of_two, tasks[:2], {}, workers=2, gpus_per_worker=each)
    rows = [row for _, target in tasks[:2] for row in read_rows(target)]
    assert {row["gpus"] for row in rows} == expected and len({row["pid"] for row in rows} - {os.getpid()}) == 2


def test_one_worker_with_a_gpu_is_a_process_of_its_own(tasks, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4")
    assert run_shards(shard_work.visible_gpus, tasks, {}, workers=1, gpus_per_worker=1) == {"rows": 5}
    rows = [row for _, target in tasks for row in read_rows(target)]
    assert {row["gpus"] for row in rows} == {"3"} and os.getpid() not in {row["pid"] for row in rows}


def test_what_was_done_of_what_is_in_a_record_beside_the_output(tasks):
    run_shards(shard_work.double, tasks, {"model": "m"})
    source, target = tasks[0]
    record = json.loads(Path(f"{target}.done.json").read_text(encoding="utf-8"))
    assert record["fingerprint"] == {"model": "m"} and record["counts"] == {"rows": 3}
    assert (record["input"], record["output"]) == (hash_file(source), hash_file(target))


def test_ctrl_c_is_for_the_process_that_started_the_workers(tasks):
    assert run_shards(shard_work.double_under_ctrl_c, tasks[:2], {}, workers=2) == {"rows": 6}


@pytest.mark.parametrize(
    "words, workers, gpus",
    [([], 1, 0), (["--num_workers", "3"], 3, 0), (["--num_gpus", "8", "--num_workers", "3"], 8, 1)],
)
def test_the_command_line_says_how_many_workers_and_whether_each_has_a_gpu(words, workers, gpus):
    parser = argparse.ArgumentParser()
    add_shard_arguments(parser)
    options = shard_options(parser.parse_args(words))
    assert options == {"workers": workers, "gpus_per_worker": gpus, "engine": "processes"}


def test_inputs_that_would_share_an_output_are_refused(tmp_path):
    for folder in "ab":
        write_rows(tmp_path / folder / "part.jsonl", [])
    with pytest.raises(BadInput, match="several inputs"):
        pair_shards(str(tmp_path / "*" / "part.jsonl"), str(tmp_path / "out"))
    write_rows(tmp_path / "a" / "part.2.jsonl.gz", [])
    source = str(tmp_path / "a" / "part.2.jsonl.gz")
    assert pair_shards(source, "out", ".parquet") == [(source, "out/part.parquet")]
    assert pair_shards(source, "out") == [(source, "out/part.2.jsonl.gz")]
    with pytest.raises(BadInput, match="part.parquet; name them apart"):
        pair_shards(str(tmp_path / "a" / "part*"), "out", ".parquet")


def test_killed_and_run_again_the_shards_are_the_same(tasks, tmp_path):
    code = f"""
        from common.shards import run_shards
        from tests.common import shard_work
        if __name__ == "__main__":
            run_shards(shard_work.double_or_die_once, {tasks!r}, {{}}, workers=1)
    """
    (tmp_path / "run.py").write_text(textwrap.dedent(code))
    command = [sys.executable, "-c", textwrap.dedent(code)]
    killed = subprocess.run(command)  # one worker is this very process: shard 2 kills it
    assert killed.returncode == -9
    assert len(list((tmp_path / "out").glob("*.done.json"))) == 2
    subprocess.run(command, check=True)
    assert results(tasks) == EXPECTED


def test_workers_end_with_a_killed_parent_and_the_same_command_goes_on(tasks):
    code = f"""
        from common.shards import run_shards
        from tests.common import shard_work
        if __name__ == "__main__":
            run_shards(shard_work.double_and_hang_once, {tasks!r}, {{}}, workers=2)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout.readline() + parent.stdout.readline() == b"hangs\n" * 2
        parent.kill()
        # Ends when the last that could still write has ended: the workers, too.
        assert parent.stdout.read() == b""
    assert not any(Path(target).exists() for _, target in tasks)
    for _, target in tasks:
        Path(f"{target}.hung").touch()
    run_shards(shard_work.double_and_hang_once, tasks, {}, workers=2)
    assert results(tasks) == EXPECTED
    folder = Path(tasks[0][1]).parent
    assert not [path.name for path in folder.iterdir() if path.name.endswith((".part", ".lock"))]
    again = [(source, f"{target}.again.jsonl") for source, target in tasks]
    run_shards(shard_work.double, again, {})
    assert [Path(target).read_bytes() for _, target in tasks] == [Path(target).read_bytes() for _, target in again]


@pytest.mark.peers
def test_the_same_on_a_ray_cluster_that_is_too_small_and_loses_a_node(tasks, monkeypatch):
    import ray
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    for _ in range(2):
        cluster.add_node(num_cpus=1, num_gpus=1)
    on_ray = {"workers": 4, "gpus_per_worker": 1, "engine": "ray"}  # there is room for two

    def apart(name):
        return [(source, f"{target}.{name}.jsonl") for source, target in tasks]

    try:
        ray.init(address=cluster.address, log_to_driver=False)
        assert run_shards(shard_work.double_or_die_once, tasks, {}, **on_ray) == {"rows": 15}
        assert results(tasks) == EXPECTED
        with pytest.raises(CommonError, match="1 of 5 shards failed.*part2.*3 workers on the cluster died of it"):
            run_shards(shard_work.double_or_always_die, apart("dead"), {}, **on_ray)
        with pytest.raises(CommonError, match="2 of 5 shards failed"):
            run_shards(shard_work.double_or_break, apart("bug"), {}, **on_ray)
        assert run_shards(shard_work.double_or_lose_the_node, apart("lost"), {}, **on_ray) == {"rows": 15}
        assert results(apart("lost")) == EXPECTED and len([node for node in ray.nodes() if node["Alive"]]) == 2
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_a_worker_killed_while_it_draws_a_bar_holds_up_nobody():
    code = """
        import os, signal
        from common.program import progress
        import tqdm.auto

        progress()  # from now on there is a lock
        if (worker := os.fork()) == 0:
            tqdm.auto.tqdm.get_lock().acquire()
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(worker, 0)
        for _ in progress(range(3)), tqdm.auto.tqdm(range(3), disable=True):
            print(*_)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=30)
    assert done.stdout == "0 1 2\n0 1 2\n", done.stderr
