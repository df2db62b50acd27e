"""A manifest vouches for the files of its run, and for no others, wherever they lie."""

import contextlib
import hashlib
import importlib.metadata
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import pytest

from common import manifest
from common.errors import BadInput
from common.rows import read_rows, write_rows
from common.step import Step, map_rows


@pytest.fixture
def run(tmp_path, monkeypatch):
    """project/data/*.jsonl -> project/results/out.jsonl, named as a person in project/ names them."""
    project = tmp_path / "project"
    for number in range(3):
        write_rows(project / "data" / f"part{number}.jsonl", [{"n": n, "text": "x" * 700_000} for n in range(3)])
    monkeypatch.chdir(project)
    step("data/part*.jsonl", "results/out.jsonl")
    return project


def step(data: str, output: str) -> None:
    with Step([data], output) as running:
        for index, row in running.rows():
            running.reject(index, "one of three", row) if row["n"] == 1 else running.write(row)


def verify(path: Path | str) -> list[str]:
    """What the command prints."""
    said = io.StringIO()
    with pytest.raises(SystemExit) as end, contextlib.redirect_stdout(said), pytest.MonkeyPatch().context() as patch:
        patch.setattr(sys, "argv", ["manifest", "verify", str(path)])
        manifest.main()
    assert end.value.code == (said.getvalue() != "as it was\n")
    return said.getvalue().splitlines() if end.value.code else []


def edit(output: Path, **changes: object) -> None:
    path = manifest.path_of(output)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_files_are_named_from_the_folder_of_the_manifest(run):
    facts = json.loads((run / "results" / "out.jsonl.manifest.json").read_text())
    assert list(facts["inputs"]) == [f"../data/part{number}.jsonl" for number in range(3)]
    assert list(facts["outputs"]) == ["out.jsonl", "out.jsonl.rejected.jsonl"]
    assert facts["globs"] == ["../data/part*.jsonl"]
    read = manifest.read("results/out.jsonl")
    assert list(read["outputs"]) == [str(run / "results" / name) for name in facts["outputs"]]
    assert all(manifest.hash_file(name) == digest for name, digest in (read["inputs"] | read["outputs"]).items())


def test_a_project_verifies_from_everywhere_moved_copied_or_through_a_link(run, tmp_path, monkeypatch):
    assert verify("results/out.jsonl") == verify("results/out.jsonl.manifest.json") == []
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("project")
    shutil.copytree("project", "copy")
    os.rename("project", "moved")
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("moved")
    for place in ("copy", "moved", "link"):
        assert manifest.verify(f"{place}/results/out.jsonl") == []
    flip(tmp_path / "copy" / "data" / "part2.jsonl", 0)
    flip(tmp_path / "moved" / "results" / "out.jsonl", 0)
    assert manifest.verify("copy/results/out.jsonl") == [f"{tmp_path}/copy/data/part2.jsonl: changed since the run"]
    assert manifest.verify("moved/results/out.jsonl") == [f"{tmp_path}/moved/results/out.jsonl: changed since the run"]


