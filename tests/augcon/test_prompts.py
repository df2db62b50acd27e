"""Prompts: whole in four languages, examples that keep the form, and no sentence of the released ones."""

import hashlib
import re
from pathlib import Path

import pytest
from rapidfuzz.distance import LCSseq

from augcon.context_tree import context_words
from augcon.prompts import BLOCKS, language, template, tree_template
from augcon.scorer_pairs import WORSE_PROMPTS
from augcon.tree_answer import parse_released
from common.languages import PROMPT_LANGUAGES

ROOT = Path(__file__).parents[2]
PROMPTS = ROOT / "common" / "prompts" / "augcon"
PLACES = {
    "tree": {"context"},
    "tree_short": set(),
    "question": {"context"},
    "answer": set(),
    "judge": {"context", "question", "reference", "answer"},
    "support": {"context", "question", "answer"},
    "rate": {"context", "question"},
    "self_contained": {"context", "question"},
    "rewrite_question": {"context", "question"},
}


@pytest.mark.parametrize("lang", PROMPT_LANGUAGES)
def test_each_prompt_is_there_with_its_places(lang):
    for name, places in PLACES.items():
        assert set(re.findall(r"\{(\w+)\}", template(name, lang))) == places
    assert {file.name for file in PROMPTS.glob("*.txt")} == {
        f"{name}.{one}.txt" for name in PLACES for one in PROMPT_LANGUAGES
    }


@pytest.mark.parametrize("lang", PROMPT_LANGUAGES)
def test_the_examples_of_a_tree_have_the_form_that_is_asked_for(lang):
    _, _, *examples, query = template("tree", lang).split(BLOCKS)
    assert query == "Context: {context}\n\nQuestion:" and len(examples) == 3
    for example in examples:
        context, _, rest = example.removeprefix("Context: ").partition("\n\nQuestion: ")
        question, *parts = parse_released(rest)
        assert question and all(0.2 < len(part) / len(context) < 0.8 for part in parts)
        joined = context_words(" ".join(parts))
        assert LCSseq.similarity(joined, context_words(context)) / len(joined) >= 0.7  # the stop does not reject it


@pytest.mark.parametrize("lang", PROMPT_LANGUAGES)
def test_worse_prompts_have_a_short_instruction_one_example_or_both(lang):
    good = tree_template("tree", lang).split(BLOCKS)
    short, one, both = (tree_template(kind, lang).split(BLOCKS) for kind in WORSE_PROMPTS)
    assert short[1:] == good[1:] and len(short[0]) < len(good[0]) / 3
    assert one == [*good[:3], good[-1]] and both == [short[0], *one[1:]]


def test_the_language_of_a_text_picks_the_prompt():
    assert language("这是一段中文。") == "zh" and language("Dies ist ein deutscher Text und kein anderer.") == "en"
    assert language("这是一段中文。", "es") == "es"


def wording(text: str) -> set[str]:
    """Runs of 8 words, or of 12 Chinese characters; the marks of the form are facts."""
    words = re.findall(r"[a-z0-9]+", re.sub(r"(?m)^(Context( [12])?|Question):", "", text).lower())
    chinese = "".join(re.findall("[\u4e00-\u9fff]", text))
    runs = {" ".join(words[place : place + 8]) for place in range(len(words) - 7)}
    return runs | {chinese[place : place + 12] for place in range(len(chinese) - 11)}


def test_no_released_wording_is_in_a_prompt_or_in_the_sample():
    released = set((ROOT / "tests" / "data" / "augcon" / "released_wording.txt").read_text().split())
    for file in [
        *PROMPTS.glob("*.txt"),
        *(ROOT / "augcon" / "sample").glob("*.jsonl"),
        *(ROOT / "augcon").glob("*.py"),
    ]:
        own = wording(file.read_text(encoding="utf-8"))
        found = [run for run in own if hashlib.blake2b(run.encode(), digest_size=5).hexdigest() in released]
        assert not found, f"{file.name}: {found[:3]}"
