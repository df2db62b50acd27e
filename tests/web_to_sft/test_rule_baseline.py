import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles import rule_baseline as oracle
from web_to_sft.rule_baseline import HEADINGS, clean_analysis, sections, solution_steps

RECORDED = Path(__file__).parent.parent / "data" / "web_to_sft" / "rule_cleaning_expected.jsonl"
pieces = st.lists(
    st.sampled_from([*HEADINGS, "先求总数，", "3*4，=12", "故答案为：12．", "本题考查", "点", "\\n"]), max_size=8
)


@pytest.mark.parametrize("line", RECORDED.read_text(encoding="utf-8").splitlines())
def test_character_for_character_as_released(line):
    row = json.loads(line)
    analysis = clean_analysis(row["raw_analysis"], paper_exact=True)
    assert analysis == row["rule_processed_analysis"]
    assert solution_steps(analysis, paper_exact=True) == row["rule_processed_solvestep"]


@given(st.text("3，= ≈>\xa0甲", max_size=15))
def test_commas_before_equals_go(text):
    assert clean_analysis(text) == oracle.clean_analysis(text)


@given(pieces)
def test_sections_lose_nothing_but_headings(parts):
    text = "".join(parts)
    kept = "".join(part for _, part in sections(text))
    assert len(text) - len(kept) <= sum(len(part) for part in parts if part in HEADINGS)
    assert [character for character in kept if character in "34012"] == [
        character for character in text if character in "34012"
    ]


@pytest.mark.parametrize(
    ("text", "released", "ours"),
    [
        ("甲， =3，=4乙", "甲， =3==3，=4乙", "甲=3=4乙"),  # a part doubled
        ("用去3\n5千克", "用去3\n5千克", "用去3/5千克"),  # a fraction broken by a real line break
    ],
)
def test_mended_defects_of_the_cleaning(text, released, ours):
    assert clean_analysis(text, paper_exact=True) == released
    assert clean_analysis(text) == ours


@pytest.mark.parametrize(
    ("text", "released", "ours"),
    [
        ("【解答】第一问：3+4=7，共7点点评：考查加法", "第一问：3+4=7，共7", "第一问：3+4=7，共7点"),
        ("解答：(1)3+4=7（个）。解答：(2)7+1=8（个）。", "(2)7+1=8（个）。", "(1)3+4=7（个）。(2)7+1=8（个）。"),
        ("[2019]【名校】分析：先求总数，3+4=7", "", "分析：先求总数，3+4=7"),
    ],
)
def test_mended_defects_of_the_split(text, released, ours):
    assert solution_steps(text, paper_exact=True) == released
    assert solution_steps(text) == ours


def test_newlines_are_collapsed_and_line_breaks_real():
    assert solution_steps("解答：根据题意得\\n\\n3+4=7\\n答：7") == "根据题意得\n3+4=7\n答：7"
