"""Step 5: which rows become training data, in what order and under what names, and what it writes beside them."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from common.errors import CommonError
from common.rows import read_rows, write_rows
from tests.common.scripted_server import ok, scripted_server
from tests.webr.conftest import rejected
from webr import (
    step3_make_responses,
    step5_postprocess,
)

DATA = Path(__file__).parents[1] / "data" / "webr"


def test_filter_and_near_duplicates_as_released(tmp_path, run):
    case = json.loads((DATA / "requests.json").read_text(encoding="utf-8"))
    write_rows(tmp_path / "in.json", case["rows"])
    words = ["--tokenizer_model_name", DATA / "tokenizer", "--save_name", tmp_path / "out", "--paper_exact"]
    run(step5_postprocess, "--WI_data_paths", tmp_path / "in.json", *words)
    gone = {entry["index"]: entry["reason"] for entry in rejected(tmp_path / "out.jsonl")}
    left = [n for n in range(len(case["rows"])) if gone.get(n) in (None, "near-duplicate request")]
    assert left == case["after_pattern_filter"]
    assert [n for n in left if n not in gone] == case["after_minhash"]
    assert sum(1 for _ in read_rows(tmp_path / "out.jsonl")) == len(case["after_minhash"])


def test_near_duplicates_name_the_row_they_repeat(tmp_path, run):
    case = json.loads((DATA / "requests.json").read_text(encoding="utf-8"))
    rows = [row | {"response": f"Answer to {n}."} for n, row in enumerate(case["rows"]) if row["request"]]
    write_rows(tmp_path / "in.json", rows)
    words = ["--tokenizer_model_name", DATA / "tokenizer", "--save_name", tmp_path / "out", "--any_language"]
    run(step5_postprocess, "--WI_data_paths", tmp_path / "in.json", *words, "--min_response_chars", 0)
    repeats = [entry for entry in rejected(tmp_path / "out.jsonl") if entry["reason"] == "near-duplicate request"]
    gone = {entry["index"] for entry in rejected(tmp_path / "out.jsonl")}
    assert len(repeats) > 50
    for entry in repeats:
        first = entry["row"]["repeats"]
        assert first < entry["index"] and first not in gone
        assert entry["row"]["repeated_request"] == rows[first]["request"]


def test_the_row_that_is_repeated_is_known_among_both_sides_and_refused_rows(postprocess, tmp_path):
    rows = refined_rows(6, "WR", 100) + refined_rows(8, "WI")
    rows[0]["response"] = rows[6]["response"] = ""
    rows[13] = rows[13] | {"request": rows[9]["request"].upper() + "!"}
    postprocess(rows)
    (entry,) = [entry for entry in rejected(tmp_path / "out.jsonl") if entry["reason"] == "near-duplicate request"]
    assert entry["index"] == 13 and entry["row"]["repeats"] == 9
    assert entry["row"]["repeated_request"] == rows[9]["request"]


def test_the_rows_that_are_kept_are_drawn_and_not_the_first(postprocess, tmp_path):
    def not_kept(seed):
        postprocess(rows, "--save_num", 30, "--seed", seed)
        return {entry["index"] for entry in rejected(tmp_path / "out.jsonl")}

    rows = refined_rows(40, "WI") + refined_rows(20, "WR", 100)
    for side in (range(40), range(40, 60)):
        drawn = [not_kept(seed) & {*side} for seed in (1, 1, 2)]
        assert drawn[0] == drawn[1] != drawn[2] and drawn[0] != {*side[len(side) // 2 :]}


def refined_rows(count: int, side: str, start: int = 0) -> list[dict]:
    subject = "river bread clock violin harbour pepper ladder window engine garden letter mirror".split()
    rows = []
    for n in range(start, start + count):
        topic = " ".join(subject[(n * k + k) % len(subject)] for k in range(1, 6)) + f" {n} {n * 7919}"
        row = {"webpage": f"The page about the {topic} and what is known of it.", "lang": "en", "kind": f"{side}_all"}
        row |= {"request": f"Explain {topic} {n + 1} to the {n * 31} children.", "section": f"The {topic}."}
        rows.append(row | {"response": f"This is the answer to the request about {topic}, in short words."})
    return rows


@pytest.fixture
def postprocess(tmp_path, run):
    def process(rows, *words):
        write_rows(tmp_path / "in.jsonl", rows)
        both = ["--WI_data_paths", tmp_path / "in.jsonl", "--WR_data_paths", tmp_path / "in.jsonl"]
        run(step5_postprocess, *both, "--save_name", tmp_path / "out", *words)
        out, aside = list(read_rows(tmp_path / "out.jsonl")), rejected(tmp_path / "out.jsonl")
        assert len(out) + len(aside) == len(rows)
        return out, Counter(entry["reason"] for entry in aside)

    return process


def test_exactly_as_many_rows_as_asked(postprocess, capsys):
    out, reasons = postprocess(refined_rows(30, "WI") + refined_rows(20, "WR", 100), "--save_num", 31)
    assert len(out) == 31 and reasons == {"not needed": 19}
    assert sum("section" in str(row) or "\n\n" in row["messages"][0]["content"] for row in out) == 21
    assert "31 rows take about 35 pages like these; there were 50" in capsys.readouterr().err


def test_too_few_rows_say_how_many_pages_it_takes(postprocess, tmp_path):
    with pytest.raises(CommonError, match=r"60 rows take about 67 pages like these; there were 50 \(40 WI wanted, 30"):
        postprocess(refined_rows(30, "WI") + refined_rows(20, "WR", 100), "--save_num", 60)
    assert not (tmp_path / "out.jsonl").exists()
    with pytest.raises(CommonError, match="cannot be reached with any number of such pages: 2 WR wanted, 0 accepted"):
        postprocess(refined_rows(30, "WI"), "--save_num", 6)


@pytest.mark.parametrize("words, wi, wr", [((), 30, 15), (("--ratio", "1:1"), 20, 20), (("--ratio", "any"), 30, 20)])
def test_the_ratio_holds_after_filtering(postprocess, words, wi, wr):
    out, _ = postprocess(refined_rows(30, "WI") + refined_rows(20, "WR", 100), *words)
    with_page = sum("\n\n" in row["messages"][0]["content"] for row in out)
    assert (with_page, len(out) - with_page) == (wi, wr)


def test_nothing_left_is_an_error_that_says_why(postprocess, tmp_path):
    rows = [row | {"response": "Sorry, I can't."} for row in refined_rows(3, "WI")]
    with pytest.raises(CommonError, match="no row is left of 3: 3 refusal"):
        postprocess(rows)
    assert not (tmp_path / "out.jsonl").exists()


def test_one_side_alone_has_no_ratio(tmp_path, run):
    write_rows(tmp_path / "in.jsonl", refined_rows(7, "WR"))
    run(step5_postprocess, "--WR_data_paths", tmp_path / "in.jsonl", "--save_name", tmp_path / "out")
    assert len(list(read_rows(tmp_path / "out.jsonl"))) == 7


def test_rows_of_a_side_that_was_not_asked_for_stay_out(tmp_path, run):
    write_rows(tmp_path / "in.jsonl", refined_rows(7, "WI") + refined_rows(5, "WR", 100))
    run(step5_postprocess, "--WI_data_paths", tmp_path / "in.jsonl", "--save_name", tmp_path / "out")
    assert len(list(read_rows(tmp_path / "out.jsonl"))) == 7
    run(step5_postprocess, "--WR_data_paths", tmp_path / "in.jsonl", "--save_name", tmp_path / "wr", "--save_num", 5)
    assert len(list(read_rows(tmp_path / "wr.jsonl"))) == 5
    with pytest.raises(SystemExit):
        run(step5_postprocess, "--WR_data_paths", tmp_path / "in.jsonl", "--save_name", tmp_path / "x", "--save_num", 0)


def test_a_readme_that_is_not_the_card_stays(tmp_path, run):
    (tmp_path / "README.md").write_text("# my project\n")
    write_rows(tmp_path / "in.jsonl", refined_rows(4, "WR"))
    for _ in "12":
        run(step5_postprocess, "--WR_data_paths", tmp_path / "in.jsonl", "--save_name", tmp_path / "out")
    assert (tmp_path / "README.md").read_text() == "# my project\n"
    assert "# out\n" in (tmp_path / "out.README.md").read_text()


def test_each_guard_has_a_reason_and_can_be_turned_off(postprocess):
    rows = refined_rows(12, "WI")
    rows[0]["response"] = "I’m sorry, but I can't help."
    rows[1]["response"] = ""
    rows[2]["request"] = None
    rows[3]["response"] = "这是对请求的回答，用中文写成。" * 3
    rows[4]["response"] = rows[4]["section"] = (
        "It says of the river and the bread that they are old and that nobody knows more."
    )
    rows[5]["response"] = "Short one."
    rows[6]["response"] *= 20
    rows[7] = rows[8] | {"webpage": "Another page.", "request": rows[8]["request"] + " Please"}
    _, reasons = postprocess(rows, "--ratio", "any", "--max_response_chars", 500)
    assert reasons == {
        "refusal": 1,
        "no response": 1,
        "no request": 1,
        "response is in 中文, page in English": 1,
        "response copies the page (over 80% of its 8-grams)": 1,
        "response shorter than 20 characters": 1,
        "response longer than 500 characters": 1,
        "near-duplicate request": 1,
    }
    off = ["--any_language", "--max_copied", 1, "--min_response_chars", 0, "--min_request_chars", 0, "--threshold", 1]
    _, reasons = postprocess(rows, "--ratio", "any", *off)
    assert reasons == {"refusal": 1, "no response": 1, "no request": 1}
    _, reasons = postprocess(rows, "--ratio", "any", *off, "--keep_refusals")
    assert reasons == {"no response": 1, "no request": 1}


def test_a_page_serves_one_side_only_and_across_compares_both(postprocess):
    rows = refined_rows(4, "WI") + refined_rows(4, "WR", 100)
    rows[5]["webpage"] = rows[0]["webpage"]
    rows[6]["request"] = rows[1]["request"]
    _, reasons = postprocess(rows, "--ratio", "any")
    assert reasons == {"page is used for an instruction": 1}
    _, reasons = postprocess(rows, "--ratio", "any", "--across")
    assert reasons == {"page is used for an instruction": 1, "near-duplicate request": 1}


def test_what_the_steps_kept_on_purpose_step_5_does_not_drop(tmp_path, run, capsys):
    rows = [{"webpage": f"page {n}", "section": "s", "kind": "WR_all", "lang": "en"} for n in range(4)]
    rows = [row | {"request": f"{word} {n} it"} for n, (row, word) in enumerate(zip(rows, "ABCD", strict=True))]
    write_rows(tmp_path / "in.jsonl", rows)
    with scripted_server(lambda body, number: ok("I'm sorry, I cannot help with that at all.")) as server:
        words = ["--data_path", tmp_path / "in.jsonl", "--save_path", tmp_path / "out.jsonl", "--base_url", server.url]
        run(step3_make_responses, *words, "--keep_refusals", "--max_repeated", 1)
    finish = ["--WR_data_paths", tmp_path / "out.jsonl", "--save_name", tmp_path / "data", "--min_request_chars", 0]
    run(step5_postprocess, *finish, "--threshold", 1)
    assert "kept refusals, so they stay" in capsys.readouterr().err
    assert len(list(read_rows(tmp_path / "data.jsonl"))) == 4
    with pytest.raises(CommonError, match="4 refusal"):
        run(step5_postprocess, *finish, "--no-keep_refusals")


@pytest.mark.parametrize("content, wrong", [("[1]", "is a list"), ("{", "cannot be read as JSON"), ("3", "is a int")])
def test_a_table_of_data_sets_that_is_none_is_named_before_anything_is_written(tmp_path, run, content, wrong):
    write_rows(tmp_path / "in.jsonl", refined_rows(4, "WR"))
    (tmp_path / "dataset_info.json").write_text(content)
    with pytest.raises(CommonError, match=wrong):
        run(step5_postprocess, "--WR_data_paths", tmp_path / "in.jsonl", "--save_name", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset_info.json", "in.jsonl"]


def test_entries_of_other_data_sets_stay(tmp_path, run):
    write_rows(tmp_path / "in.jsonl", refined_rows(4, "WR"))
    (tmp_path / "dataset_info.json").write_text('{"mine": {"file_name": "mine.json"}}')
    run(step5_postprocess, "--WR_data_paths", tmp_path / "in.jsonl", "--save_name", tmp_path / "out")
    entries = json.loads((tmp_path / "dataset_info.json").read_text())
    assert list(entries) == ["mine", "out"] and entries["mine"] == {"file_name": "mine.json"}


def test_a_parquet_file_of_another_origin_is_not_replaced_and_ours_is(tmp_path, run):
    write_rows(tmp_path / "in.jsonl", refined_rows(4, "WR"))
    words = ["--WR_data_paths", tmp_path / "in.jsonl", "--save_name", tmp_path / "out"]
    write_rows(tmp_path / "out.parquet", [{"mine": 1}])
    with pytest.raises(CommonError, match="out.parquet: is there, and not from this step"):
        run(step5_postprocess, *words)
    assert list(read_rows(tmp_path / "out.parquet")) == [{"mine": 1}]
    (tmp_path / "out.parquet").unlink()
    for _ in "12":
        run(step5_postprocess, *words)
    assert len(list(read_rows(tmp_path / "out.parquet"))) == 4


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_step_5_does_not_write_over_its_input(tmp_path, run, ending):
    source = tmp_path / f"webr.{ending}"
    write_rows(source, refined_rows(4, "WR"))
    before = source.read_bytes()
    with pytest.raises(CommonError):
        run(step5_postprocess, "--WR_data_paths", source, "--save_name", tmp_path / "webr")
    assert source.read_bytes() == before


def test_the_cards_head_cannot_be_changed_by_the_data(tmp_path, run):
    rows = refined_rows(4, "WR")
    rows[0]["lang"] = "en\ntags:\n- evil"
    rows[1]["lang"] = "<script>"
    rows[2]["lang"] = "pt-br"
    write_rows(tmp_path / "in.jsonl", rows)
    words = ["--WR_data_paths", tmp_path / "in.jsonl", "--save_name", tmp_path / "out", "--any_language"]
    run(step5_postprocess, *words)
    head = (tmp_path / "README.md").read_text().split("---\n")[1]
    assert (
        head.startswith("language:\n- en\n- pt-br\ntask_categories:\n") and "evil" not in head and "<script" not in head
    )


def test_whole_step_5_as_released_equals_the_obvious_version(tmp_path, run):
    """Pages used twice, an improved answer, empty texts, refusals: rows, order, names and keys of the released code."""
    wi, wr = refined_rows(9, "WI"), refined_rows(12, "WR", 100)
    for row in wi + wr:
        row["section"] = row["webpage"]
    wr[1]["section"] = wr[2]["section"] = wr[0]["section"]
    wr[3]["section"] = wi[0]["section"]
    wr[4]["response"] = "Improved answer:\n\n---\nThe bread.\n"
    wr[5]["response"], wi[1]["request"], wi[2]["response"] = "", "", "I'm sorry."
    for side, rows in {"wi": wi, "wr": wr}.items():
        write_rows(tmp_path / f"{side}.json", [row | {"webpage": row["section"]} for row in rows])
    words = ["--WI_data_paths", tmp_path / "wi.json", "--WR_data_paths", tmp_path / "wr.json", "--paper_exact"]
    run(step5_postprocess, *words, "--save_name", tmp_path / "out", "--seed", 5, "--save_num", 14)
    random.seed(5)
    wi = [row for row in wi if row["request"] and row["response"] != "I'm sorry."]
    wr = [row for row in wr if row["response"]]
    random.shuffle(wi)
    random.shuffle(wr)
    used, answered = {row["section"] for row in wi}, []
    for row in wr:
        if row["section"] not in used:
            answered.append(row)
            used.add(row["section"])
    parts = [[row["request"], row["section"]][:: 1 if random.uniform(0, 1) > 0.5 else -1] for row in wi]
    prompts = ["\n\n".join(texts) for texts in parts]
    turns = [*zip(prompts, (row["response"] for row in wi), strict=True)]
    turns += [(row["request"], "The bread." if "Improved" in row["response"] else row["response"]) for row in answered]
    expected = [
        {
            "prompt_id": f"web_data_{place}",
            "messages": [{"content": prompt, "role": "user"}, {"content": response, "role": "assistant"}],
        }
        for place, (prompt, response) in enumerate(turns)
    ][:14]
    found = list(read_rows(tmp_path / "out.jsonl"))
    assert found == expected and len(answered) == 8
    assert [list(turn) for row in found for turn in row["messages"]] == [["content", "role"]] * 28


def test_the_output_is_shuffled_and_each_row_keeps_its_response(postprocess):
    rows = refined_rows(30, "WI") + refined_rows(15, "WR", 100)
    out, _ = postprocess(rows)
    order = [next(n for n, row in enumerate(rows) if row["response"] == made["messages"][1]["content"]) for made in out]
    assert sorted(order) == list(range(45))
    sides = ["WI" if number < 30 else "WR" for number in order]
    assert order != sorted(order) and 5 < sum(a != b for a, b in zip(sides, sides[1:], strict=False))
    again, _ = postprocess(rows, "--seed", 1)
    assert [row["prompt_id"] for row in again] != [row["prompt_id"] for row in out]


def test_a_near_duplicate_names_the_row_that_it_repeats(postprocess, tmp_path):
    rows = refined_rows(6, "WI")
    rows[4] = rows[2] | {"webpage": "Another page.", "request": rows[2]["request"].upper()}
    postprocess(rows, "--ratio", "any")
    (entry,) = rejected(tmp_path / "out.jsonl")
    assert (entry["index"], entry["reason"], entry["row"]["repeats"]) == (4, "near-duplicate request", 2)
    assert entry["row"]["repeated_request"] == rows[2]["request"]


@pytest.mark.parametrize(
    "point, response, text",
    [
        ("refusals", "Sorry, I can't do that for you, my friend.", "Sorry, I can't do that for you, my friend."),
        ("notes", "A.\n\nB, the improved answer, is a good one.", "B, the improved answer, is a good one."),
    ],
)
def test_single_points_are_restored_alone(postprocess, point, response, text):
    rows = refined_rows(3, "WR")
    rows[1]["response"] = response
    out, _ = postprocess(rows, "--ratio", "any", "--as_released", point)
    assert len(out) == 3 and text in [row["messages"][1]["content"] for row in out]


def test_bad_rows_stop_the_step_or_are_set_aside(postprocess):
    bad = refined_rows(3, "WI")
    del bad[1]["request"]
    with pytest.raises(CommonError, match=r"in.jsonl, row 1: no text in 'request'"):
        postprocess(bad, "--ratio", "any")
    assert postprocess(bad, "--ratio", "any", "--on_bad_row", "skip")[1] == {"bad row: no text in 'request'": 1}
