"""What people feed to a step at 2 a.m., through eval/generate.py as they run it: it is named, and nothing is lost."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common.errors import CommonError
from common.rows import RowWriter, read_rows, write_rows
from eval import generate
from tests.common.scripted_server import ok, scripted_server

ROOT = Path(__file__).parent.parent.parent
GOOD = b'{"prompt": "good"}\n'


@pytest.fixture(scope="module")
def url():
    with scripted_server(lambda body, _: ok("fine")) as server:
        yield server.url


@pytest.fixture
def run(tmp_path, monkeypatch, url):
    def generate_answers(data_path, *flags, output=tmp_path / "out.jsonl", base_url=url):
        arguments = ["--data_path", data_path, "--save_path", output, "--base_url", base_url, "--model", "m", *flags]
        monkeypatch.setattr(sys, "argv", ["generate.py", *map(str, arguments)])
        generate.main()
        return [row.get("prompt") for row in read_rows(output)]

    return generate_answers


def left_over(folder: Path) -> set[str]:
    """Files of an output that did not come to be; the answer store may stay."""
    return {path.name for path in folder.glob("out*") if ".answers.sqlite" not in path.name}


# ---------------------------------------------------------------- rows: stop names them, skip sets them aside

BAD_ROWS = {
    "a list": (b"[1, 2]", "found a list where an object"),
    "a string": (b'"prompt"', "found a str where an object"),
    "a number": (b"7", "found a int where an object"),
    "null": (b"null", "found a NoneType where an object"),
    "half a row": (b'{"prompt": "ha', "not JSON"),
    "two rows in a line": (b'{"prompt": "a"}{"prompt": "b"}', "not JSON"),
    "single quotes": (b"{'prompt': 'a'}", "not JSON"),
    "trailing comma": (b'{"prompt": "a",}', "not JSON"),
    "a comment": (b"# prompt", "not JSON"),
    "csv": (b"prompt,id", "not JSON"),
    "a raw control character": (b'{"prompt": "a\x00b"}', "not JSON"),
    "invalid UTF-8": (b'{"prompt": "\xff\xfe"}', "not UTF-8 at byte 12"),
    "latin-1": ('{"prompt": "ñandú"}'.encode("latin-1"), "not UTF-8 at byte 12"),
    "NaN": (b'{"prompt": "a", "score": NaN}', "NaN is not JSON"),
    "Infinity": (b'{"prompt": "a", "score": -Infinity}', "-Infinity is not JSON"),
    "a key twice": (b'{"prompt": "a", "prompt": "b"}', "key 'prompt' stands twice"),
    "nested too deeply": (b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    "a number of 5,000 digits": (b'{"prompt": "a", "n": ' + b"9" * 5000 + b"}", "4300 digits"),
    "no key": (b'{"question": "a"}', "no key 'prompt'; the row has 'question'"),
    "no keys": (b"{}", "no key 'prompt'; the row has no keys"),
    "prompt is null": (b'{"prompt": null}', "'prompt' is a NoneType"),
    "prompt is a number": (b'{"prompt": 5}', "'prompt' is a int"),
    "prompt is an object": (b'{"prompt": {"a": 1}}', "'prompt' is a dict"),
    "prompt is a list of texts": (b'{"prompt": ["a"]}', "not of messages"),
    "already answered": (b'{"prompt": "a", "response": "b"}', "already has 'response'"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_is_named_or_set_aside(run, tmp_path, name):
    row, problem = BAD_ROWS[name]
    data = tmp_path / "in.jsonl"
    data.write_bytes(GOOD + row + b"\n" + GOOD)
    with pytest.raises(CommonError) as stop:
        run(data)
    assert problem in str(stop.value) and "in.jsonl" in str(stop.value) and "row 1" in str(stop.value)
    assert "--on_bad_row skip" in str(stop.value) and left_over(tmp_path) == set()
    assert run(data, "--on_bad_row", "skip") == ["good", "good"]
    (rejected,) = read_rows(tmp_path / "out.jsonl.rejected.jsonl")
    assert rejected["index"] == 1 and rejected["reason"].startswith("bad row: ") and problem in rejected["reason"]
    counts = json.loads((tmp_path / "out.jsonl.manifest.json").read_text())["counts"]
    assert (counts["in"], counts["done"], counts["rejected"]) == (3, 2, 1)


GOOD_FILES = {
    "BOM": b"\xef\xbb\xbf" + GOOD,
    "CRLF": b'{"prompt": "good"}\r\n',
    "no last line end": GOOD.rstrip(),
    "blank lines": b"\n\n" + GOOD + b" \r\n",
    "U+2028 in a text": '{"prompt": "a\u2028b"}\n'.encode(),
    "a lone surrogate": b'{"prompt": "a\\ud83d"}\n',
    "NUL as an escape": b'{"prompt": "a\\u0000"}\n',
    "a line of 3 MB": b'{"prompt": "' + b"x" * 3_000_000 + b'"}\n',
}


@pytest.mark.parametrize("name", GOOD_FILES)
def test_odd_but_good_files_are_read(run, tmp_path, name):
    (tmp_path / "in.jsonl").write_bytes(GOOD_FILES[name])
    text = json.loads(GOOD_FILES[name].decode("utf-8-sig"))["prompt"]
    assert run(tmp_path / "in.jsonl") == [text]


# ---------------------------------------------------------------- files that cannot be read

PARQUET = pa.BufferOutputStream()
pq.write_table(pa.table({"prompt": ["good"] * 9}), PARQUET)
PARQUET = PARQUET.getvalue().to_pybytes()

BAD_FILES = {
    "empty.jsonl": (b"", "has no rows"),
    "blank.jsonl": (b"\n \n", "has no rows"),
    "empty.json": (b"", "has no rows"),
    "none.json": (b"[]", "has no rows"),
    "empty.parquet": (b"", "cannot be read"),
    "empty.arrow": (b"", "cannot be read"),
    "empty.jsonl.zst": (b"", "no rows"),
    "cut.json": (b'[{"prompt": "a"}, {"prom', "not JSON"),
    "unclosed.json": (b'[{"prompt": "a"}', "the file ends inside the array"),
    "no_comma.json": (b'[{"prompt": "a"} {"prompt": "b"}]', "expected , or ]"),
    "more.json": (b'[{"prompt": "a"}] x', "more text after the end"),
    "object.json": (b'{\n "data": [{"prompt": "a"}]\n}', "not JSON"),
    "utf16.jsonl": ('{"prompt": "a"}'.encode("utf-16"), "not UTF-8"),
    "latin.json": ('[{"prompt": "ñ"}]'.encode("latin-1"), "not UTF-8"),
    "cut.jsonl.gz": (gzip.compress(GOOD * 999)[:-9], "cannot be read"),
    "plain.jsonl.gz": (GOOD, "cannot be read"),
    "plain.jsonl.zst": (GOOD, "cannot be read"),
    "cut.parquet": (PARQUET[:-20], "cannot be read"),
    "plain.parquet": (GOOD, "cannot be read"),
    "parquet.jsonl": (PARQUET, "not UTF-8"),
    "plain.arrow": (GOOD, "cannot be read"),
    "table.csv": (b"prompt\na\n", "not a known format"),
    "pages.txt": (b"text", "not a known format"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_cannot_be_read_is_named(run, tmp_path, name):
    content, problem = BAD_FILES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CommonError) as stop:
        run(tmp_path / name)
    assert problem in str(stop.value) and name in str(stop.value)
    assert left_over(tmp_path) == set()


@pytest.mark.parametrize("name", ["missing.jsonl", "*.jsonl", ".", "/proc/self/mem"])
def test_no_such_input(run, tmp_path, name):
    with pytest.raises(CommonError, match="no such file|not a saved dataset|not a known format"):
        run(tmp_path / name)


# ---------------------------------------------------------------- outputs that cannot be written


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
    for path in (folder, tmp_path / "results", fifo, null):
        with pytest.raises(CommonError, match="exists and is not"):
            run(data, output=path)
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
    for name in ("out.jsonl.lock", "out.jsonl.part", "out.jsonl.rejected.jsonl.part"):
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


def test_a_template_without_a_place_for_the_question(run, data, tmp_path):
    (tmp_path / "template.txt").write_text("Answer this:")
    with pytest.raises(CommonError, match="no place for {prompt}"):
        run(data, "--prompt_template", tmp_path / "template.txt")


def test_a_store_that_is_none(run, data, tmp_path):
    (tmp_path / "store.sqlite").write_text("not a database, but long enough to be looked at as if it were one " * 20)
    with pytest.raises(CommonError, match="cannot be used as answer store"):
        run(data, "--store_path", tmp_path / "store.sqlite")


def test_an_error_is_one_sentence_and_an_exit_code(tmp_path):
    command = [sys.executable, ROOT / "eval" / "generate.py", "--data_path", tmp_path / "no.jsonl"]
    run = subprocess.run([*command, "--save_path", tmp_path / "out.jsonl"], capture_output=True, text=True)
    assert run.returncode == 1 and run.stderr.count("\n") == 1 and "no.jsonl: no such file" in run.stderr
