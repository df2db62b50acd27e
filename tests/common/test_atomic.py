"""Nothing that this program did not write is removed; a file is replaced whole, under a lock, or stays as it was."""

import contextlib
import errno
import json
import os
import resource
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest

from common.errors import BadInput, CommonError, OutputInUse
from common.rows import RowWriter, check_target, locked, read_rows, replace_synced, replacing, write_rows, write_text

ENDINGS = (".json", ".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet", ".arrow", "")


def listing(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


# ---------------------------------------------------------------- what is not ours stays


def folder_with_work(path: Path) -> None:
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "x").write_text("work")


def dataset_of_others(path: Path) -> None:
    datasets.disable_progress_bars()
    datasets.Dataset.from_list([{"theirs": 1}]).save_to_disk(str(path))


def ours_with_notes(path: Path) -> None:
    write_rows(path.with_name("data"), [{"n": 1}])
    (path.with_name("data") / "notes.txt").write_text("work")
    os.rename(path.with_name("data"), path)


def ours_with_another_file_of_that_name(path: Path) -> None:
    path.mkdir()
    (path / "state.json").write_text('{"my": "state"}')


def splits(path: Path) -> None:
    write_rows(path / "train", [{"n": 1}])
    write_rows(path / "test", [{"n": 1}])


FOLDERS = [folder_with_work, dataset_of_others, ours_with_notes, ours_with_another_file_of_that_name, splits]


@pytest.mark.parametrize("make", FOLDERS)
@pytest.mark.parametrize("name", ["out", "out.json", "out.part", "out.json.part", "out.old.part"])
def test_no_folder_is_removed_that_is_not_a_dataset_of_ours_and_nothing_else(tmp_path, make, name):
    make(tmp_path / name)
    before = listing(tmp_path)
    output = tmp_path / name.removesuffix(".part").removesuffix(".old")
    writers = [lambda: write_rows(output, [{"n": 2}]), lambda: write_text(output, "text")]
    for write in writers[:1] if name == "out.old.part" else writers:  # only a folder is moved aside
        with pytest.raises(BadInput, match="exists and is not|stands where this run would write"):
            write()
        assert listing(tmp_path) == before


def test_a_folder_that_fills_while_it_is_being_replaced_stays(tmp_path):
    write_rows(tmp_path / "out", [{"n": 1}])
    with pytest.raises(BadInput, match="not a dataset folder that this program wrote"):
        with RowWriter(tmp_path / "out") as writer:
            writer.write({"n": 2})
            (tmp_path / "out" / "notes.txt").write_text("mine")
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine" and list(read_rows(tmp_path / "out")) == [{"n": 1}]
    assert os.listdir(tmp_path) == ["out"]


def test_a_file_never_takes_the_place_of_a_folder(tmp_path):
    (tmp_path / "part").write_text("new")
    write_rows(tmp_path / "out", [{"n": 1}])
    with pytest.raises(BadInput, match="exists and is not a file"):
        replace_synced(tmp_path / "part", tmp_path / "out")
    assert list(read_rows(tmp_path / "out")) == [{"n": 1}]


def test_when_the_second_rename_fails_the_old_folder_comes_back(tmp_path, monkeypatch):
    write_rows(tmp_path / "out", [{"n": 1}])
    rename = os.rename

    def fail(source, target):
        if str(source).endswith("out.part"):
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr("os.rename", fail)
    with pytest.raises(CommonError, match="cannot be written: Input/output error"):
        write_rows(tmp_path / "out", [{"n": 2}])
    assert list(read_rows(tmp_path / "out")) == [{"n": 1}] and os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("killed_at", range(4))
