"""A run never writes over what it reads, nor twice to one place, however the place is spelled."""

import os
import shutil
from pathlib import Path

import pytest

from common.errors import BadInput
from common.rows import input_files, refuse_overlap, write_rows


@pytest.fixture
def place(tmp_path, monkeypatch):
    """here/in.jsonl, the dataset folders here/ds and here/both with split train, and links to all of it."""
    work = tmp_path / "here"
    write_rows(work / "in.jsonl", [{"n": 1}])
    write_rows(work / "ds", [{"n": 1}])
    write_rows(work / "both" / "train", [{"n": 1}])
    (work / "both" / "dataset_dict.json").write_text('{"splits": ["train"]}')
    (work / "sub").mkdir()
    os.link(work / "in.jsonl", work / "hard.jsonl")
    (work / "soft.jsonl").symlink_to("in.jsonl")
    (work / "chain.jsonl").symlink_to(work / "soft.jsonl")
    (tmp_path / "alias").symlink_to(work)
    (work / "ds_link").symlink_to("ds")
    monkeypatch.chdir(work)
    return work


DISGUISES = [
    "in.jsonl",
    "./in.jsonl",
    "sub/../in.jsonl",
    "../here/in.jsonl",
    "../alias/in.jsonl",
    "../alias/sub/../in.jsonl",
    "soft.jsonl",
    "chain.jsonl",
    "hard.jsonl",
    "../alias/hard.jsonl",
    "in.jsonl/../in.jsonl",
]


def test_the_message_names_both_spellings_if_there_are_two(place):
    for output, problem in [("in.jsonl", ""), ("sub/../in.jsonl", " (sub/../in.jsonl)")]:
        with pytest.raises(BadInput) as refused:
            refuse_overlap(["in.jsonl"], [output])
        assert str(refused.value) == f"in.jsonl: is both input and output{problem}; choose another output"


@pytest.mark.parametrize("name", DISGUISES)
@pytest.mark.parametrize("absolute", [False, True])
def test_an_input_is_known_in_every_disguise(place, name, absolute):
    path = os.path.join(place, name) if absolute else name
    for reads, writes in [(["in.jsonl"], [path]), ([path], ["in.jsonl"]), (["ds", path], ["new.jsonl", "in.jsonl"])]:
        if os.path.exists(reads[-1]):
            with pytest.raises(BadInput, match="is both input and output"):
                refuse_overlap(reads, writes)
    if os.path.exists(path):
        with pytest.raises(BadInput, match="would be written to the same place"):
            refuse_overlap([], ["in.jsonl", path])


INSIDE = {
    "both/train": (["both"], "is both input and output|lies in both, which is read"),
    "both": (["both/train"], "holds both/train, which is read"),
    "ds/data-00000-of-00001.arrow": (["ds"], "is both input and output|lies in ds"),
    "ds": (["ds/data-00000-of-00001.arrow"], "holds ds/data-00000-of-00001.arrow, which is read"),
    "ds/new.jsonl": (["ds"], "lies in ds, which is read"),
    "ds/deep/new.jsonl": (["ds"], "lies in ds, which is read"),
    "ds_link/new.jsonl": (["ds"], "lies in ds, which is read"),
    "../alias/ds": (["ds/state.json"], "holds ds/state.json, which is read"),
    "../alias/both/train/new.jsonl": (["both"], "lies in both, which is read"),
    ".": (["in.jsonl"], "holds in.jsonl, which is read"),
}


@pytest.mark.parametrize("output", INSIDE)
def test_an_output_may_neither_lie_in_nor_hold_what_is_read(place, output):
    reads, problem = INSIDE[output]
    with pytest.raises(BadInput, match=problem):
        refuse_overlap(reads, [output])


def test_a_file_that_is_linked_into_a_folder_that_is_read_is_read(place):
    os.link("in.jsonl", "ds/linked.arrow")
    with pytest.raises(BadInput, match="ds: is both input and output \\(in.jsonl\\)"):
        refuse_overlap(["ds"], ["in.jsonl"])
    (place / "both" / "away").symlink_to(place / "sub")
    (place / "sub" / "file.arrow").write_text("x")
    (place / "sub" / "loop").symlink_to(place / "both")
    with pytest.raises(BadInput, match="both: is both input and output \\(sub/file.arrow\\)"):
        refuse_overlap(["both"], ["sub/file.arrow"])


