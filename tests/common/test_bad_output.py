"""Outputs, arguments and secrets that will not do, through eval/generate.py as people run it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from common import manifest
from common.errors import CommonError
from common.rows import RowWriter, read_rows, write_rows
from tests.common.bad_files import left_over

ROOT = Path(__file__).parent.parent.parent
GOOD = b'{"prompt": "good"}\n'


@pytest.fixture
def data(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(GOOD * 3)
    return tmp_path / "in.jsonl"


@pytest.mark.parametrize("name", ["out.csv", "out.txt", "out.jsonl.bz2", "out.jsonl.gzip"])
def test_an_unknown_output_format(run, data, name):
    with pytest.raises(CommonError, match="cannot write this format"):
        run(data, output=data.parent / name)


def test_outputs_that_are_something_else_are_refused_and_left_alone(run, data, tmp_path):
    folder = tmp_path / "folder.jsonl"
    folder.mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "notes.txt").write_text("mine")
    fifo = tmp_path / "fifo.jsonl"
    os.mkfifo(fifo)
    null = tmp_path / "null.jsonl"
    null.symlink_to("/dev/null")
    for path in (folder, tmp_path / "results", fifo, null, "/dev/null", "/dev/full"):
        with pytest.raises(CommonError, match="exists and is not"):
            run(data, output=path)
    assert Path("/dev/full").is_char_device() and fifo.is_fifo() and null.is_symlink()
    assert Path("/dev/null").is_char_device() and (tmp_path / "results" / "notes.txt").read_text() == "mine"


def test_a_read_only_output_is_refused(run, data, tmp_path):
    (tmp_path / "out.jsonl").write_text("precious")
    (tmp_path / "out.jsonl").chmod(0o444)
    with pytest.raises(CommonError, match="read-only"):
        run(data)
    assert (tmp_path / "out.jsonl").read_text() == "precious"


def test_a_folder_that_cannot_be_written(run, data):
    with pytest.raises(CommonError, match="cannot be written|cannot be used"):
        run(data, output=Path("/proc/out.jsonl"))


def test_a_name_too_long_for_what_lies_beside_the_output(run, data, tmp_path):
    for length in (300, 245, 238):
        with pytest.raises(CommonError, match="File name too long"):
            run(data, output=tmp_path / ("o" * length + ".jsonl"))
    assert os.listdir(tmp_path) == ["in.jsonl"]


def test_a_symlink_stays_and_its_target_is_replaced_even_if_it_was_not_there(run, data, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "out.jsonl"
    link.symlink_to(Path("elsewhere", "real.jsonl"))
    for _ in range(2):
        assert run(data) == ["good"] * 3
        assert link.is_symlink() and (tmp_path / "elsewhere" / "real.jsonl").is_file()
    assert (tmp_path / "elsewhere" / "real.jsonl.manifest.json").is_file()


def test_the_answer_store_is_neither_input_nor_output(run, data, tmp_path):
    for store in (data, tmp_path / "out.jsonl"):
        with pytest.raises(CommonError, match="is input or output, not an answer store"):
            run(data, "--store_path", store)
    assert data.read_bytes() == GOOD * 3 and left_over(tmp_path) == set()


def test_an_output_in_the_folder_of_a_glob_is_not_its_own_input(run, data, tmp_path):
    run(tmp_path / "*.jsonl")
    facts = manifest.read(tmp_path / "out.jsonl")
    assert list(facts["inputs"]) == [str(data)]
    with pytest.raises(CommonError, match="out.jsonl: is both input and output"):
        run(tmp_path / "*.jsonl")


@pytest.mark.parametrize("linked", [False, True])
def test_the_input_is_never_the_output(run, data, tmp_path, linked):
    output = data
    if linked:
        output = tmp_path / "link.jsonl"
        output.symlink_to(data)
    with pytest.raises(CommonError, match="both input and output"):
        run(data, output=output)
    assert data.read_bytes() == GOOD * 3


def test_two_writers_the_second_stops(run, data, tmp_path):
    with RowWriter(tmp_path / "out.jsonl") as first:
        with pytest.raises(CommonError, match="another run is writing it"):
            run(data)
        first.write({"n": 1})
    assert list(read_rows(tmp_path / "out.jsonl")) == [{"n": 1}]


def test_what_a_killed_run_left_is_no_hindrance(run, data, tmp_path):
    (tmp_path / "out.jsonl.lock").touch()
    for name in ("out.jsonl.part", "out.jsonl.rejected.jsonl.part"):
        (tmp_path / name).write_text("left over")
    assert run(data) == ["good"] * 3
    assert left_over(tmp_path) == {"out.jsonl", "out.jsonl.manifest.json"}


def test_a_full_disk_is_said_and_the_same_command_goes_on(data, tmp_path, url):
    """The disk is full after 50 KB: the answers do not fit, the run says so, and goes on when there is room."""
    write_rows(data, [{"prompt": f"{n} " + "x" * 3000} for n in range(200)])
    command = f"{sys.executable} -m eval.generate --data_path {data} --save_path {tmp_path}/out.jsonl --base_url {url}"
    full = subprocess.run(
        ["bash", "-c", f"trap '' XFSZ; ulimit -f 50; exec {command}"], cwd=ROOT, capture_output=True, text=True
    )
    assert full.returncode == 1, full.stderr
    assert "run again" in full.stderr or "cannot be written" in full.stderr
    assert "Traceback" not in full.stderr and left_over(tmp_path) == set()
    subprocess.run(command.split(), cwd=ROOT, check=True, capture_output=True)
    assert len(list(read_rows(tmp_path / "out.jsonl"))) == 200


def test_rejected_rows_that_do_not_fit_on_the_disk(data, tmp_path, url):
    write_rows(data, [{"p": "x" * 30_000}] * 12 + [{"prompt": "good"}])
    command = f"{sys.executable} -m eval.generate --data_path {data} --save_path {tmp_path}/out.jsonl --base_url {url}"
    command += " --on_bad_row skip"
    full = subprocess.run(["bash", "-c", f"ulimit -f 200; {command}"], cwd=ROOT, capture_output=True, text=True)
    assert "out.jsonl.rejected.jsonl: cannot be written: File too large" in full.stderr
    assert "Traceback" not in full.stderr and left_over(tmp_path) == set()
    subprocess.run(command.split(), cwd=ROOT, check=True, capture_output=True)
    assert len(list(read_rows(tmp_path / "out.jsonl.rejected.jsonl"))) == 12


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    "flags",
    [
        ["--extra_body", "{top_k: 1}"],
        ["--extra_body", "[1]"],
        ["--concurrency", "0"],
        ["--max_attempts", "0"],
        ["--temperature", "warm"],
        ["--on_bad_row", "ignore"],
    ],
    ids=" ".join,
)
def test_a_bad_argument_is_refused_before_anything_happens(run, data, flags, capsys):
    with pytest.raises(SystemExit) as stop:
        run(data, *flags)
    assert stop.value.code == 2 and flags[0] in capsys.readouterr().err


@pytest.mark.parametrize("base_url", ["ftp://host/v1", "http://", "http://:80/v1"])
def test_a_bad_address(run, data, base_url):
    with pytest.raises(CommonError, match="not a server address"):
        run(data, base_url=base_url)


def test_no_address_at_all(run, data, monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(CommonError, match="set OPENAI_BASE_URL"):
        run(data, base_url="")


BAD_TEMPLATES = {
    "no place": (b"Answer this:", "no place for {prompt}"),
    "another place": (b"Answer: {question}", "no place for {prompt}"),
    "UTF-16": ("Answer: {prompt}".encode("utf-16"), "must be a file of UTF-8 text"),
    "a folder": (None, "must be a file of UTF-8 text"),
    "missing": (None, "no such prompt"),
}


@pytest.mark.parametrize("name", BAD_TEMPLATES)
def test_a_wrong_template(run, data, tmp_path, name):
    content, problem = BAD_TEMPLATES[name]
    path = tmp_path / "template.txt"
    if content is not None:
        path.write_bytes(content)
    elif name == "a folder":
        path.mkdir()
    with pytest.raises(CommonError, match=problem):
        run(data, "--prompt_path", path)
    assert left_over(tmp_path) == set()


def kept(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("out*"))


def test_a_key_pasted_into_the_command_stays_out_of_all_that_is_kept(run, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-the-environment")
    body = {"api_key": "hunter2-body", "headers": {"Authorization": "Bearer hunter2-bearer"}, "top_k": 5}
    run(data, "--extra_body", json.dumps(body), "--system_prompt", "key-of-the-environment")
    said = kept(tmp_path) + capsys.readouterr().err.encode()
    assert b"hunter2" not in said and b"key-of-the-environment" not in said
    facts = json.loads((tmp_path / "out.jsonl.manifest.json").read_text())
    assert facts["llm"]["options"]["extra_body"]["top_k"] == 5 and facts["arguments"]["prompt_key"] == "prompt"


def test_a_password_in_the_address(run, data, tmp_path, url, monkeypatch, capsys):
    address = url.replace("http://", "http://me:hunter2@")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    run(data, base_url=address)
    assert b"hunter2" not in kept(tmp_path) + capsys.readouterr().err.encode()
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-the-environment")
    with pytest.raises(CommonError, match="holds a user, and OPENAI_API_KEY is set") as stop:
        run(data, base_url=address)
    assert "hunter2" not in str(stop.value)


def test_a_store_that_is_none(run, data, tmp_path):
    (tmp_path / "store.sqlite").write_text("not a database, but long enough to be looked at as if it were one " * 20)
    with pytest.raises(CommonError, match="cannot be used as answer store"):
        run(data, "--store_path", tmp_path / "store.sqlite")


def test_an_error_is_one_sentence_and_an_exit_code(tmp_path):
    command = [sys.executable, ROOT / "eval" / "generate.py", "--data_path", tmp_path / "no.jsonl"]
    run = subprocess.run([*command, "--save_path", tmp_path / "out.jsonl"], capture_output=True, text=True)
    assert run.returncode == 1 and run.stderr.count("\n") == 1 and "no.jsonl: no such file" in run.stderr
