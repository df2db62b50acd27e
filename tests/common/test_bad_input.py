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

from common import manifest
from common.errors import BadInput, BadRow, CommonError
from common.rows import RowWriter, read_rows, write_rows
from common.step import Step, map_rows
from eval import generate
from tests.common import bad_files
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
    "a string": (b'"prompt"', "found a text where an object"),
    "a number": (b"7", "found a number where an object"),
    "null": (b"null", "found null where an object"),
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
    "a number beyond a float": (b'{"prompt": "a", "score": 1e999}', "1e999 is too large for a number"),
    "a tail of NUL bytes, as power losses leave it": (b"\x00" * 64, "not JSON"),
    "a BOM in the middle": (b'\xef\xbb\xbf{"prompt": "a"}', "not JSON"),
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


BAD_ELEMENTS = {
    "a list": (b"[1, 2]", "found a list where an object"),
    "a number": (b"7", "found a number where an object"),
    "NaN": (b'{"prompt": "a", "score": NaN}', "NaN is not JSON"),
    "a number beyond a float": (b'{"prompt": "a", "score": -1e999}', "-1e999 is too large for a number"),
    "a key twice, deep inside": (b'{"prompt": "a", "more": [{"k": 1, "k": 2}]}', "key 'k' stands twice"),
    "latin-1": ('{"prompt": "ñandú"}'.encode("latin-1"), "not UTF-8 at character 12"),
    "no key": (b'{"question": "a"}', "no key 'prompt'"),
}


@pytest.mark.parametrize("name", BAD_ELEMENTS)
def test_a_bad_row_of_an_array_is_named_or_set_aside(run, tmp_path, name):
    row, problem = BAD_ELEMENTS[name]
    (tmp_path / "in.json").write_bytes(b"[" + GOOD + b",\n" + row + b",\n" + GOOD + b"]")
    with pytest.raises(CommonError) as stop:
        run(tmp_path / "in.json")
    assert problem in str(stop.value) and "in.json" in str(stop.value) and "row 1" in str(stop.value)
    assert run(tmp_path / "in.json", "--on_bad_row", "skip") == ["good", "good"]
    (rejected,) = read_rows(tmp_path / "out.jsonl.rejected.jsonl")
    assert rejected["index"] == 1 and problem in rejected["reason"]


def test_a_bad_row_of_a_glob_is_named_with_its_file(run, tmp_path):
    for number in range(3):
        write_rows(tmp_path / f"part{number}.jsonl", [{"prompt": "good"}, {"prompt": "good" if number else 5}][::-1])
    write_rows(tmp_path / "part1.jsonl", [{"prompt": "good"}, {}])
    (tmp_path / "part0.jsonl").write_bytes(GOOD * 3)
    with pytest.raises(CommonError, match=r"part1.jsonl, row 1: no key 'prompt'"):
        run(tmp_path / "part*.jsonl")
    assert run(tmp_path / "part*.jsonl", "--on_bad_row", "skip") == ["good"] * 6
    (rejected,) = read_rows(tmp_path / "out.jsonl.rejected.jsonl")
    assert rejected["index"] == 4


@pytest.mark.parametrize("depth", range(900, 1000, 5))
def test_a_row_that_could_be_read_but_not_written_again_is_named(run, tmp_path, depth):
    (tmp_path / "in.jsonl").write_bytes(GOOD + b'{"prompt": "good", "n": ' + b"[" * depth + b"]" * depth + b"}\n")
    try:
        assert run(tmp_path / "in.jsonl") == ["good", "good"]
    except CommonError as stop:
        assert "row 1" in str(stop) and left_over(tmp_path) == set()


def test_a_conversation_is_not_pasted_into_a_text(run, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"prompt": [{"role": "user", "content": "a"}], "input": "b"}\n')
    (tmp_path / "template.txt").write_text("Answer: {prompt}")
    with pytest.raises(CommonError, match="'prompt' is a list, expected str"):
        run(tmp_path / "in.jsonl", "--input_key", "input")
    with pytest.raises(CommonError, match="is a conversation; --prompt_path is for a text"):
        run(tmp_path / "in.jsonl", "--prompt_path", tmp_path / "template.txt")
    with pytest.raises(CommonError, match="no key 'inptu'; the row has 'prompt', 'input'"):
        run(tmp_path / "in.jsonl", "--input_key", "inptu.0")