def test_a_run_killed_while_it_removes_the_old_folder_is_tidied_up_after(tmp_path, monkeypatch, killed_at):
    class Killed(BaseException):
        pass

    write_rows(tmp_path / "out", [{"n": 1}])
    unlink, calls = Path.unlink, []

    def fail(path, **options):
        if ".old.part" in str(path):
            calls.append(path)
            if len(calls) > killed_at:
                raise Killed
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", fail)
    with pytest.raises(Killed) if killed_at < 3 else contextlib.nullcontext():
        write_rows(tmp_path / "out", [{"n": 2}])
    monkeypatch.undo()
    assert list(read_rows(tmp_path / "out")) == [{"n": 2}]
    write_rows(tmp_path / "out", [{"n": 3}])
    assert list(read_rows(tmp_path / "out")) == [{"n": 3}] and os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_of_somebody_else_that_is_called_part_stays(tmp_path, ending):
    part = tmp_path / f"out{ending}.part"
    part.write_text("precious")
    for write in (lambda path: write_rows(path, [{"n": 1}]), lambda path: write_text(path, "text")):
        with pytest.raises(BadInput, match=f"out{ending}.part: stands where this run would write, and no run left it"):
            write(tmp_path / f"out{ending}")
    assert listing(tmp_path) == {part.name: b"precious"}
    part.unlink()
    part.symlink_to("/dev/null")
    with pytest.raises(BadInput, match="no run left it"):
        write_rows(tmp_path / f"out{ending}", [{"n": 1}])
    assert part.is_symlink() and os.listdir(tmp_path) == [part.name]


def test_devices_pipes_and_folders_are_no_place_for_a_text(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "null").symlink_to("/dev/null")
    for name in ("fifo", "null", "/dev/null"):
        with pytest.raises(BadInput, match="exists and is not a file"):
            write_text(tmp_path / name, "text")
    assert Path("/dev/null").is_char_device() and (tmp_path / "fifo").is_fifo() and (tmp_path / "null").is_symlink()
    (tmp_path / "file").write_text("old")
    with pytest.raises(CommonError, match="cannot be written: (Not a directory|File exists)"):
        write_text(tmp_path / "file" / "report.html", "text")
    (tmp_path / "file").chmod(0o444)
    with pytest.raises(BadInput, match="is read-only"):
        write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"


# ---------------------------------------------------------------- text, parents, links, modes


def test_a_text_makes_its_folders_and_goes_through_a_link(tmp_path):
    (tmp_path / "link.html").symlink_to(tmp_path / "new" / "report.html")
    for text in ("first\r\n", "second 中\u2028"):
        write_text(tmp_path / "link.html", text)
        assert (tmp_path / "new" / "report.html").read_bytes() == text.encode()
    assert (tmp_path / "link.html").is_symlink() and os.listdir(tmp_path / "new") == ["report.html"]


def test_replacing_gives_a_place_for_any_writer(tmp_path):
    with replacing(tmp_path / "new" / "vectors.npz") as part:
        part.write_bytes(b"first")
        assert not (tmp_path / "new" / "vectors.npz").exists()
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "new" / "vectors.npz") as part:
        part.write_bytes(b"half")
        raise ZeroDivisionError
    with pytest.raises(CommonError, match="vectors.npz: cannot be written: No space left on device; free some space"):
        with replacing(tmp_path / "new" / "vectors.npz") as part:
            raise OSError(errno.ENOSPC, "No space left on device")
    assert listing(tmp_path) == {"new": None, "new/vectors.npz": b"first"}


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_replaced_keeps_its_mode_and_is_never_more_open_on_the_way(tmp_path, ending):
    path = tmp_path / f"out{ending}"
    for mode in (0o700, 0o755) if ending == "" else (0o600, 0o664):
        write_rows(path, [{"n": 1}])
        path.chmod(mode)
        with RowWriter(path) as writer:
            assert stat.S_IMODE((tmp_path / f"out{ending}.part").stat().st_mode) == mode
            writer.write({"n": 2})
        assert stat.S_IMODE(path.stat().st_mode) == mode and list(read_rows(path)) == [{"n": 2}]


