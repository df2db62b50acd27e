"""Tables keep the types of columns; cut streams and odd columns are named; what a format cannot hold is refused."""

import base64
import json
import os
import pickle
import sys
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common.errors import BadInput, CommonError, Reject, UnwritableRow
from common.rows import RowWriter, count_rows, dump_row, read_rows, scan_rows, schema_of, write_rows
from common.step import Step, map_rows

ENDINGS = (".parquet", ".arrow", "")

TYPES = pa.table(
    {
        "int32": pa.array([1, None], pa.int32()),
        "uint64": pa.array([2**64 - 1, 0], pa.uint64()),
        "float32": pa.array([0.5, float("nan")], pa.float32()),
        "map": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int32())),
        "time": pa.array([datetime(2026, 1, 2, tzinfo=timezone.utc), None], pa.timestamp("ms", tz="UTC")),
        "words": pa.array(["x", "y"]).dictionary_encode(),
        "large": pa.array(["中", None], pa.large_string()),
        "nothing": pa.array([None, None], pa.int8()),
        "inside": pa.array([{"a": [1]}, {"a": None}], pa.struct([("a", pa.list_(pa.int16()))])),
        "bytes": pa.array([b"\x00\xff", b""], pa.binary()),
    }
)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_the_types_of_a_table_are_kept_for_the_next(tmp_path, monkeypatch, ending, batch):
    monkeypatch.setattr("common.rows.tables.BATCH_ROWS", batch)
    pq.write_table(TYPES, tmp_path / "in.parquet")
    rows = [row | {"new": "x"} for row in read_rows(tmp_path / "in.parquet")]
    write_rows(tmp_path / f"out{ending}", rows, schema=schema_of(tmp_path / "in.parquet"))
    back = schema_of(tmp_path / f"out{ending}")
    assert {name: back.field(name).type for name in TYPES.column_names} == {
        name: TYPES.schema.field(name).type for name in TYPES.column_names
    }
    assert back.field("new").type == pa.string() and back.names == [*TYPES.column_names, "new"]
    assert repr(list(read_rows(tmp_path / f"out{ending}"))) == repr(rows)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "kind, value",
    [
        (pa.int32(), 0.5),
        (pa.int32(), 2**40),
        (pa.int32(), "text"),
        (pa.float32(), 0.1),
        (pa.string(), 5),
        (pa.binary(), "text"),
        (pa.struct([("a", pa.int64())]), {"a": 1, "b": 2}),
        (pa.timestamp("s"), datetime(2026, 1, 1, 1, 1, 1, 5)),
        (pa.date32(), datetime(2026, 1, 1, 1, 1)),
        (pa.bool_(), 1),
    ],
)
def test_a_value_that_a_kept_type_would_change_gets_another_type(tmp_path, ending, kind, value):
    write_rows(tmp_path / f"out{ending}", [{"a": value}], schema=pa.schema({"a": kind, "not there": pa.int8()}))
    assert list(read_rows(tmp_path / f"out{ending}")) == [{"a": value}]