def test_a_dry_run_names_bad_rows_too_and_leaves_nothing(run, tmp_path):
    (tmp_path / "in.jsonl").write_bytes(GOOD + b"{}\n")
    with pytest.raises(CommonError, match="row 1: no key 'prompt'"):
        run(tmp_path / "in.jsonl", "--dry_run")
    with pytest.raises(SystemExit) as end:
        run(tmp_path / "in.jsonl", "--dry_run", "--on_bad_row", "skip")
    assert end.value.code == 0 and os.listdir(tmp_path) == ["in.jsonl"]


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
ARROW = pa.BufferOutputStream()
with pa.ipc.new_stream(ARROW, pa.schema({"prompt": pa.string()})) as stream:
    stream.write_table(pa.table({"prompt": ["good"] * 9}))
ARROW = ARROW.getvalue().to_pybytes()
ZSTD = pa.Codec("zstd").compress(GOOD * 999, asbytes=True)
BAD_TEXT = pa.BufferOutputStream()
pq.write_table(pa.table({"prompt": pa.array([b"\xff"]).view(pa.string())}), BAD_TEXT)
BAD_TIME = pa.BufferOutputStream()
pq.write_table(pa.table({"prompt": pa.array([2**52], pa.timestamp("ms"))}), BAD_TIME)

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
    "empty.jsonl.gz": (b"", "has no rows"),
    "cut.jsonl.zst": (ZSTD[:-9], "cannot be read"),
    "broken_inside.jsonl.gz": (gzip.compress(GOOD)[:10] + b"\xff" * 99, "cannot be read"),
    "broken_sum.jsonl.gz": (gzip.compress(GOOD)[:-8] + bytes(8), "cannot be read after row 0"),
    "more_after.jsonl.gz": (gzip.compress(GOOD) + b"more", "cannot be read after row 0"),
    "cut_inside_a_letter.json": ('[{"prompt": "中'.encode()[:-1], "not JSON (Unterminated string"),
    "letter_cut_after_the_end.json": (b'[{"prompt": "a"}]\xe4\xb8', "more text after the end"),
    "cut.arrow": (ARROW[:-200], "cannot be read"),
    "arrow.parquet": (ARROW, "cannot be read"),
    "parquet.arrow": (PARQUET, "cannot be read"),
    "arrow.jsonl": (ARROW, "not UTF-8"),
    "not_utf8.parquet": (BAD_TEXT.getvalue().to_pybytes(), "cannot be read"),
    "beyond_the_year_9999.parquet": (BAD_TIME.getvalue().to_pybytes(), "cannot be read"),
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


NO_INPUTS = {
    "missing.jsonl": "no such file",
    "*.jsonl": "no such file",
    ".": "not a saved dataset",
    "/proc/self/mem": "not a known format",
    "x" * 300 + ".jsonl": "File name too long",
    "memory.jsonl": "cannot be read: .*Input/output error",
    "fifo.jsonl": "neither a file nor a folder",
    "zero.jsonl": "neither a file nor a folder",
    "loop.jsonl": "cannot be read|no such file",
    "dangling.jsonl": "no such file|cannot be read",
    "folder.jsonl": "not a saved dataset",
}


@pytest.mark.parametrize("name", NO_INPUTS)
def test_no_such_input(run, tmp_path, name):
    links = {"memory": "/proc/self/mem", "zero": "/dev/zero", "loop": "loop.jsonl", "dangling": "nowhere"}
    if target := links.get(name.partition(".")[0]):
        (tmp_path / name).symlink_to(target)
    elif name.startswith("fifo"):
        os.mkfifo(tmp_path / name)
    elif name.startswith("folder"):
        (tmp_path / name).mkdir()
    with pytest.raises(CommonError, match=NO_INPUTS[name]):
        run(tmp_path / name)
    assert left_over(tmp_path) == set()


def test_a_split_of_a_file_that_has_none(run, tmp_path):
    (tmp_path / "in.jsonl").write_bytes(GOOD)
    with pytest.raises(CommonError, match="in.jsonl: has no splits"):
        run(tmp_path / "in.jsonl", "--split", "test")


