"""The card and LLaMA-Factory's entry beside each method's data, read back by those who read them."""

import json

import pytest
import yaml
from datasets import load_dataset

from common import dataset_card
from common.errors import CommonError
from common.rows import write_rows
from common.step import Step, map_rows
from tests.in_process import run_program

PAIR = {"instruction": "Add 17 and 25.", "input": "", "output": "42", "ifd_ppl": 0.5, "note": None}
TURNS = [{"role": "user", "content": "How old is the river?"}, {"role": "assistant", "content": "Nobody knows."}]
SHAREGPT = [{"from": "human", "value": "How old is the river?"}, {"from": "gpt", "value": "Nobody knows that."}]
CASES = {
    "superfiltering": (PAIR, {"prompt": "instruction", "query": "input", "response": "output"}),
    "web_to_sft": ({"instruction": "3+4=?", "output": "7"}, {"prompt": "instruction", "response": "output"}),
    "augcon": (
        {"question": "河水多深？", "answer": "大约三米，夏天更浅。"},
        {"prompt": "question", "response": "answer"},
    ),
    "webr": ({"prompt_id": "a", "messages": TURNS}, {"messages": "messages"}),
    "edu_filter": ({"body": "La fotosíntesis es un proceso de las plantas.", "score": 3.4}, {"prompt": "body"}),
}


def made(folder, rows, name="data.jsonl", convert=dict, **settings):
    write_rows(folder / "in.jsonl", rows)
    with Step([folder / "in.jsonl"], folder / name, settings=settings, on_bad_row="stop") as step:
        map_rows(step, convert)
    return folder / name


def card_of(method, path):
    run_program(dataset_card, "--method", method, "--data_path", path)
    text = path.with_name("README.md").read_text(encoding="utf-8")
    return yaml.safe_load(text.split("---\n")[1]), text


@pytest.mark.parametrize("method", CASES)
@pytest.mark.parametrize("name", ["data.jsonl", "data.json", "data.parquet", "data"])
def test_the_hub_and_llama_factory_find_the_data(tmp_path, method, name):
    row, columns = CASES[method]
    output = made(tmp_path, [row] * 3, name, text_column="body")
    head, text = card_of(method, output)
    assert head["size_categories"] == ["n<1K"] and "\n3 " in text and "| step" in text
    assert all(f"| `{key}` |" in text for key in row)
    loaded = load_dataset(str(tmp_path), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.num_rows == 3 and set(loaded.column_names) == set(row)
    entry = json.loads((tmp_path / "dataset_info.json").read_text())["data"]
    assert (tmp_path / entry["file_name"]).exists() and entry["columns"] == columns


def test_turns_in_sharegpts_form_and_the_language_of_the_rows(tmp_path):
    output = made(
        tmp_path, [{"conversations": SHAREGPT}] * 60 + [{"conversations": [{"from": "human", "value": "你好吗"}]}]
    )
    head, _ = card_of("superfiltering", output)
    entry = json.loads((tmp_path / "dataset_info.json").read_text())["data"]
    assert entry == {"file_name": "data.jsonl", "formatting": "sharegpt", "columns": {"messages": "conversations"}}
    assert head["language"] == ["en"]  # one row of 61 is no language of the data


def test_what_is_yours_stays(tmp_path):
    output = made(tmp_path, [PAIR])
    (tmp_path / "README.md").write_text("# mine\n")
    (tmp_path / "dataset_info.json").write_text('{"mine": {"file_name": "mine.json"}}')
    for _ in "12":
        run_program(dataset_card, "--method", "superfiltering", "--data_path", output)
    assert (tmp_path / "README.md").read_text() == "# mine\n"
    assert "# data\n" in (tmp_path / "data.README.md").read_text()
    assert list(json.loads((tmp_path / "dataset_info.json").read_text())) == ["mine", "data"]


def test_data_of_unknown_origin_and_no_rows(tmp_path):
    write_rows(tmp_path / "foreign.jsonl", [PAIR])
    with pytest.raises(CommonError, match="no manifest"):
        run_program(dataset_card, "--method", "webr", "--data_path", tmp_path / "foreign.jsonl")
    head, text = card_of("augcon", made(tmp_path, [PAIR], convert=lambda row: []))
    assert "language" not in head and "\n0 questions" in text