def test_types_of_several_tables_and_of_what_has_none(tmp_path):
    pq.write_table(pa.table({"a": pa.array([1], pa.int8())}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": pa.array([1], pa.int32()), "b": ["x"]}), tmp_path / "2.parquet")
    assert schema_of(tmp_path / "*.parquet") == pa.schema({"a": pa.int32(), "b": pa.string()})
    pq.write_table(pa.table({"a": ["x"]}), tmp_path / "3.parquet")
    assert schema_of(tmp_path / "*.parquet") is None
    write_rows(tmp_path / "4.jsonl", [{"a": 1}])
    assert schema_of(tmp_path / "4.jsonl") is schema_of(tmp_path / "[14]*") is None
    datasets.disable_progress_bars()
    both = datasets.DatasetDict(
        train=datasets.Dataset.from_list([{"a": 1}]), test=datasets.Dataset.from_list([{"b": 1}])
    )
    both.save_to_disk(str(tmp_path / "both"))
    assert schema_of(tmp_path / "both", split="test").names == ["b"]
    with pytest.raises(BadInput, match="train, test"):
        schema_of(tmp_path / "both")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(BadInput, match="bad.parquet: cannot be read"):
        schema_of(tmp_path / "bad.parquet")


def test_what_has_no_schema_is_not_waited_for(tmp_path):
    for ending in (".parquet", ".arrow"):
        os.mkfifo(tmp_path / f"fifo{ending}")
        assert schema_of(tmp_path / f"fifo{ending}") is None


def test_a_folder_with_one_split_needs_no_name_and_one_with_two_does(tmp_path):
    datasets.disable_progress_bars()
    rows = datasets.Dataset.from_list([{"n": 1}])
    for splits in (["train"], ["test"], ["train", "test"]):
        path = tmp_path / "_".join(splits)
        datasets.DatasetDict({split: rows for split in splits}).save_to_disk(str(path))
        for split in splits:
            assert list(read_rows(path, split=split)) == [{"n": 1}]
        if len(splits) == 1:
            assert list(read_rows(path)) == [{"n": 1}] and count_rows(path) == 1
        else:
            with pytest.raises(BadInput, match="train_test: name one of its splits with --split: train, test"):
                list(read_rows(path))
        with pytest.raises(BadInput, match=f"name one of its splits with --split: {', '.join(splits)}"):
            list(read_rows(path, split="validation"))


@pytest.mark.parametrize("ending", (".parquet", ".arrow"))
def test_a_bad_cell_far_down_is_named_with_its_row(tmp_path, ending):
    column = pa.array([b"good"] * 2500 + [b"\xff", b"good"]).view(pa.string())
    table = pa.table({"a": column})
    if ending == ".parquet":
        pq.write_table(table, tmp_path / "in.parquet", row_group_size=700)
    else:
        with pa.ipc.new_stream(tmp_path / "in.arrow", table.schema) as stream:
            stream.write_table(table, max_chunksize=1700)
    rows = list(scan_rows(tmp_path / f"in{ending}"))
    assert len(rows) == 2502 and [row.index for row in rows if not isinstance(row, dict)] == [2500]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_column_of_two_types_is_named(tmp_path, ending):
    with pytest.raises(CommonError, match=f"out{ending}: cannot be written: column 'a': .*; .jsonl holds any mixture"):
        write_rows(tmp_path / f"out{ending}", [{"b": 1, "a": 1}, {"b": 1, "a": "x"}])


def parts_of(file: pa.OSFile) -> list[int]:
    reader = pa.ipc.open_stream(file)
    return [file.tell()] + [file.tell() for _ in reader]


@pytest.mark.parametrize("rows_a_batch", [1, 7, 1000])
def test_an_arrow_stream_that_is_cut_anywhere_is_never_taken_for_whole(tmp_path, rows_a_batch):
    # Values whose last buffer ends like the end mark itself.
    table = pa.table({"a": pa.array([-1] * 21, pa.int32())})
    with pa.ipc.new_stream(tmp_path / "in.arrow", table.schema) as stream:
        stream.write_table(table, max_chunksize=rows_a_batch)
    whole = (tmp_path / "in.arrow").read_bytes()
    assert len(list(read_rows(tmp_path / "in.arrow"))) == 21
    with pa.OSFile(str(tmp_path / "in.arrow")) as file:
        borders = parts_of(file)
    for at in sorted({*borders, *range(0, len(whole), 13), *range(len(whole) - 9, len(whole))}):
        (tmp_path / "in.arrow").write_bytes(whole[:at])
        with pytest.raises(BadInput, match="in.arrow: cannot be read"):
            list(read_rows(tmp_path / "in.arrow"))
    (tmp_path / "in.arrow").write_bytes(whole[:-8] + b"\0\0\0\0")  # the end mark of before 2019
    assert len(list(read_rows(tmp_path / "in.arrow"))) == 21
    (tmp_path / "in.arrow").write_bytes(whole + b"more")
    with pytest.raises(BadInput, match="no end mark"):
        list(read_rows(tmp_path / "in.arrow"))


def test_a_dataset_folder_that_lost_rows_is_named(tmp_path):
    write_rows(tmp_path / "out", [{"n": n} for n in range(2500)])
    data = tmp_path / "out" / "data-00000-of-00001.arrow"
    with pa.ipc.new_stream(data, pa.schema({"n": pa.int64()})) as stream:
        stream.write_table(pa.table({"n": range(2499)}))
    with pytest.raises(BadInput, match="out: 2,499 rows in its files, expected 2,500"):
        list(read_rows(tmp_path / "out"))


@pytest.mark.parametrize("ending", ENDINGS)
def test_columns_of_one_name_are_refused_and_not_lost(tmp_path, ending):
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], names=["prompt", "note", "note"])
    path = tmp_path / f"in{ending}"
    if ending == ".parquet":
        pq.write_table(table, path)
    else:
        if ending == "":
            write_rows(path, [{"n": 1}])
        with pa.ipc.new_stream(path / "data-00000-of-00001.arrow" if ending == "" else path, table.schema) as stream:
            stream.write_table(table)
    with pytest.raises(BadInput, match="in.*: cannot be read: column 'note' is there twice"):
        list(read_rows(path))


