"""Files that nobody should be able to slip in unseen, in every format: what they hold, where it is wrong, what is said.

`ROWS`: one bad row between good ones: the others can still be read. `FILES`: the file as a whole will not do.
"""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

GOOD = b'{"prompt": "good"}'

BAD_ROWS = {
    "a list": (b"[1, 2]", "found a list where an object"),
    "a string": (b'"prompt"', "found a text where an object"),
    "a number": (b"7", "found a number where an object"),
    "a fraction": (b"-0.5e3", "found a number where an object"),
    "true": (b"true", "found true or false where an object"),
    "null": (b"null", "found null where an object"),
    "NaN": (b'{"prompt": "a", "score": NaN}', "NaN is not JSON"),
    "NaN alone": (b"NaN", "NaN is not JSON"),
    "Infinity": (b'{"prompt": "a", "score": -Infinity}', "-Infinity is not JSON"),
    "a key twice": (b'{"prompt": "a", "prompt": "b"}', "key 'prompt' stands twice"),
    "a key twice, deep inside": (b'{"prompt": "a", "more": [{"k": 1, "k": 2}]}', "key 'k' stands twice"),
    "a key twice, spelled two ways": (b'{"prompt": "a", "\\u0070rompt": 2}', "key 'prompt' stands twice"),
    "nested too deeply": (b'{"prompt": ' + b"[" * 3000 + b"]" * 3000 + b"}", "nested too deeply"),
    "objects nested too deeply": (b'{"a": ' * 3000 + b'"]}"' + b"}" * 3000, "nested too deeply"),
    "a list nested too deeply": (b"[" * 5000 + b'"\\"]"' + b"]" * 5000, "nested too deeply"),
    "a number beyond a float": (b'{"prompt": "a", "score": 1e999}', "1e999 is too large for a number"),
    "a number of 5,000 digits": (b'{"prompt": "}", "n": ' + b"9" * 5000 + b"}", "more than 4300 digits"),
    "nothing but 5,000 digits": (b"-" + b"1" * 5000, "more than 4300 digits"),
    "latin-1": ('{"prompt": "ñandú"}'.encode("latin-1"), "not UTF-8 at"),
    "half a letter": ('{"prompt": "中"}'.encode().replace(b"\xad", b""), "not UTF-8 at"),
    "a surrogate in UTF-8": (b'{"prompt": "\xed\xa0\x80"}', "not UTF-8 at"),
}
# Of these a line can be bad; in an array they end the array.
BAD_LINES = {
    "half a row": (b'{"prompt": "ha', "not JSON"),
    "two rows in a line": (GOOD + GOOD, "not JSON"),
    "single quotes": (b"{'prompt': 'a'}", "not JSON"),
    "trailing comma": (b'{"prompt": "a",}', "not JSON"),
    "a comment": (b"# prompt", "not JSON"),
    "csv": (b"prompt,id", "not JSON"),
    "a raw control character": (b'{"prompt": "a\x00b"}', "not JSON"),
    "a tail of NUL bytes": (b"\x00" * 64, "not JSON"),
    "a BOM in the middle": (b"\xef\xbb\xbf" + GOOD, "not JSON"),
    "no value": (b'{"prompt": }', "not JSON"),
    "no quotes": (b"{prompt: 1}", "not JSON"),
    "a bad escape": (b'{"prompt": "\\x41"}', "not JSON"),
    "half an escape": (b'{"prompt": "\\ud83"}', "not JSON"),
    "a number with a zero in front": (b'{"n": 007}', "not JSON"),
    "True as Python writes it": (b'{"n": True}', "not JSON"),
}


def zstd(data: bytes) -> bytes:
    return pa.Codec("zstd").compress(data, asbytes=True)


LINE_FORMATS: dict[str, Callable[[bytes], bytes]] = {
    ".jsonl": bytes,
    ".jsonl.gz": gzip.compress,
    ".jsonl.zst": zstd,
    ".json": bytes,
}