# ---------------------------------------------------------------- the same in every format, without a server


def copy(path: Path, output: Path, **options: str) -> list[dict]:
    with Step([path], output, **options) as step:
        map_rows(step, lambda row: row)
    return list(read_rows(output))


ROW_CASES = {name: case for name, *case in bad_files.rows()}


@pytest.mark.parametrize("name", ROW_CASES)
def test_a_bad_row_in_every_format_is_named_with_its_place_and_the_others_are_read(tmp_path, name):
    ending, content, place, problem = ROW_CASES[name]
    path = tmp_path / f"in{ending}"
    path.write_bytes(content)
    with pytest.raises(BadRow) as stop:
        copy(path, tmp_path / "out.jsonl")
    said = str(stop.value)
    assert said.startswith(f"{path}, {place}: ") and problem in said and "expected" in said and len(said) < 500
    assert left_over(tmp_path) == set()
    assert copy(path, tmp_path / "out.jsonl", on_bad_row="skip") == [json.loads(bad_files.GOOD)] * 2
    (rejected,) = read_rows(tmp_path / "out.jsonl.rejected.jsonl")
    assert rejected["index"] == 1 and problem in rejected["reason"] and 0 < len(rejected["row"]) <= 2000


TABLE_CASES = {name: case for name, *case in bad_files.tables()}


@pytest.mark.parametrize("name", TABLE_CASES)
def test_a_bad_cell_of_a_table_is_named_with_its_row_and_the_others_are_read(tmp_path, name):
    ending, content = TABLE_CASES[name]
    (tmp_path / f"in{ending}").write_bytes(content)
    with pytest.raises(BadRow, match=f"in{ending}, row 1: 'cell' cannot be read: .*expected"):
        copy(tmp_path / f"in{ending}", tmp_path / "out.jsonl")
    assert [row["prompt"] for row in copy(tmp_path / f"in{ending}", tmp_path / "out.jsonl", on_bad_row="skip")] == [
        "good",
        "good",
    ]
    (rejected,) = read_rows(tmp_path / "out.jsonl.rejected.jsonl")
    assert rejected["index"] == 1 and "'prompt': 'good'" in rejected["row"]


FILE_CASES = {name: case for name, *case in bad_files.files()}


@pytest.mark.parametrize("name", FILE_CASES)
def test_a_bad_file_in_every_format_is_named_and_nothing_is_written(tmp_path, name):
    ending, content = FILE_CASES[name]
    path = tmp_path / f"in{ending}"
    path.write_bytes(content)
    with pytest.raises(BadInput) as stop:
        copy(path, tmp_path / "out.jsonl")
    said = str(stop.value)
    assert said.startswith(str(path)) and ("expected" in said or "Known:" in said or "has no rows" in said)
    assert "\n" not in said and left_over(tmp_path) == set()


@pytest.mark.parametrize("name", bad_files.BAD_STATES)
def test_a_dataset_folder_with_a_bad_state_is_named_and_nothing_outside_is_read(tmp_path, name):
    (tmp_path / "secret.arrow").write_bytes(bad_files.WHOLE[".arrow"])
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for path in ("data.arrow", "sub/data.arrow"):
        (tmp_path / "in" / path).write_bytes(bad_files.WHOLE[".arrow"])
    (tmp_path / "in" / "state.json").write_bytes(bad_files.BAD_STATES[name])
    with pytest.raises(BadInput, match="in(/state.json)?: .*expected"):
        copy(tmp_path / "in", tmp_path / "out.jsonl")
    assert left_over(tmp_path) == set()


@pytest.mark.parametrize("name", bad_files.BAD_SPLITS)
def test_a_dataset_folder_with_bad_splits_is_named_and_nothing_outside_is_read(tmp_path, name):
    write_rows(tmp_path / "other", [{"n": 1}])
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "dataset_dict.json").write_bytes(bad_files.BAD_SPLITS[name])
    with pytest.raises(BadInput, match="in(/dataset_dict.json|/train)?: .*(expected|with --split|not a saved dataset)"):
        copy(tmp_path / "in", tmp_path / "out.jsonl")
    assert left_over(tmp_path) == set()


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
