"""Bad rows and bad files in every format, through a Step without a server: place, found, expected."""

import json
from pathlib import Path

import pytest

from common.errors import BadInput, BadRow
from common.rows import read_rows, write_rows
from common.step import Step, map_rows
from tests.common import bad_files
from tests.common.bad_files import left_over


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
