"""Where each row of a step ends, and what is said of it: its file and place, and what an earlier run set aside."""

import re
from datetime import datetime, timezone

import pytest

from common import manifest
from common.errors import BadInput, BadRow, BadValue, CommonError
from common.rows import read_rows, write_rows
from common.step import Step, map_rows, need


def bare(message):
    return re.escape(str(message))


@pytest.fixture
def parts(tmp_path):
    """11 rows in three files; two of the second file, and the last of all, lack what is asked for."""
    rows = [{"m": number} if number in (4, 5, 10) else {"n": number} for number in range(11)]
    for name, some in (("a", rows[:4]), ("b", rows[4:9]), ("c", rows[9:])):
        write_rows(tmp_path / f"part_{name}.jsonl", some)
    return tmp_path / "part_*.jsonl"


@pytest.mark.parametrize("bad, place", [(4, "b.jsonl, row 0"), (5, "b.jsonl, row 1"), (10, "c.jsonl, row 1")])
def test_a_row_that_lacks_something_is_named_by_its_own_file(parts, tmp_path, bad, place):
    with pytest.raises(BadRow, match=bare(f"{place}: no key 'n'; the row has 'm' (--on_bad_row skip sets it aside)")):
        with Step([parts], tmp_path / "out.jsonl") as step:
            map_rows(step, lambda row: {"n": need(row, "n", int)} if row.get("m", bad) == bad else [])


def test_a_line_that_is_no_row_is_named_by_its_line_or_set_aside_as_it_stands(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"n": 0}\n\n{"n": 1\n{"n": 2}\n', encoding="utf-8")
    with pytest.raises(BadRow, match=r"in.jsonl, line 3 \(row 1\)"):
        with Step([tmp_path / "in.jsonl"], tmp_path / "out.jsonl") as step:
            map_rows(step, lambda row: row)
    with Step([tmp_path / "in.jsonl"], tmp_path / "out.jsonl", on_bad_row="skip") as step:
        map_rows(step, lambda row: row)
    (rejected,) = read_rows(tmp_path / "out.jsonl.rejected.jsonl")
    assert (
        rejected["index"] == 1 and rejected["row"].strip() == '{"n": 1' and rejected["reason"].startswith("bad row: ")
    )
    assert "answer" not in rejected


def test_rows_of_all_files_are_numbered_through(parts, tmp_path):
    with Step([parts], tmp_path / "out.jsonl", on_bad_row="skip") as step:
        map_rows(step, lambda row: {"n": need(row, "n", int)})
    assert [row["n"] for row in read_rows(tmp_path / "out.jsonl")] == [0, 1, 2, 3, 6, 7, 8, 9]
    assert [row["index"] for row in read_rows(tmp_path / "out.jsonl.rejected.jsonl")] == [4, 5, 10]


def test_a_number_that_json_does_not_have_is_written_only_where_a_step_says_so(tmp_path):
    write_rows(tmp_path / "in.jsonl", [{"n": 0}, {"n": 1}])
    nan = float("nan")
    with Step([tmp_path / "in.jsonl"], tmp_path / "out.jsonl") as step:
        map_rows(step, lambda row: row | {"score": nan} if row["n"] else row)
    assert list(read_rows(tmp_path / "out.jsonl")) == [{"n": 0}]
    with Step([tmp_path / "in.jsonl"], tmp_path / "out.jsonl", allow_nan=True) as step:
        for index, row in step.rows():
            if row["n"]:
                step.write(row | {"score": nan})
            else:
                step.reject(index, "not this one", row | {"score": nan})
    assert (
        "NaN" in (tmp_path / "out.jsonl").read_text() and "NaN" in (tmp_path / "out.jsonl.rejected.jsonl").read_text()
    )


def test_a_run_that_fails_leaves_what_an_earlier_one_set_aside(tmp_path):
    write_rows(tmp_path / "in.jsonl", [{"n": 0}, {"n": 1}])
    with Step([tmp_path / "in.jsonl"], tmp_path / "out.jsonl", on_bad_row="skip") as step:
        map_rows(step, lambda row: {"n": need(row, "n" if row["n"] else "m", int)})
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for rejects in (0, 1):
        with pytest.raises(ZeroDivisionError):
            with Step([tmp_path / "in.jsonl"], tmp_path / "out.jsonl") as step:
                for index, row in step.rows():
                    step.reject(index, "why", row) if rejects else step.write(row)
                    raise ZeroDivisionError
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_one_file_may_be_read_twice(tmp_path):
    write_rows(tmp_path / "in.jsonl", [{"n": 0}])
    with Step([tmp_path / "in.jsonl"] * 2, tmp_path / "out.jsonl", reads=[tmp_path / "in.jsonl"]) as step:
        map_rows(step, lambda row: row)
    assert list(read_rows(tmp_path / "out.jsonl")) == [{"n": 0}]


def test_an_input_without_rows_is_said(tmp_path):
    (tmp_path / "in.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(BadInput, match="in.jsonl: has no rows"):
        with Step([tmp_path / "in.jsonl"], tmp_path / "out.jsonl") as step:
            map_rows(step, lambda row: row)


def test_a_side_output_that_cannot_be_written_is_said_before_the_first_row(tmp_path):
    write_rows(tmp_path / "in.jsonl", [{"n": 0}])
    (tmp_path / "side.json").mkdir()
    with pytest.raises(CommonError, match="side.json: exists and is not"):
        with Step([tmp_path / "in.jsonl"], tmp_path / "out.jsonl", writes=[tmp_path / "side.json"]) as step:
            map_rows(step, lambda row: pytest.fail("too late"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "side.json"]


def test_the_last_line_and_the_manifest_tell_what_became_of_the_rows(tmp_path, capsys):
    def double_or_not(row):
        if row["n"] == 1:
            raise BadValue("one")
        return [row, row] if row["n"] == 2 else row

    write_rows(tmp_path / "in.jsonl", [{"n": number} for number in range(3)])
    began = datetime.now(timezone.utc).replace(microsecond=0, tzinfo=None)
    with Step([tmp_path / "in.json*"], tmp_path / "out.jsonl", on_bad_row="skip", settings={"rate": 2}) as step:
        step.counts["looked at twice"] += 1000
        map_rows(step, double_or_not)
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(
        f"{tmp_path}/out.jsonl: 3 rows in, 2 done (3 rows written), 1,000 looked at twice, 1 rejected"
    )
    assert re.search(r"\(see out\.jsonl\.rejected\.jsonl\), \d+\.\d s$", said)
    facts = manifest.read(tmp_path / "out.jsonl")
    assert facts["arguments"] == {"rate": 2} and facts["globs"] == ["./in.json*"] and facts["rows_written"] == 3
    assert 0 <= facts["seconds"] < 60
    assert 0 <= (datetime.strptime(facts["started"], "%Y-%m-%dT%H:%M:%SZ") - began).total_seconds() < 60
    with Step([tmp_path / "in.jsonl"], tmp_path / "out.jsonl") as step:
        map_rows(step, lambda row: row)
    assert re.search(r"out\.jsonl: 3 rows in, 3 done, \d+\.\d s$", capsys.readouterr().err.strip())
    assert list(manifest.read(tmp_path / "out.jsonl")["outputs"]) == [str(tmp_path / "out.jsonl")]
