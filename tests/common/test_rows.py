"""Rows come back as they went in, from every format, in bounded memory, whole or not at all."""

import gzip
import json
import os
import signal
import subprocess
import sys
import textwrap
from datetime import datetime
from pathlib import Path

import datasets
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import BadInput, BadRow, CommonError, OutputInUse
from common.rows import BATCH_ROWS, RowWriter, count_rows, read_rows, scan_rows, write_rows

TEXT_FORMATS = (".json", ".jsonl", ".jsonl.gz", ".jsonl.zst")
TABLE_FORMATS = (".parquet", ".arrow", "")
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

any_text = st.text(st.characters(), max_size=20)  # surrogates, NUL, U+2028 and all
plain_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=8,
)
json_rows = st.lists(st.dictionaries(any_text, json_values, max_size=4), max_size=8)
table_rows = st.lists(
    st.fixed_dictionaries(
        {"text": plain_text, "number": st.integers(-(2**63), 2**63 - 1), "tags": st.lists(plain_text, max_size=3)}
    ),
    max_size=8,
)


@pytest.mark.parametrize("ending", TEXT_FORMATS)
@quick
@given(rows=json_rows)
def test_any_json_comes_back_from_text_formats(tmp_path, ending, rows):
    path = tmp_path / f"rows{ending}"
    assert write_rows(path, rows) == len(rows) == count_rows(path)
    assert list(read_rows(path)) == rows


@pytest.mark.parametrize("ending", TABLE_FORMATS)
@quick
@given(rows=table_rows)
def test_rows_come_back_from_tables(tmp_path, ending, rows):
    path = tmp_path / f"rows{ending}"
    assert write_rows(path, rows) == len(rows) == count_rows(path)
    assert list(read_rows(path)) == rows


@pytest.mark.parametrize("ending", TEXT_FORMATS + TABLE_FORMATS)
def test_many_rows_and_a_megabyte_value(tmp_path, ending):
    rows = [{"id": f"{number:05}", "text": "中文😀\u2028\x00" * (number % 7)} for number in range(3 * BATCH_ROWS + 1)]
    rows[1234]["text"] = "x" * 3_000_000
    path = tmp_path / f"rows{ending}"
    write_rows(path, rows)
    assert list(read_rows(path)) == rows
    assert sorted(os.listdir(tmp_path)) == [path.name]


@pytest.mark.parametrize("ending", TABLE_FORMATS)
def test_a_column_may_change_its_type_between_batches(tmp_path, ending):
    rows = [{"a": None, "n": 1} for _ in range(BATCH_ROWS)] + [{"a": "text", "n": 0.5, "late": [1]}]
    write_rows(tmp_path / f"rows{ending}", rows)
    back = list(read_rows(tmp_path / f"rows{ending}"))
    assert back[0] == {"a": None, "n": 1.0, "late": None} and back[-1] == rows[-1]


@pytest.mark.parametrize("rows", [[{"a": 1}, {"a": "x"}], [{"a": "\ud800"}], [{"a": 2**70}]])
def test_what_a_table_cannot_hold_is_named(tmp_path, rows):
    with pytest.raises(CommonError, match="column 'a'"):
        write_rows(tmp_path / "rows.parquet", rows)
    assert not os.listdir(tmp_path)


def test_times_of_a_table_stay_times_in_tables_and_become_iso_text_in_json(tmp_path):
    when = datetime(2026, 11, 20, 12, 30)
    pq.write_table(pa.table({"when": [when]}), tmp_path / "in.parquet")
    write_rows(tmp_path / "out.parquet", read_rows(tmp_path / "in.parquet"))
    write_rows(tmp_path / "out.jsonl", read_rows(tmp_path / "in.parquet"))
    assert next(read_rows(tmp_path / "out.parquet")) == {"when": when}
    assert next(read_rows(tmp_path / "out.jsonl")) == {"when": "2026-11-20T12:30:00"}


def test_datasets_and_pandas_read_what_we_write_and_we_what_datasets_writes(tmp_path):
    rows = [{"text": f"第{number}行", "n": number} for number in range(100)]
    write_rows(tmp_path / "ours", rows)
    write_rows(tmp_path / "ours.parquet", rows)
    assert datasets.load_from_disk(str(tmp_path / "ours")).to_list() == rows
    assert pandas.read_parquet(tmp_path / "ours.parquet").to_dict("records") == rows
    theirs = datasets.Dataset.from_list(rows)
    theirs.save_to_disk(str(tmp_path / "theirs"), num_shards=3)
    assert list(read_rows(tmp_path / "theirs")) == rows
    both = datasets.DatasetDict(train=theirs, test=theirs.select(range(5)))
    both.save_to_disk(str(tmp_path / "both"))
    assert list(read_rows(tmp_path / "both", split="test")) == rows[:5]
    with pytest.raises(BadInput, match="train, test"):
        list(read_rows(tmp_path / "both"))
    with pa.OSFile(str(tmp_path / "file.arrow"), "wb") as sink, pa.ipc.new_file(sink, theirs.data.table.schema) as file:
        file.write_table(theirs.data.table)
    assert list(read_rows(tmp_path / "file.arrow")) == rows


