"""Reading answers and verdicts, choosing examples; what importing costs."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augcon.answers import Demonstration, read_answer, released_answer, released_prompt, shown_text
from augcon.demonstrations import best_candidate, bootstrap, released_verdict, search_candidates, verdict
from augcon.granularity import coverage, level
from augcon.rating import drawn_scores, read_mark

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("是", True),
        ("是的。", True),
        ("[是]", True),
        ("Yes, it is.", True),
        ("**Yes**", True),
        ("Sí.", True),
        ("Sim", True),
        ("The answer agrees.\nVerdict: yes", True),
        ("不是的。", False),
        ("不是", False),
        ("否，因为少了一点。", False),
        ("no, the date is wrong", False),
        ("Não.", False),
        ("两者一致……\n结论：不是。", False),
        ("是/否", None),
        ("yes/no", None),
        ("Yes or no?", None),
        ("unknown", None),
        ("cannot tell", None),
        ("eyes", None),
        ("nothing is wrong", None),
        ("是否准确？", None),
        ("", None),
        ("  \n ", None),
    ],
)
def test_a_verdict_is_the_first_word_or_the_last_line_and_undecided_is_neither(reply, said):
    assert verdict(reply) is said


def test_the_released_verdict_takes_substrings():
    assert released_verdict("不是") is True and released_verdict("eyes") is True
    assert released_verdict("unknown") is False and released_verdict("否") is False and released_verdict("") is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Thought.\n\nAnswer: It grows.", "It grows."),
        ("想一想。\n回答：它生长。", "它生长。"),
        ("Pienso.\n**Respuesta:** Crece.", "Crece."),
        ("Answer: first\nAnswer: last", "last"),
        ("Answer:\n1. a\n\n2. b", "1. a\n\n2. b"),
        ("The answer: it grows.", None),
        ("It grows.", None),
    ],
)
def test_what_stands_after_the_last_mark_is_the_answer(text, answer):
    assert read_answer(text) == answer
    assert read_answer("It grows. ", marked=False) == "It grows."


def test_examples_keep_their_line_breaks_and_the_released_layout_loses_them():
    assert shown_text("zh", "甲", "乙？", "一\n二") == "上下文: 甲\n问题: 乙？\n回答: 一\n二"
    shown = [Demonstration("A\nB", "Q  1?", "x\ny"), Demonstration("C", "Q2?", "z", "because\nof it")]
    prompt = released_prompt("Do it.", ["c", "q", "a"], shown, "D", "Q3?")
    blocks = prompt.split("\n\n---\n\n")
    assert blocks[2] == "Context:\nA\nB\nQuestion: Q 1?\nAnswer: x y"
    assert blocks[3].endswith("in order to because of it\n\nAnswer: z") and blocks[0] == "Do it."
    assert blocks[4] == "Context: D\n\nQuestion: Q3?\n\nReasoning: Let's think step by step in order to"


@given(st.lists(st.sampled_from(["", " ", "a", "\nAnswer:", "Answer: b", "\n"]), min_size=1, max_size=4).map("".join))
def test_the_released_reading_asks_at_most_three_times(text):
    asked = []

    async def ask(prompt, max_tokens):
        asked.append((prompt, max_tokens))
        return text

    asyncio.run(released_answer("P", ask))
    assert [tokens for _, tokens in asked] == [150, 75, 75][: len(asked)] and len(asked) <= 3


# ---------------------------------------------------------------- examples


@given(st.integers(0, 12), st.integers(1, 4), st.integers(1, 20), st.integers(0, 99))
def test_candidates_are_different_sets_and_the_same_for_a_seed(examples, size, candidates, seed):
    sets = search_candidates(examples, size, candidates, seed)
    assert sets == search_candidates(examples, size, candidates, seed)
    assert len({frozenset(one) for one in sets}) == len(sets) <= candidates
    assert all(len(one) == min(size, examples) and set(one) <= set(range(examples)) for one in sets)


def test_the_first_of_the_best_candidates_is_taken_and_undecided_is_not_accepted():
    assert best_candidate([[True, None], [True, True], [True, True]]) == (1, [0.5, 1.0, 1.0])
    assert best_candidate([[None, None], [False, None]])[0] == 0


@given(st.lists(st.sampled_from([True, False, None]), max_size=12))
def test_the_released_choice_takes_the_first_three_and_fills_up(accepted):
    choice = bootstrap(accepted)
    if choice.ended:
        assert accepted[: choice.judged].count(None) == 5 and accepted[choice.judged - 1] is None
        return
    assert choice.taken == [place for place, verdict in enumerate(accepted) if verdict][:3]
    assert len(choice.taken) + len(choice.labelled) == min(3, len(accepted))
    assert not set(choice.taken) & set(choice.labelled)


# ---------------------------------------------------------------- marks and levels


@pytest.mark.parametrize(
    ("text", "mark"), [("7", 7), ("Mark: 10/10", 10), ("8.5", None), ("0", None), ("11", None), ("", None)]
)
def test_marks(text, mark):
    assert read_mark(text) == mark


def test_draws_do_not_depend_on_other_roots():
    assert drawn_scores(3, 5, seed=1) == drawn_scores(3, 9, seed=1)[:5] != drawn_scores(4, 5, seed=1)


def test_levels_and_the_nearest_context_of_each_sentence():
    root = "Tea grows on hills. It is picked in spring. Machines dry it."
    assert [level(part, root) for part in (root, root[:30], root[:9])] == ["whole", "middle", "detail"]
    found = coverage(root, ["Tea grows on hills.", "Tea grows on hills. It is picked in spring."])
    assert list(found.values()) == [19, 43, None]


@pytest.mark.parametrize("module", sorted(path.stem for path in (ROOT / "augcon").glob("step*.py")))
def test_importing_a_step_costs_no_torch(module):
    code = f"import sys, augcon.{module}; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_the_filter_needs_jieba_and_rapidfuzz_alone():
    code = (
        "import sys, augcon.question_filter as q; q.words('茶'); print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"jieba", "rapidfuzz"} <= loaded and not {"torch", "aiohttp", "pyarrow", "numpy", "common"} & loaded