UNWRITABLE = {
    "a lone surrogate": (ENDINGS, {"a": "x\ud800"}, "'a' holds half a surrogate pair"),
    "a lone surrogate in a list": (ENDINGS, {"a": ["x", {"b": ("\udfff",)}]}, "'a' holds half a surrogate pair"),
    "a lone surrogate in a key inside": (ENDINGS, {"a": {"\ud800": 1}}, "'a' holds half a surrogate pair"),
    "a lone surrogate in a key": (ENDINGS, {"a\ud800": 1}, "holds half a surrogate pair"),
    "a number of 64 bits": (ENDINGS, {"a": 2**63}, "'a' holds a number of more than 64 bits"),
    "a negative number of 64 bits": (ENDINGS, {"a": [-(2**63) - 1]}, "'a' holds a number of more than 64 bits"),
    "NaN": ((".json", ".jsonl", ".jsonl.gz"), {"a": float("nan")}, "Out of range float values"),
    "a set": ((".json", ".jsonl"), {"a": {1}}, "a set has no form in JSON"),
    "a key of two parts": ((".json", ".jsonl"), {(1, 2): 1}, "keys must be str"),
}


@pytest.mark.parametrize("name", UNWRITABLE)
def test_a_row_that_a_format_cannot_hold_is_refused_and_the_others_are_written(tmp_path, name):
    endings, row, problem = UNWRITABLE[name]
    for ending in endings:
        path = tmp_path / f"out{ending}"
        with RowWriter(path) as writer:
            writer.write({"a": None})
            with pytest.raises(UnwritableRow, match=f"out{ending}: row 1 cannot be written: .*") as refused:
                writer.write(row)
            assert problem in refused.value.reason
            with pytest.raises(UnwritableRow, match="row 2 cannot be written"):
                writer.write({"a": None}, row, {"a": None})  # all or none
            assert writer.count == 1
            writer.write({"a": None}, {"a": None})
        assert list(read_rows(path)) == [{"a": None}] * 3 and writer.count == 3
        copy = pickle.loads(pickle.dumps(refused.value))  # noqa: S301
        assert (str(copy), copy.reason, copy.index) == (str(refused.value), refused.value.reason, 1)


def test_numbers_that_are_none_are_written_only_if_asked(tmp_path):
    nan = [{"a": float("nan")}]
    with pytest.raises(UnwritableRow, match="row 0 cannot be written: Out of range"):
        write_rows(tmp_path / "out.jsonl", nan)
    write_rows(tmp_path / "out.jsonl", nan, allow_nan=True)
    assert repr(list(read_rows(tmp_path / "out.jsonl", allow_nan=True))) == repr(nan)


def test_a_number_of_64_bits_in_a_column_that_has_them_does_not_hide_what_comes_after(tmp_path):
    with RowWriter(tmp_path / "out.parquet", schema=pa.schema({"id": pa.uint64()})) as writer:
        writer.write({"id": 2**64 - 1, "a": "x"})
        for bad in ({"id": 2**63, "a": "\ud800"}, {"id": 2**63, "b": 2**63}):
            with pytest.raises(UnwritableRow):
                writer.write(bad)
    assert list(read_rows(tmp_path / "out.parquet")) == [{"id": 2**64 - 1, "a": "x"}]


def test_the_largest_and_smallest_numbers_of_64_bits_are_written(tmp_path):
    rows = [{"a": 2**63 - 1}, {"a": -(2**63)}]
    write_rows(tmp_path / "out.parquet", rows)
    assert list(read_rows(tmp_path / "out.parquet")) == rows


def test_what_tables_hold_and_json_does_not_has_one_form_in_it(tmp_path):
    values = {
        "datetime": datetime(2026, 11, 20, 12, 30, tzinfo=timezone.utc),
        "date": date(2026, 11, 20),
        "time": time(12, 30, 1),
        "span": timedelta(days=1, seconds=2),
        "decimal": Decimal("1.50"),
        "bytes": b"\x00\xff",
        "id": uuid.UUID(int=5),
        "list": [b"a", (b"b",)],
    }
    assert json.loads(dump_row(values)) == {
        "datetime": "2026-11-20T12:30:00+00:00",
        "date": "2026-11-20",
        "time": "12:30:01",
        "span": "1 day, 0:00:02",
        "decimal": "1.50",
        "bytes": base64.b64encode(b"\x00\xff").decode(),
        "id": "00000000-0000-0000-0000-000000000005",
        "list": ["YQ==", ["Yg=="]],
    }
    with pytest.raises(TypeError, match="a complex has no form in JSON; write .parquet instead"):
        dump_row({"a": 1j})


