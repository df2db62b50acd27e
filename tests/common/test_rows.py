"""Rows come back as they went in, from every format, in bounded memory, whole or not at all."""

import contextlib
import errno
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
from common.rows import BATCH_ROWS, RowWriter, count_rows, read_rows, rows_at, scan_rows, write_rows

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
@quick
@given(first=st.integers(0, 3), rows=table_rows)
def test_a_column_may_change_its_type_between_batches(tmp_path, monkeypatch, ending, first, rows):
    monkeypatch.setattr("common.rows.tables.BATCH_ROWS", 2)
    plain = [{"a": None, "n": 1, "list": [], "more": None} for _ in range(2 * first)]
    rows = plain + [{"a": "text", "n": 0.5, "list": ["x"], "more": {"k": row["number"]}, "late": row} for row in rows]
    write_rows(tmp_path / f"rows{ending}", rows)
    columns = dict.fromkeys(key for row in rows for key in row)
    assert list(read_rows(tmp_path / f"rows{ending}")) == [{key: row.get(key) for key in columns} for row in rows]


COLUMNS = {
    "two types": [{"a": 1}, {"a": "x"}],
    "two types in two batches": [{"a": 1}] * BATCH_ROWS + [{"a": "x"}],
    "a truth value and a number": [{"a": True}] * BATCH_ROWS + [{"a": 1}],
    "a whole number that a float would round": [{"a": 2**60 + 1}] * BATCH_ROWS + [{"a": 0.5}],
    "a number of 70 bits": [{"a": 2**70}],
    "a lone surrogate": [{"a": "\ud800"}],
    "a lone surrogate as key": [{"a\ud800": 1}],
    "rows without keys": [{}, {}],
    "a batch of rows without keys": [{"a": 1}] * BATCH_ROWS + [{}] * BATCH_ROWS,
}


@pytest.mark.parametrize("ending", TABLE_FORMATS)
@pytest.mark.parametrize("name", COLUMNS)
def test_what_a_table_cannot_hold_is_named_and_not_changed(tmp_path, name, ending):
    with pytest.raises(CommonError, match="rows: (row [0-9]+ )?cannot be written".replace("rows", f"rows{ending}")):
        write_rows(tmp_path / f"rows{ending}", COLUMNS[name])
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
    monkeypatch.setattr("common.rows.json_rows.READ_CHARS", 3)
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


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    """The same 200 MB of rows in each layout that a reader must not hold at once."""
    folder = tmp_path_factory.mktemp("big")
    texts = [f"{number} " + "a line of ordinary text, " * 40 for number in range(1000)]
    lines = [json.dumps({"n": number, "text": text}) for number, text in enumerate(texts)]
    for name, before, between, after in [("lines.jsonl", "", "\n", "\n"), ("one_line.json", "[", ",", "]")]:
        with open(folder / name, "w", encoding="utf-8") as file:
            file.write(before + between.join(between.join(lines) for _ in range(200)) + after)
    batch = pa.table({"n": range(1000), "text": texts})
    many = pa.concat_tables([batch] * 200)
    # One group of rows, as pandas writes it, and without the dictionary that would make it tiny.
    pq.write_table(many, folder / "one_group.parquet", use_dictionary=False, compression="none")
    with pa.ipc.new_stream(folder / "batches.arrow", batch.schema) as stream:
        stream.write_table(many)
    return folder


def grown(code: str) -> tuple[str, int]:
    """What a process prints, and by how many MB its memory grew at most over what the imports took."""
    code = f"""
import resource
from common.rows import read_rows, write_rows
from common.errors import CommonError
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
{textwrap.dedent(code)}
print((peak() - before) // 1024)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, _, megabytes = run.stdout.strip().rpartition("\n")
    return said, int(megabytes)


@pytest.mark.parametrize("name", ["lines.jsonl", "one_line.json", "one_group.parquet", "batches.arrow"])
def test_200_megabytes_are_read_in_less_than_80(big, name):
    assert (big / name).stat().st_size > 190e6
    said, megabytes = grown(f"print(sum(1 for _ in read_rows({str(big / name)!r})))")
    assert said == "200000" and megabytes < 80


def test_200_megabytes_are_written_as_a_table_in_less_than_80(big, tmp_path):
    rows, out = f"read_rows({str(big / 'lines.jsonl')!r})", str(tmp_path / "out.parquet")
    said, megabytes = grown(f"print(write_rows({out!r}, {rows}))")
    assert said == "200000" and megabytes < 80


def test_an_array_broken_at_its_start_is_not_read_to_its_end(big, tmp_path):
    text = (big / "one_line.json").read_text(encoding="utf-8")
    (tmp_path / "broken.json").write_text(text[:5000] + '"' + text[5000:], encoding="utf-8")
    path = str(tmp_path / "broken.json")
    said, megabytes = grown(f"""
        try:
            list(read_rows({path!r}))
        except CommonError as error:
            print(error)
    """)
    assert "broken.json, line 1 (row 4): not JSON" in said and megabytes < 80


@pytest.mark.parametrize("whole", [True, False])
def test_a_run_killed_while_it_swaps_two_folders_loses_neither_nor_what_is_not_its_own(tmp_path, whole):
    write_rows(tmp_path / "out", [{"n": 1}])
    write_rows(tmp_path / "mine", [{"mine": 1}])
    os.rename(tmp_path / "mine", tmp_path / "out.old")
    os.rename(tmp_path / "out", tmp_path / "out.old.part")
    with (
        pytest.raises(ZeroDivisionError) if not whole else contextlib.nullcontext(),
        RowWriter(tmp_path / "out") as file,
    ):
        file.write({"n": 2 / whole})
    assert list(read_rows(tmp_path / "out")) == [{"n": 2 if whole else 1}]
    assert sorted(os.listdir(tmp_path)) == ["out", "out.old"]
    assert list(read_rows(tmp_path / "out.old")) == [{"mine": 1}]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EFBIG, errno.EIO])
@pytest.mark.parametrize("ending", TEXT_FORMATS + TABLE_FORMATS)
def test_a_disk_that_fails_at_the_last_moment_leaves_the_old_file(tmp_path, monkeypatch, ending, code):
    path = tmp_path / f"out{ending}"
    write_rows(path, [{"n": 1}])

    def fail(_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(CommonError, match="free some space" if code == errno.ENOSPC else "nothing was changed"):
        write_rows(path, [{"n": 2}])
    assert list(read_rows(path)) == [{"n": 1}] and os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("ending", TEXT_FORMATS + TABLE_FORMATS)
def test_a_full_disk_leaves_the_old_file(tmp_path, ending):
    path = tmp_path / f"out{ending}"
    write_rows(path, [{"text": "old"}])
    code = f"""
        import random, resource
        from common.rows import write_rows
        from common.program import run_main
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        run_main(lambda: write_rows({str(path)!r}, ({{"text": random.randbytes(999).hex()}} for _ in range(3000))))
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert run.returncode == 1 and run.stderr.count("\n") == 1 and f"{path}: cannot be written" in run.stderr
    assert list(read_rows(path)) == [{"text": "old"}] and os.listdir(tmp_path) == [path.name]