def test_a_glob_is_read_in_name_order_without_the_rejected_rows(tmp_path):
    for name, row in [("b.jsonl", 2), ("a.jsonl.gz", 1), ("c.parquet", 3), ("b.jsonl.rejected.jsonl", 9)]:
        write_rows(tmp_path / name, [{"n": row}])
    assert [row["n"] for row in read_rows(tmp_path / "*.*")] == [1, 2, 3]


def test_compressed_files_are_the_same_bytes_each_time_and_may_have_several_members(tmp_path):
    for ending in (".jsonl.gz", ".jsonl.zst"):
        write_rows(tmp_path / f"a{ending}", [{"n": 1}])
        write_rows(tmp_path / f"b{ending}", [{"n": 1}])
        once = (tmp_path / f"a{ending}").read_bytes()
        assert once == (tmp_path / f"b{ending}").read_bytes()
        (tmp_path / f"a{ending}").write_bytes(once * 3)
        assert list(read_rows(tmp_path / f"a{ending}")) == [{"n": 1}] * 3


def test_bad_rows_come_in_their_place(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(b'{"n": 1}\n[2]\n\n{"n": 3\n{"n": 4}\n')
    rows = list(scan_rows(tmp_path / "in.jsonl"))
    assert [row if isinstance(row, dict) else (row.index, row.line) for row in rows] == [
        {"n": 1},
        (1, 2),
        (2, 4),
        {"n": 4},
    ]
    with pytest.raises(BadRow, match=r"in.jsonl, line 2 \(row 1\): found a list where an object"):
        list(read_rows(tmp_path / "in.jsonl"))


@quick
@given(rows=json_rows, indent=st.sampled_from([None, 1]), cut=st.integers(1, 50))
def test_an_array_is_read_in_any_layout_and_a_cut_one_is_never_taken_for_whole(tmp_path, rows, indent, cut):
    path = tmp_path / "rows.json"
    text = json.dumps(rows, indent=indent)
    path.write_text(f"\ufeff \n{text}\n", encoding="utf-8")
    assert list(read_rows(path)) == rows
    path.write_text(text[:-cut], encoding="utf-8")
    if len(text) > cut:
        with pytest.raises(BadInput):
            list(read_rows(path))


def test_chunks_may_end_anywhere(tmp_path, monkeypatch):
    monkeypatch.setattr("common.rows.READ_CHARS", 3)
    rows = [{"text": 'a, ]\\"中😀', "n": [1234567, {"x": -1.5e10}]}] * 9
    write_rows(tmp_path / "rows.json", rows)
    assert list(read_rows(tmp_path / "rows.json")) == rows


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    write_rows(tmp_path / "out.jsonl", [{"old": 1}])
    with pytest.raises(ZeroDivisionError), RowWriter(tmp_path / "out.jsonl") as writer:
        writer.write({"new": 1})
        raise ZeroDivisionError
    assert list(read_rows(tmp_path / "out.jsonl")) == [{"old": 1}]
    assert os.listdir(tmp_path) == ["out.jsonl"]


@pytest.mark.parametrize("ending", TEXT_FORMATS + TABLE_FORMATS)
def test_killed_while_writing_the_old_file_stands_and_a_rerun_works(tmp_path, ending):
    path = tmp_path / f"out{ending}"
    write_rows(path, [{"n": -1}])
    code = f"""
        from common.rows import RowWriter
        with RowWriter({str(path)!r}) as writer:
            for n in range(5000):
                writer.write({{"n": n}})
            print("written", flush=True)
            input()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"written\n"
    with pytest.raises(OutputInUse, match="another run is writing it"):
        write_rows(path, [])
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(read_rows(path)) == [{"n": -1}]
    write_rows(path, [{"n": 5}])
    assert list(read_rows(path)) == [{"n": 5}] and os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("layout", ["jsonl", "json"])
def test_a_large_file_is_read_in_bounded_memory(tmp_path, layout):
    line = json.dumps({"text": "a line of ordinary text, " * 40})
    with open(tmp_path / f"big.{layout}", "w", encoding="utf-8") as file:
        file.write("[" if layout == "json" else "")
        file.write((",\n" if layout == "json" else "\n").join([line] * 150_000))
        file.write("]" if layout == "json" else "\n")
    code = f"""
        import resource
        from common.rows import read_rows
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        count = sum(1 for _ in read_rows({str(tmp_path / f"big.{layout}")!r}))
        print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    count, grown = map(int, run.stdout.split())
    assert count == 150_000 and grown < 40_000  # KB, of a file of 150 MB


def test_gzip_written_by_others_is_read(tmp_path):
    with gzip.open(tmp_path / "in.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write('{"a": "ñ"}\r\n{"a": "05"}')
    assert list(read_rows(tmp_path / "in.jsonl.gz")) == [{"a": "ñ"}, {"a": "05"}]


def test_the_output_of_a_link_goes_to_its_target(tmp_path):
    (tmp_path / "real").mkdir()
    Path(tmp_path / "link.jsonl").symlink_to(tmp_path / "real" / "out.jsonl")
    write_rows(tmp_path / "link.jsonl", [{"n": 1}])
    assert (tmp_path / "link.jsonl").is_symlink()
    assert list(read_rows(tmp_path / "real" / "out.jsonl")) == [{"n": 1}]