def test_a_new_file_has_the_mode_that_the_user_gives_new_files(tmp_path):
    before = os.umask(0o027)
    try:
        write_rows(tmp_path / "out.jsonl", [{"n": 1}])
        write_rows(tmp_path / "out", [{"n": 1}])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.jsonl").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o750


def test_what_lies_beside_a_private_output_is_private_too(tmp_path):
    write_rows(tmp_path / "out.jsonl", [{"n": 1}])
    (tmp_path / "out.jsonl").chmod(0o600)
    write_rows(tmp_path / "out.jsonl.rejected.jsonl", [{"n": 1}])
    write_text(tmp_path / "out.jsonl.manifest.json", "{}")
    write_rows(tmp_path / "out", [{"n": 1}])
    write_text(tmp_path / "out.manifest.json", "{}")
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("*.json*")} == {
        "out.jsonl": 0o600,
        "out.jsonl.rejected.jsonl": 0o600,
        "out.jsonl.manifest.json": 0o600,
        "out.manifest.json": 0o666 & ~umask(),
    }


def umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


# ---------------------------------------------------------------- disks that fill, folders that vanish


@contextlib.contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_full_disk_at_any_write_is_a_sentence_and_the_same_command_goes_on(tmp_path, ending):
    path = tmp_path / f"out{ending}"
    rows = [{"text": os.urandom(300).hex()} for _ in range(5000 if ending == ".jsonl" else 1500)]

    def run() -> None:
        with locked(path):
            write_rows(path, rows)
            write_rows(f"{path}.rejected.jsonl", rows[:100])
            write_text(f"{path}.manifest.json", "x" * 5000)

    run()
    before = listing(tmp_path)
    biggest = max(len(content or b"") for content in before.values())
    for size in [0, 1, 10, 200, 400, 3000, 4999, *range(10_000, biggest, biggest // 7), biggest - 1]:
        with pytest.raises(CommonError, match="cannot be written: File too large; nothing was changed$"):
            with room_for(size):
                run()
        assert listing(tmp_path).keys() == before.keys()
        assert list(read_rows(path)) == rows
    run()
    assert listing(tmp_path) == before


def test_a_disk_that_is_full_before_the_first_row_leaves_no_trace(tmp_path, monkeypatch):
    def fail(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", fail)
    with pytest.raises(CommonError, match="out.parquet: cannot be written: No space left on device; free some space"):
        write_rows(tmp_path / "out.parquet", [])
    assert os.listdir(tmp_path) == []
    monkeypatch.undo()
    write_rows(tmp_path / "out.parquet", [{"n": 1}])


@pytest.mark.parametrize("ending", ENDINGS)
def test_all_is_on_the_disk_before_it_is_renamed_and_the_folder_after(tmp_path, monkeypatch, ending):
    done = []
    monkeypatch.setattr("os.fsync", lambda fd: done.append(os.readlink(f"/proc/self/fd/{fd}")))
    for call in ("rename", "replace"):
        real = getattr(os, call)
        monkeypatch.setattr(f"os.{call}", lambda a, b, real=real: (done.append("renamed"), real(a, b)))
    write_rows(tmp_path / f"out{ending}", [{"n": 1}])
    part = str(tmp_path / f"out{ending}.part")
    inside = {f"{part}/{name}" for name in os.listdir(tmp_path / "out")} if ending == "" else set()
    assert set(done[: done.index("renamed")]) == {part, *inside}
    assert done[done.index("renamed") + 1 :] == [str(tmp_path)]


def test_no_file_stays_open(tmp_path):
    def run(path: Path) -> None:
        with RowWriter(path) as writer:
            writer.write({"n": 1})
            with pytest.raises(OutputInUse):
                write_rows(path, [])
            with pytest.raises(OutputInUse), locked(path):
                pass
        with pytest.raises(ZeroDivisionError), RowWriter(path):
            raise ZeroDivisionError
        list(read_rows(path))

    for ending in ENDINGS:
        run(tmp_path / f"out{ending}")
    before = len(os.listdir("/proc/self/fd"))
    for ending in ENDINGS:
        run(tmp_path / f"out{ending}")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_part_that_cannot_be_removed_is_known_as_ours_by_the_next_run(tmp_path, monkeypatch):
    unlink = Path.unlink

    def fail(path, **options):
        if path.name.endswith(".part") and path.exists():
            raise OSError(errno.EIO, "Input/output error")
        unlink(path, **options)

    for shared in (contextlib.nullcontext(), locked(tmp_path / "out.jsonl")):
        monkeypatch.setattr(Path, "unlink", fail)
        with pytest.raises(ZeroDivisionError), shared, RowWriter(tmp_path / "out.jsonl"):
            raise ZeroDivisionError
        monkeypatch.undo()
        assert {"out.jsonl.lock", "out.jsonl.part"} <= set(os.listdir(tmp_path))
        write_rows(tmp_path / "out.jsonl", [{"n": 1}])
        assert os.listdir(tmp_path) == ["out.jsonl"]


def test_a_working_folder_that_vanishes_does_not_stop_a_run_that_writes_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here").rmdir()
    write_rows(tmp_path / "out.jsonl", [{"n": 1}])
    write_text(tmp_path / "out.txt", "text")
    assert sorted(os.listdir(tmp_path)) == ["out.jsonl", "out.txt"]


def test_a_link_among_what_a_killed_run_left_is_removed_and_not_what_it_means(tmp_path):
    write_rows(tmp_path / "data", [{"n": 1}])
    for output in ("out", "out.jsonl"):
        (tmp_path / f"{output}.lock").touch()
        (tmp_path / f"{output}.part").symlink_to(tmp_path / "data")
        write_rows(tmp_path / output, [{"n": 2}])
    assert list(read_rows(tmp_path / "data")) == [{"n": 1}]
    assert sorted(os.listdir(tmp_path)) == ["data", "out", "out.jsonl"]


def test_check_target_is_for_files_unless_told(tmp_path):
    (tmp_path / "file").touch()
    check_target(str(tmp_path / "file"))
    check_target(tmp_path / "missing")
    with pytest.raises(BadInput, match="exists and is not a file"):
        check_target(tmp_path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_folder_that_vanishes_is_a_sentence_and_the_same_command_goes_on(tmp_path, ending):
    path = tmp_path / "results" / f"out{ending}"

    def run(vanish: bool) -> None:
        with RowWriter(path) as writer:
            writer.write({"n": 1})
            if vanish:
                shutil.rmtree(tmp_path / "results")

    with pytest.raises(CommonError, match="cannot be written: No such file or directory; nothing was changed"):
        run(vanish=True)
    run(vanish=False)
    assert list(read_rows(path)) == [{"n": 1}] and os.listdir(path.parent) == [path.name]


@pytest.fixture
def read_only():
    """A folder in which even root, for whom modes mean nothing, may not write for the time of a test."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            os.seteuid(user)


def test_a_folder_that_is_read_only_is_a_sentence_and_the_same_command_goes_on(read_only):
    for ending in ENDINGS:
        with pytest.raises(
            CommonError, match=f"out{ending}: cannot be written: Permission denied; nothing was changed"
        ):
            write_rows(read_only / f"out{ending}", [])
    with pytest.raises(CommonError, match="x.html: cannot be written: Permission denied; nothing was changed"):
        write_text(read_only / "x.html", "")
    os.seteuid(os.getuid())
    os.chmod(read_only, 0o755)
    write_rows(read_only / "out.jsonl", [])
    assert os.listdir(read_only) == ["out.jsonl"]


def test_a_state_of_ours_is_read_by_datasets_and_holds_the_count(tmp_path):
    write_rows(tmp_path / "out", [{"n": number} for number in range(7)])
    assert json.loads((tmp_path / "out" / "state.json").read_text())["_rows"] == 7
    assert datasets.load_from_disk(str(tmp_path / "out")).to_list() == list(read_rows(tmp_path / "out"))
