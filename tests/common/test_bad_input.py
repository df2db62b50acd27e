"""What people feed to a step at 2 a.m., through eval/generate.py as they run it: it is named, and nothing is lost."""

import gzip
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common.errors import CommonError
from common.rows import read_rows, write_rows
from tests.common.bad_files import left_over

GOOD = b'{"prompt": "good"}\n'


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
