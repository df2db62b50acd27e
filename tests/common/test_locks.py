"""One run at a time writes an output, and what a killed run left is known by its lock."""

import multiprocessing
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from common.errors import CommonError, OutputInUse
from common.rows import RowWriter, locked, write_rows, write_text


def test_one_lock_guards_an_output_and_what_its_step_writes_beside_it(tmp_path):
    output = tmp_path / "out.jsonl"
    with locked(output):
        with pytest.raises(OutputInUse), locked(output):
            pass
        with RowWriter(output) as writer, RowWriter(tmp_path / "out.jsonl.rejected.jsonl"):
            with pytest.raises(OutputInUse, match="out.jsonl: another run is writing it"):
                write_rows(output, [])
            writer.write({"n": 1})
        assert (tmp_path / "out.jsonl.lock").exists()
        write_text(tmp_path / "out.jsonl.manifest.json", "{}")
        assert refused_elsewhere(output) and refused_elsewhere(tmp_path / "out.jsonl.manifest.json")
        assert not refused_elsewhere(tmp_path / "out.jsonl.other.json")
    assert not (tmp_path / "out.jsonl.lock").exists() and not refused_elsewhere(output)


def refused_elsewhere(path: Path) -> bool:
    code = f"from common.rows import write_text; write_text({str(path)!r}, 'text')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert not run.stderr or "another run is writing it" in run.stderr, run.stderr
    return bool(run.returncode)


def test_what_a_killed_run_left_is_known_by_its_lock_and_goes(tmp_path):
    code = f"""
        import os
        from common.rows import RowWriter
        with RowWriter({str(tmp_path / "out.jsonl")!r}), RowWriter({str(tmp_path / "out.jsonl.rejected.jsonl")!r}):
            os._exit(9)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)])
    left = {"out.jsonl.lock", "out.jsonl.part", "out.jsonl.rejected.jsonl.part"}
    assert set(os.listdir(tmp_path)) == left
    with RowWriter(tmp_path / "out.jsonl"), RowWriter(tmp_path / "out.jsonl.rejected.jsonl"):
        pass
    assert sorted(os.listdir(tmp_path)) == ["out.jsonl", "out.jsonl.rejected.jsonl"]


def test_a_process_that_was_forked_does_not_hold_the_lock_when_its_parent_is_killed(tmp_path):
    code = f"""
        import multiprocessing, os, time
        from common.rows import RowWriter
        def work():
            print(os.getpid(), flush=True)
            time.sleep(60)
        with RowWriter({str(tmp_path / "out.jsonl")!r}):
            multiprocessing.get_context("fork").Process(target=work).start()
            os._exit(9)
    """
    run = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    child = int(run.stdout.readline())
    try:
        run.wait()
        os.kill(child, 0)  # it lives
        write_rows(tmp_path / "out.jsonl", [{"n": 1}])
    finally:
        os.kill(child, 9)
    assert os.listdir(tmp_path) == ["out.jsonl"]


def test_a_forked_process_that_leaves_a_block_does_not_release_the_lock_of_its_parent(tmp_path):
    with locked(tmp_path / "out.jsonl"):
        process = multiprocessing.get_context("fork").Process(target=leave_block, args=(tmp_path / "out.jsonl",))
        process.start()
        process.join()
        assert process.exitcode == 0 and (tmp_path / "out.jsonl.lock").exists()
        assert refused_elsewhere(tmp_path / "out.jsonl")


def leave_block(path: Path) -> None:
    with pytest.raises(OutputInUse), locked(path):
        pass


@pytest.mark.parametrize("kind", ["text", "fifo", "link"])
def test_a_lock_that_is_none_stays(tmp_path, kind):
    lock = tmp_path / "poetry.lock"
    if kind == "text":
        lock.write_text("precious")
    elif kind == "fifo":
        os.mkfifo(lock)
    else:
        lock.symlink_to(tmp_path / "other")
    with pytest.raises(CommonError, match="lock: stands where this run needs its lock|poetry: cannot be written"):
        write_rows(tmp_path / "poetry", [{"n": 1}])
    assert os.listdir(tmp_path) == ["poetry.lock"]
    assert stat.S_IFMT(lock.lstat().st_mode) == {"text": stat.S_IFREG, "fifo": stat.S_IFIFO, "link": stat.S_IFLNK}[kind]