def rows() -> Iterator[tuple[str, str, bytes, str, str]]:
    """(name of the case, ending of the file, its bytes, the place that is named, what is said of it)."""
    for ending, packed in LINE_FORMATS.items():
        for name, (row, problem) in (BAD_ROWS | BAD_LINES).items():
            yield f"{name} in {ending}", ending, packed(b"\n".join([GOOD, row, GOOD])), "line 2 (row 1)", problem
    for layout, (between, line) in {"on one line": (b", ", 1), "a row a line": (b"\r\n,\r\n", 3)}.items():
        for name, (row, problem) in BAD_ROWS.items():
            array = b" [" + between.join([GOOD, row, GOOD]) + b"]\n"
            yield f"{name} in an array {layout}", ".json", array, f"line {line} (row 1)", problem


def tables() -> Iterator[tuple[str, str, bytes]]:
    """(name of the case, ending of the file, its bytes), each with a bad row 1 of 3."""
    for name, column in BAD_CELLS.items():
        table = pa.table({"prompt": ["good"] * 3, "cell": column})
        yield f"{name} in .parquet", ".parquet", parquet(table)
        yield f"{name} in .arrow", ".arrow", arrow(table)
        yield f"{name} in an arrow file", ".arrow", arrow(table, pa.ipc.new_file)


TABLE = pa.table({"prompt": ["good"] * 3000, "n": range(3000)})


def parquet(table: pa.Table) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(table, out)
    return out.getvalue().to_pybytes()


def arrow(table: pa.Table, new: Callable = pa.ipc.new_stream) -> bytes:
    out = pa.BufferOutputStream()
    with new(out, table.schema) as file:
        file.write_table(table, max_chunksize=1000)
    return out.getvalue().to_pybytes()


LINES = b"".join(b'{"prompt": "good", "n": %d}\n' % number for number in range(3000))
WHOLE = {
    ".jsonl": LINES,
    ".jsonl.gz": gzip.compress(LINES),
    ".jsonl.zst": zstd(LINES),
    ".json": json.dumps(TABLE.to_pylist()).encode(),
    ".parquet": parquet(TABLE),
    ".arrow": arrow(TABLE),
}
OTHERS = {
    "nothing": b"",
    "a blank": b" \n\n",
    "a web page": b"<!doctype html><title>404</title>\n",
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "text in UTF-16": '{"prompt": "a"}\n'.encode("utf-16"),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9,
    "zeros": bytes(5000),
    "an arrow file, cut": arrow(TABLE, pa.ipc.new_file)[:-300],
}
GOOD_PAIRS = {(".jsonl", ".json")}  # one object a line may be called .json as well
TWICE = pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], names=["prompt", "n", "n"])
BAD_CELLS = {
    "text that is not UTF-8": pa.array([b"good", b"\xff", b"good"]).view(pa.string()),
    "a time beyond the year 9999": pa.array([2**40, 2**52, 2**40], pa.timestamp("ms")),
}
BAD_ARRAYS = {
    "cut inside a row": b'[{"prompt": "a"}, {"prom',
    "cut inside a deep row": b'[{"prompt": "a"}, ' + b"[" * 5000 + b'"',
    "cut inside a long number": b'[{"prompt": "a"}, {"n": ' + b"9" * 5000,
    "cut after a row": b'[{"prompt": "a"}',
    "cut after a comma": b'[{"prompt": "a"},',
    "cut after the bracket": b"[",
    "cut inside a letter": '[{"prompt": "中'.encode()[:-1],
    "no comma": b'[{"prompt": "a"} {"prompt": "b"}]',
    "two commas": b'[{"prompt": "a"},, {"prompt": "b"}]',
    "a comma at the end": b'[{"prompt": "a"},]',
    "a comma at the start": b'[,{"prompt": "a"}]',
    "more after the end": b'[{"prompt": "a"}] x',
    "two arrays": b'[{"prompt": "a"}]\n[{"prompt": "b"}]',
    "a letter cut after the end": b'[{"prompt": "a"}]\xe4\xb8',
    "another bracket at the end": b'[{"prompt": "a"}}',
    "quotes that never end": b'[{"prompt": "a}]' + b" " * 9000,
}