FRAUDS = {
    "a copy beside a copied manifest": (
        lambda out: (
            (shutil.copy(out, "x.jsonl"), shutil.copy(f"{out}.manifest.json", "x.jsonl.manifest.json"))
            and Path("x.jsonl")
        ),
        "x.jsonl: is not an output of the run",
    ),
    "a damaged output": (lambda out: flip(out, -2), "out.jsonl: changed since the run"),
    "a damaged output beyond the first MiB": (lambda out: flip(out, 1 << 21), "out.jsonl: changed since the run"),
    "the last byte of an input": (lambda out: flip(Path("data/part1.jsonl"), -2), "part1.jsonl: changed since"),
    "an output that is gone": (lambda out: out.unlink(), "out.jsonl: is gone"),
    "rejected rows that are gone": (lambda out: Path(f"{out}.rejected.jsonl").unlink(), "rejected.jsonl: is gone"),
    "an input that is gone": (lambda out: Path("data/part1.jsonl").unlink(), "part1.jsonl: is gone"),
    "all inputs that are gone": (lambda out: shutil.rmtree("data"), "part0.jsonl: is gone"),
    "an input that is a folder now": (
        lambda out: (Path("data/part1.jsonl").unlink(), Path("data/part1.jsonl").mkdir()) and None,
        "part1.jsonl: changed since the run",
    ),
    "an input that is a pipe now": (
        lambda out: (Path("data/part1.jsonl").unlink(), os.mkfifo("data/part1.jsonl")) and None,
        "part1.jsonl: changed since the run",
    ),
    "a glob that gained a file": (
        lambda out: write_rows("data/part9.jsonl", [{"n": 9}]) and None,
        "part9.jsonl: came after the run, which read ../data/part*.jsonl",
    ),
    "a glob that gained a link": (
        lambda out: os.link("data/part0.jsonl", "data/partx.jsonl"),
        "partx.jsonl: came after",
    ),
    "no outputs": (lambda out: edit(out, outputs={}), "out.jsonl: is not an output of the run"),
    "no inputs": (lambda out: edit(out, inputs={}), "names no inputs"),
    "fewer outputs": (
        lambda out: edit(out, outputs={"out.jsonl": manifest.hash_file(out)}),
        "is not what the run wrote; it was edited",
    ),
    "no globs": (lambda out: edit(out, globs=[]), "it was edited"),
    "other counts": (lambda out: edit(out, counts={"in": 1, "done": 1}), "it was edited"),
    "no checksum": (lambda out: edit(out, checksum=None), "it was edited"),
    "a hash that is none": (
        lambda out: edit(out, outputs={"out.jsonl": None, "out.jsonl.rejected.jsonl": ""}),
        "out.jsonl: changed since the run",
    ),
}


@pytest.mark.parametrize("name", FRAUDS)
def test_verify_is_not_fooled_by(run, name):
    fraud, problem = FRAUDS[name]
    found = manifest.verify(fraud(run / "results" / "out.jsonl") or "results/out.jsonl")
    assert found and any(problem in line for line in found), found


def test_nothing_but_what_was_done_is_told(run):
    flip(Path("results/out.jsonl"), 5)
    write_rows("data/part9.jsonl", [])
    assert verify("results/out.jsonl") == [
        f"{run}/results/out.jsonl: changed since the run",
        f"{run}/data/part9.jsonl: came after the run, which read ../data/part*.jsonl",
    ]