def test_outputs_that_would_swallow_folders_are_refused(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for path in ("", ".", "..", "/", tmp_path):
        with pytest.raises(BadInput, match="holds the folder you are in"):
            write_rows(path, [{"n": 1}])
    (tmp_path / "results").mkdir()
    write_rows(tmp_path / "results", [{"n": 1}])  # an empty one is a place that was made for it
    assert list(read_rows(tmp_path / "results")) == [{"n": 1}]


def test_a_glob_does_not_mean_what_steps_leave_beside_their_outputs(tmp_path):
    write_rows(tmp_path / "a.json", [{"n": 1}])
    for name in ("a.json.manifest.json", "a.json.done.json", "b.json.lock", "b.json.part"):
        (tmp_path / name).write_text('{"not": "a row"}')
    assert list(read_rows(tmp_path / "*")) == [{"n": 1}]


@pytest.mark.parametrize("state", ["{", "{}", "[]"])
@pytest.mark.parametrize("name", ["state.json", "dataset_dict.json"])
def test_a_dataset_folder_with_a_broken_state(tmp_path, name, state):
    (tmp_path / name).write_text(state)
    with pytest.raises(BadInput, match=f"{tmp_path.name}.*(state.json|dataset_dict.json)"):
        list(read_rows(tmp_path))


def test_a_dataset_folder_without_its_file(tmp_path):
    write_rows(tmp_path / "data", [{"n": 1}])
    (tmp_path / "data" / "data-00000-of-00001.arrow").unlink()
    with pytest.raises(BadInput, match="data: cannot be read: .*data-00000-of-00001.arrow"):
        list(read_rows(tmp_path / "data"))


def test_splits_are_of_dataset_folders(tmp_path):
    write_rows(tmp_path / "a.jsonl", [{"n": 1}])
    write_rows(tmp_path / "folder", [{"n": 1}])
    assert list(read_rows(tmp_path / "folder", split="train")) == [{"n": 1}]
    for name in ("a.jsonl", "folder"):
        with pytest.raises(BadInput, match="has no splits|is one split, 'train', not 'test'"):
            list(read_rows(tmp_path / name, split="test"))


def test_lines_in_a_json_file_and_a_dataset_in_a_folder_with_an_ending(tmp_path):
    (tmp_path / "lines.json").write_text('\ufeff\n{"n": 1}\n{"n": "05"}', encoding="utf-8")
    assert list(read_rows(tmp_path / "lines.json")) == [{"n": 1}, {"n": "05"}]
    datasets.Dataset.from_list([{"n": 1}]).save_to_disk(str(tmp_path / "folder.arrow"))
    assert list(read_rows(tmp_path / "folder.arrow")) == [{"n": 1}] and count_rows(tmp_path / "folder.arrow") == 1


@pytest.mark.parametrize("name", ["bad.parquet", "bad.jsonl.gz", "bad.arrow", "bad.json", "bad.jsonl.zst"])
def test_counting_for_the_bar_names_a_broken_file_as_reading_does(tmp_path, name):
    (tmp_path / name).write_bytes(b"[broken")
    for use in (count_rows, read_rows):
        with pytest.raises(BadInput, match=name):
            list(use(tmp_path / name))


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


def test_rows_at_places_bad_ones_and_places_beyond_the_end_included(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"n": 0}\n{broken\n{"n": 2}\n', encoding="utf-8")
    found = rows_at(tmp_path / "rows.jsonl", [2, 1, 7])
    assert sorted(found) == [1, 2] and found[2] == {"n": 2} and isinstance(found[1], BadRow)