def files() -> Iterator[tuple[str, str, bytes]]:
    """(name of the case, ending of the file, its bytes)."""
    for ending in WHOLE:
        for other, content in WHOLE.items():
            if other != ending and (other, ending) not in GOOD_PAIRS:
                yield f"{other} called {ending}", ending, content
        for name, content in OTHERS.items():
            yield f"{name} called {ending}", ending, content
    for ending in (".jsonl.gz", ".jsonl.zst", ".json", ".parquet", ".arrow"):
        for share in (0.01, 0.3, 0.6, 0.9, 0.99):
            yield f"{ending} cut after {share:.0%}", ending, WHOLE[ending][: int(len(WHOLE[ending]) * share)]
        yield f"{ending} without its last byte", ending, WHOLE[ending].rstrip()[:-1]
    yield "a column twice in .parquet", ".parquet", parquet(TWICE)
    yield "a column twice in .arrow", ".arrow", arrow(TWICE)
    yield "a column twice in an arrow file", ".arrow", arrow(TWICE, pa.ipc.new_file)
    for name, content in BAD_ARRAYS.items():
        yield f"an array {name}", ".json", content
    yield "gzip with a wrong checksum", ".jsonl.gz", gzip.compress(GOOD)[:-8] + bytes(8)
    yield "gzip with a broken inside", ".jsonl.gz", gzip.compress(GOOD)[:10] + b"\xff" * 99
    yield "gzip with more after it", ".jsonl.gz", gzip.compress(GOOD) + b"more"
    yield "zstd with more after it", ".jsonl.zst", zstd(GOOD + b"\n") + b"more"
    yield "an unknown ending", ".csv", b"prompt\na\n"
    yield "no ending", "", GOOD


STATE = {"_data_files": [{"filename": "data.arrow"}], "_split": "train"}
BAD_STATES = {
    "an empty state": b"",
    "a state that is no JSON": b"{",
    "a state that is not UTF-8": b"\xff",
    "a state that is nested too deeply": b"[" * 100_000,
    "a state that is a list": b"[]",
    "a state that is a text": b'"state"',
    "a state that is null": b"null",
    "a state without files": b"{}",
    **{
        f"a state whose files are {value}": json.dumps(STATE | {"_data_files": value}).encode()
        for value in (None, {}, "data.arrow", [None], [5], [{}], [{"filename": 5}], [{"filename": None}])
    },
    **{
        f"a state that names {name!r}": json.dumps(STATE | {"_data_files": [{"filename": name}]}).encode()
        for name in ("../secret.arrow", "/etc/passwd", "sub/data.arrow", "..", ".", "", "a\0b", "missing.arrow")
    },
    "a count that is wrong": json.dumps(STATE | {"_rows": 2999}).encode(),
    "a count that is a text": json.dumps(STATE | {"_rows": "3000"}).encode(),
}
BAD_SPLITS = {
    "no JSON": b"{",
    "a list": b"[]",
    "no splits": b"{}",
    "splits that are a text": b'{"splits": "train"}',
    "splits that are an object": b'{"splits": {"train": 1}}',
    "splits that are numbers": b'{"splits": [1]}',
    "splits outside": b'{"splits": ["../other"]}',
    "a split that is not there": b'{"splits": ["train"]}',
    "an empty list of splits": b'{"splits": []}',
    "several splits": b'{"splits": ["train", "test"]}',
}


def left_over(folder: Path) -> set[str]:
    """Files of an output that did not come to be; the answer store may stay."""
    return {path.name for path in folder.glob("out*") if ".answers.sqlite" not in path.name}