@pytest.mark.parametrize("ending", (".jsonl", *ENDINGS))
def test_a_row_of_any_types_can_be_set_aside(tmp_path, ending):
    pq.write_table(TYPES, tmp_path / "in.parquet")

    def judge(row: dict) -> dict:
        if row["int32"] == 1:
            raise Reject("the first")
        return row

    for on_bad_row in ("stop", "skip"):
        with Step([tmp_path / "in.parquet"], tmp_path / f"out{ending}", on_bad_row=on_bad_row, allow_nan=True) as step:
            map_rows(step, judge)
        (rejected,) = read_rows(tmp_path / f"out{ending}.rejected.jsonl")
        assert rejected["row"]["bytes"] == "AP8=" and rejected["row"]["time"] == "2026-01-02T00:00:00+00:00"


def test_a_lone_surrogate_is_the_fault_of_one_row_and_not_of_a_run(tmp_path):
    write_rows(tmp_path / "in.jsonl", [{"a": "x"}, {"a": "\ud800"}, {"a": "y"}])
    for ending in ENDINGS:
        with Step([tmp_path / "in.jsonl"], tmp_path / f"out{ending}") as step:
            map_rows(step, lambda row: row)
        assert list(read_rows(tmp_path / f"out{ending}")) == [{"a": "x"}, {"a": "y"}]
        (rejected,) = read_rows(tmp_path / f"out{ending}.rejected.jsonl")
        assert (rejected["index"], rejected["row"]) == (1, {"a": "\ud800"}) and "surrogate" in rejected["reason"]


def at_depth(calls: int, function):
    return at_depth(calls - 1, function) if calls else function()


def test_a_row_that_could_be_read_can_be_written_deeper_in_the_program(tmp_path):
    limit = sys.getrecursionlimit()
    depth = next(n for n in range(900, 100, -1) if readable(n, tmp_path))
    (row,) = read_rows(tmp_path / "in.jsonl")
    at_depth(100, lambda: write_rows(tmp_path / "out.jsonl", [row]))
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "in.jsonl").read_bytes() and depth > 300
    with RowWriter(tmp_path / "out.jsonl") as writer:
        while True:
            row = {"a": row}
            try:
                writer.write(row)
            except UnwritableRow as refused:
                assert "recursion" in refused.reason
                break
    assert sys.getrecursionlimit() == limit


def readable(depth: int, folder: Path) -> bool:
    (folder / "in.jsonl").write_bytes(b'{"a": ' + b"[" * depth + b"]" * depth + b"}\n")
    try:
        list(read_rows(folder / "in.jsonl"))
    except BadInput:
        return False
    return True


@pytest.mark.parametrize("ending", (".jsonl", ".jsonl.gz", ".jsonl.zst", ".json", *ENDINGS))
def test_counting_agrees_with_reading(tmp_path, ending):
    for count in (0, 1, 999, 1000, 1001):
        write_rows(tmp_path / f"out{ending}", [{"n": n} for n in range(count)])
        assert count_rows(tmp_path / f"out{ending}") == count == len(list(read_rows(tmp_path / f"out{ending}")))


def test_counting_a_file_without_a_last_line_end(tmp_path):
    for text, count in [("", 0), ("{}", 1), ("{}\n", 1), ("{}\n{}", 2)]:
        (tmp_path / "in.jsonl").write_text(text, encoding="utf-8")
        assert count_rows(tmp_path / "in.jsonl") == count


@pytest.mark.parametrize("blanks", [0, 1, 4095, 4096, 5000, (1 << 20) - 1, 1 << 20, 3_000_000])
def test_an_array_is_known_behind_any_number_of_blanks(tmp_path, blanks):
    for mark in ("", "\ufeff"):
        (tmp_path / "in.json").write_text(mark + " " * blanks + '[{"n": 1}]', encoding="utf-8")
        assert list(read_rows(tmp_path / "in.json")) == [{"n": 1}]


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 7, 1 << 20])
def test_elements_that_will_not_do_are_passed_over_wherever_chunks_end(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr("common.rows.json_rows.READ_CHARS", chunk)
    deep = "[" * 1500 + '"]\\"[\\\\"' + ", {}" + "]" * 1500
    digits = "9" * 5000
    (tmp_path / "in.json").write_text(
        f'[{{"n": 1}}, {deep}, {{"]}}": {digits}}},\n{digits}, -{digits} , {{"n": 2}}, {digits}, {deep}]',
        encoding="utf-8",
    )
    rows = list(scan_rows(tmp_path / "in.json"))
    assert [row if isinstance(row, dict) else (row.index, row.line, row.problem.split(";")[0]) for row in rows] == [
        {"n": 1},
        (1, 1, "nested too deeply"),
        (2, 1, "a number of more than 4300 digits"),
        (3, 2, "a number of more than 4300 digits"),
        (4, 2, "a number of more than 4300 digits"),
        {"n": 2},
        (6, 2, "a number of more than 4300 digits"),
        (7, 2, "nested too deeply"),
    ]
    assert rows[1].raw == deep[:2000] and rows[3].raw == digits[:2000]