@pytest.mark.parametrize("folder", ["data", "data [x]*?", "données"])
def test_globs_in_odd_folders_and_beside_their_own_output(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    write_rows(Path(folder, "a", "in.jsonl"), [{"n": 0}])
    pattern = {"data": "data/*/*.jsonl", "données": "donn*/**/*.jsonl"}.get(folder, "data ?x]*/*/*.jsonl")
    step(pattern, f"{folder}/a/out.jsonl")
    assert manifest.verify(f"{folder}/a/out.jsonl") == []
    write_rows(Path(folder, "b", "more.jsonl"), [{"n": 0}])
    (line,) = manifest.verify(f"{folder}/a/out.jsonl")
    assert line.startswith(f"{tmp_path}/{folder}/b/more.jsonl: came after the run")


def test_an_output_may_be_a_folder_whose_files_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("model", "model2"):
        Path(name).mkdir()
        Path(name, "weights").write_bytes(b"1")
    write_rows("in.jsonl", [{"n": 0}])
    inputs = manifest.hash_inputs(["in.jsonl"])
    manifest.write("model", inputs=inputs, outputs={"model/weights": manifest.hash_file("model/weights")})
    assert manifest.verify("model") == []
    shutil.copy("model.manifest.json", "model2.manifest.json")
    assert manifest.verify("model2") == [
        f"{tmp_path}/model2: is not an output of the run that model2.manifest.json tells of"
    ]
    flip(Path("model/weights"), 0)
    assert manifest.verify("model") == [f"{tmp_path}/model/weights: changed since the run"]


def test_hashes_that_are_not_compared_are_only_taken(tmp_path):
    write_rows(tmp_path / "in.jsonl", [{"n": 0}])
    before = manifest.stamps([tmp_path / "in.jsonl"])
    write_rows(tmp_path / "in.jsonl", [{"n": 1}])
    assert list(manifest.hash_inputs([tmp_path / "in.jsonl"])) == [str(tmp_path / "in.jsonl")]
    with pytest.raises(BadInput, match="changed while it was read"):
        manifest.hash_inputs([tmp_path / "in.jsonl"], before)


def test_a_literal_name_with_stars_is_no_glob(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_rows("in*.jsonl", [{"n": 0}])
    step("in*.jsonl", "out.jsonl")
    write_rows("in2.jsonl", [{"n": 0}])
    assert manifest.verify("out.jsonl") == [] and manifest.read("out.jsonl")["globs"] == []


# ---------------------------------------------------------------- inputs that change while they are read


def replace(path: Path) -> None:
    write_rows(path, [{"n": 5}, {"n": 6}])


def append(path: Path) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"n": 7}\n')


def write_in_place(path: Path) -> None:
    stat = path.stat()
    flip(path, 6)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # a thief who sets the clock back


def swap_for_a_link(path: Path) -> None:
    shutil.copy(path, path.with_name("other.jsonl"))
    path.unlink()
    path.symlink_to(path.with_name("other.jsonl"))


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("change", [replace, append, write_in_place, swap_for_a_link, remove])
@pytest.mark.parametrize("rows_read", [0, 1, 3])
def test_an_input_that_changes_while_it_is_read_is_told_and_nothing_is_written(tmp_path, change, rows_read):
    data, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_rows(data, [{"n": 0}, {"n": 2}])
    write_rows(output, [{"old": 1}])
    with pytest.raises(BadInput, match="in.jsonl: (changed while it was read; nothing is written|no such file)"):
        with Step([data], output) as running:
            rows = running.rows()
            for _ in range(rows_read):
                for _, row in rows:
                    running.write(row)
                    break
            change(data)
            for _, row in rows:
                running.write(row)
    assert list(read_rows(output)) == [{"old": 1}] and not manifest.path_of(output).exists()


def test_a_dataset_folder_that_changes_while_it_is_read_is_told(tmp_path):
    data = tmp_path / "in"
    datasets.disable_progress_bars()
    datasets.Dataset.from_list([{"n": n} for n in range(4)]).save_to_disk(str(data), num_shards=2)
    for name in ("data-00001-of-00002.arrow", "new.txt"):
        with pytest.raises(BadInput, match="in: changed while it was read"):
            with Step([data], tmp_path / "out.jsonl") as running:
                map_rows(running, lambda row: row)
                (data / name).touch()
                os.utime(data / name)
    with Step([data], tmp_path / "out.jsonl") as running:
        map_rows(running, lambda row: row)
    assert manifest.verify(tmp_path / "out.jsonl") == []


# ---------------------------------------------------------------- hashes


def test_the_hash_of_a_folder_sees_names_contents_and_what_lies_behind_links(tmp_path):
    def made(*parts: tuple[str, str]) -> str:
        folder = tmp_path / str(len(os.listdir(tmp_path)))
        for name, text in parts:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return manifest.hash_file(folder)

    same = [made(("a", "1"), ("b/c", "2")), made(("b/c", "2"), ("a", "1"))]
    others = [
        made(("a", "2"), ("b/c", "1")),
        made(("a", "1"), ("b", "2")),
        made(("a", "1"), ("b/d", "2")),
        made(("a", "1")),
        made(("a", "1"), ("b/c", "2"), ("e", "")),
        made(("a", "12"), ("b/c", "")),
        made(("a\nb", "1"), ("c", "2")),
    ]
    many = [(name, name) for name in "hgfedcbaijkl"]
    assert made(*many) == made(*reversed(many)) == made(*sorted(many))
    assert len({*same, *others}) == 1 + len(others)
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "a").write_text("1")
    (linked / "b").symlink_to(tmp_path / "0" / "b")
    (linked / "loop").symlink_to(linked)
    (linked / "nowhere").symlink_to("gone")
    before = manifest.hash_file(linked)
    (tmp_path / "0" / "b" / "c").write_text("changed")
    assert manifest.hash_file(linked) != before
    assert manifest.hash_file(tmp_path / "0") != same[0]


