"""The rules of the baseline against the naive ones, and what each repair changes."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.oracles import rule_baseline as oracle
from web_to_sft.cleaning_rules import HEADINGS, REPAIRS, clean_analysis, sections, solution_steps

NONE = frozenset()
FORMULAS = st.text("35²，, =≈<＞\\n\n\xa0 甲", max_size=16) | st.lists(
    st.sampled_from(["，=", "， =", "，≈", "， ≈", "3\\n5", "\\n", "=", "＜", "甲", "3", " ", "\xa0", "\\"]), max_size=8
).map("".join)
PIECES = [
    *HEADINGS,
    *oracle.NO_HEADING,
    "此题主要考查",
    "故答案为",
    "故答案",
    "：12",
    "12．",
    "5.3",
    "．",
    ".",
    "。",
    "²",
    "\\n",
]
PIECES += [
    "据此解答",
    "直接得出结论即可",
    "本题考查",
    "此题考查",
    "据此判断",
    "[2019]",
    "【名校】",
    "[",
    "]",
    "【",
    "】",
]
PIECES += ["先求总数，", "3*4=12", "甲乙丙丁戊己庚辛壬癸", "点", "解", "：", " ", "\n", "\xa0", "试题", "分析"]
ANALYSES = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@settings(max_examples=400, deadline=None)
@given(FORMULAS)
@example("1\\n2\\n3")
@example("，=5=")
@example("甲， =3，=4乙")
def test_formulas_are_cleaned_as_released(text):
    assert clean_analysis(text, NONE) == oracle.clean_analysis(text)
    assert clean_analysis(text, {"commas"}) == oracle.clean_analysis(text, in_order=True)


@settings(max_examples=800, deadline=None)
@given(ANALYSES)
@example("先求单价再求总价。[详解]3+2=5，所以一共是5个苹果。")
@example("甲乙丙丁戊己庚辛壬癸【分析】3+2=5，所以一共是5个苹果")
@example("3+2=5，所以一共是5个苹果。此题主要考查加法的意义。")
@example("解：3+2=5．故答案为：5．据此解答即可")
@example("点评：3+2=5，所以一共是5个")
@example("甲乙丙丁戊己庚辛壬故答案5。本题考查故答案为5。")
def test_solutions_are_cut_out_as_released(text):
    assert solution_steps(text, NONE) == oracle.solution_steps(text)


@pytest.mark.parametrize(
    ("text", "released", "ours", "point"),
    [
        ("甲， =3，=4乙", "甲， =3==3，=4乙", "甲=3=4乙", "commas"),  # a part doubled
        ("，=5=", "，=5=", "=5=", "commas"),  # what stands before the first character is not the last one
        ("用去3\n5千克", "用去3\n5千克", "用去3/5千克", "line_breaks"),
        ("3+2=5\n2*3=6元", "3+2=5\n2*3=6元", "3+2=5\n2*3=6元", "line_breaks"),  # two steps, no fraction
    ],
)
def test_repairs_of_the_formulas(text, released, ours, point):
    assert clean_analysis(text, NONE) == clean_analysis(text, REPAIRS.keys() - {point}) == released
    assert clean_analysis(text) == clean_analysis(text, {point}) == ours


@pytest.mark.parametrize(
    ("text", "released", "ours", "point"),
    [
        (
            "【解答】第一问：3+4=7，共7点点评：考查加法",
            "第一问：3+4=7，共7",
            "第一问：3+4=7，共7点",
            "headings",
        ),
        (
            "解答：(1)3+4=7（个）。解答：(2)7+1=8（个）。",
            "(2)7+1=8（个）。",
            "(1)3+4=7（个）。(2)7+1=8（个）。",
            "repeated_sections",
        ),
        ("[2019]【名校】分析：先求总数，3+4=7", "", "先求总数，3+4=7", "leading_tags"),
    ],
)
def test_repairs_of_the_cut(text, released, ours, point):
    assert solution_steps(text, NONE) == solution_steps(text, REPAIRS.keys() - {point}) == released
    assert solution_steps(text) == solution_steps(text, {point}) == ours


@given(ANALYSES)
def test_sections_lose_nothing_but_headings(text):
    kept = "".join(sections(text).values())
    numbers = [character for character in text if character.isdigit()]
    assert sorted(character for character in kept if character.isdigit()) == sorted(numbers)


@given(ANALYSES)
def test_a_repair_touches_only_its_own_defect(text):
    """Where a text has neither torn formulas, nor tags, nor two headings, default and released are the same."""
    plain = "解答：先求总数" + "".join(character for character in text if character not in "：:【】[]\n\\，")
    assert solution_steps(clean_analysis(plain)) == solution_steps(clean_analysis(plain, NONE), NONE)


def test_written_out_line_breaks_are_collapsed_and_become_real():
    assert solution_steps("解答：根据题意得\\n\\n3+4=7\\n答：7") == "根据题意得\n3+4=7\n答：7"