@pytest.mark.parametrize("suffix", [".part", ".old.part", ".lock", ".rejected.jsonl.part"])
def test_parts_and_locks_are_written_too(place, suffix):
    shutil.copy("in.jsonl", f"out.jsonl{suffix}")
    with pytest.raises(BadInput, match=f"out.jsonl{suffix}: is both input and output"):
        refuse_overlap([f"out.jsonl{suffix}"], ["out.jsonl", "out.jsonl.rejected.jsonl"])
    with pytest.raises(BadInput, match="would be written to the same place"):
        refuse_overlap([], [f"out.jsonl{suffix}", "out.jsonl", "out.jsonl.rejected.jsonl"])
    with pytest.raises(BadInput, match="would be written to the same place"):
        refuse_overlap([], ["out.jsonl", "out.jsonl.rejected.jsonl", f"out.jsonl{suffix}"])


@pytest.mark.parametrize("first, second", [("a.jsonl", "a.jsonl"), ("a.jsonl", "A.JSONL"), ("a", "a/b"), ("a/b", "a")])
@pytest.mark.parametrize("prefix", ["", "./", "../alias/", "sub/../"])
def test_two_outputs_may_not_be_one(place, first, second, prefix):
    with pytest.raises(BadInput, match="would be written to the same place"):
        refuse_overlap(["in.jsonl"], [first, prefix + second])


def test_what_an_ordinary_run_reads_and_writes_is_let_through(place):
    beside = [f"out.jsonl{end}" for end in ("", ".rejected.jsonl", ".manifest.json", ".answers.sqlite", ".parquet")]
    refuse_overlap(["in.jsonl", "hard.jsonl", "ds", "both", "missing"], beside)
    refuse_overlap(["in.jsonl", "in.jsonl"], ["in.jsonl.rejected.jsonl", "in.jsonl.manifest.json", "in", "in.json"])
    refuse_overlap(["ds"], ["ds.jsonl", "ds2", "d"])
    refuse_overlap([], ["one/out.jsonl", "two/out.jsonl", "ONE/out.jsonl"])


def test_thousands_of_files_take_no_time(tmp_path):
    for number in range(2000):
        (tmp_path / f"{number}.jsonl").touch()
    refuse_overlap(input_files(tmp_path / "*.jsonl"), [tmp_path / "out" / f"{number}.jsonl" for number in range(2000)])


# ---------------------------------------------------------------- what a glob means

SIDES = [
    "out.jsonl.rejected.jsonl",
    "out.jsonl.near_misses.jsonl",
    "out.jsonl.manifest.json",
    "out.jsonl.done.json",
    "out.jsonl.lock",
    "out.jsonl.part",
    "out.jsonl.answers.sqlite",
    "out.jsonl.answers.sqlite-wal",
    "out.jsonl.answers.sqlite-shm",
    "out.jsonl.pairs.jsonl",
    "out.jsonl.scored.jsonl",
    "out.jsonl.embeddings.npz",
    "out.jsonl.parts",
    "out.jsonl.anything.new.parquet",
    "folder.rejected.jsonl",
    "folder.near_misses.jsonl",
    "folder.manifest.json",
]


def names(pattern: str) -> list[str]:
    return [path.name for path in input_files(pattern)]


@pytest.mark.parametrize("side", SIDES)
def test_a_glob_means_a_side_file_only_if_it_spells_the_ending_out(tmp_path, monkeypatch, side):
    monkeypatch.chdir(tmp_path)
    write_rows("folder", [{"n": 1}])
    for name in ("out.jsonl", side):
        Path(name).touch()
    assert names("*") == ["folder", "out.jsonl"]
    assert names("o*[!x]") == ["out.jsonl"] == names("**/o*")
    what = side.removeprefix("out.jsonl").removeprefix("folder")
    assert names(f"*{what}") == [side] == names(side)
    with pytest.raises(BadInput, match="means only what runs leave beside their outputs"):
        input_files(f"{side[:-3]}*")


def test_files_of_users_with_dots_in_their_names_are_rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    users = ["a.jsonl", "a.jsonl.gz", "b.json", "b.json.jsonl", "c.part1.jsonl", "d.jsonl.part2.jsonl", "pairs.jsonl"]
    users += ["rejected.jsonl", "zh.pairs.jsonl", "zh.scored.jsonl", "x.lock.jsonl"]
    users += ["d", "d.part1.jsonl", "e.txt", "e.txt.jsonl"]
    for name in users:
        Path(name).touch()
    assert names("*") == sorted(users)


def test_a_file_that_two_stars_find_twice_is_read_once_and_in_the_order_of_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b", "a", "a/c"):
        Path(name).mkdir()
    for name in ("a/c/1.jsonl", "b/2.jsonl", "3.jsonl", "a/0.jsonl"):
        Path(name).touch()
    assert [str(path) for path in input_files("**/**/*.jsonl")] == ["3.jsonl", "a/0.jsonl", "a/c/1.jsonl", "b/2.jsonl"]
    Path("[x].jsonl").touch()
    assert names("[x].jsonl") == ["[x].jsonl"]