def test_a_split_behind_a_linked_folder_is_part_of_the_input(tmp_path):
    write_rows(tmp_path / "real", [{"n": 0}])
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "dataset_dict.json").write_text('{"splits": ["train"]}')
    (tmp_path / "in" / "train").symlink_to(tmp_path / "real")
    step(str(tmp_path / "in"), str(tmp_path / "out.jsonl"))
    assert manifest.verify(tmp_path / "out.jsonl") == []
    write_rows(tmp_path / "real", [{"n": 2}])
    assert manifest.verify(tmp_path / "out.jsonl") == [f"{tmp_path}/in: changed since the run"]


def test_hashes_are_sha_256_of_all_bytes(tmp_path):
    content = os.urandom((1 << 20) + 5)
    (tmp_path / "file").write_bytes(content)
    assert manifest.hash_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()
    assert manifest.hash_text("中\ud800") == hashlib.sha256(b"\xe4\xb8\xad\xed\xa0\x80").hexdigest()


def test_what_is_no_file_has_no_hash(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", "missing"):
        with pytest.raises(BadInput, match=f"{name}: is not there any more, or not a file"):
            manifest.hash_file(tmp_path / name)


def test_the_version_of_the_code_with_and_without_git(monkeypatch):
    def answer(code: int, text: str):
        return lambda *_, **__: subprocess.CompletedProcess([], code, text)

    def no_git(*_, **__):
        raise FileNotFoundError

    def no_package(name: str):
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr("subprocess.run", answer(0, "0123456789ab+\n"))
    assert manifest.code_version() == "0123456789ab+"
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"{name} 1")
    for run in (answer(128, ""), no_git):
        monkeypatch.setattr("subprocess.run", run)
        assert manifest.code_version() == "web-to-sft-data 1"
    monkeypatch.setattr("importlib.metadata.version", no_package)
    assert manifest.code_version() == "unknown"
    assert manifest.about_this_process()["packages"] == {}


def test_the_two_commands_print_and_end_as_they_should(run, monkeypatch, capsys):
    write_rows("in.jsonl", [{"n": 0}])
    step("in.jsonl", "other.jsonl")
    for words, code, said in [
        (["verify", "other.jsonl", "results/out.jsonl"], 0, "as it was\n"),
        (["diff", "other.jsonl", "other.jsonl.manifest.json"], 0, "the same\n"),
        (["diff", "results/out.jsonl", "other.jsonl"], 1, "counts.done: 6 -> 1\n"),
    ]:
        monkeypatch.setattr(sys, "argv", ["manifest", *words])
        with pytest.raises(SystemExit) as end:
            manifest.main()
        assert end.value.code == code and capsys.readouterr().out.startswith(said)


@pytest.mark.parametrize(
    "content",
    [
        b'{"inputs": []}',
        b'{"inputs": {}, "outputs": 5}',
        b'{"inputs": {}, "globs": 5}',
        b"[" * 99_999,
        b"null",
        b'"x"',
        b"5",
    ],
)
def test_what_is_no_manifest_is_named_by_verify_and_read(tmp_path, content):
    (tmp_path / "x.manifest.json").write_bytes(content)
    for use in (manifest.read, manifest.verify):
        with pytest.raises(BadInput, match="x.manifest.json: not a manifest"):
            use(tmp_path / "x")


def test_diff_goes_by_what_is_in_the_files_and_not_where_they_lie(run, tmp_path):
    shutil.copytree(run, tmp_path / "deep" / "copy")
    os.chdir(tmp_path / "deep")
    step("copy/data/part*.jsonl", "out.jsonl")
    first, second = manifest.read(run / "results" / "out.jsonl"), manifest.read("out.jsonl")
    assert manifest.diff(first, second) == []
    second["counts"] |= {"done": 5}
    second["inputs"] = dict(list(second["inputs"].items())[:2])
    second["new"] = "中"
    assert [line.split(":")[0] for line in manifest.diff(first, second)] == ["counts.done", "inputs", "new"]
    assert manifest.diff(first, second)[2] == 'new: null -> "中"'
