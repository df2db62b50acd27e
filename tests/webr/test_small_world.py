"""The small web of replicate_small.sh and its rebuilder: what the rules answer is what the page says."""

import random

import pytest

from common.llm.standin.rules import answer, load_rules
from common.prompts import fill, load_prompt
from webr import small_rebuilder, small_world
from webr.guards import Guards, author_fault, request_fault, response_fault, row_fault
from webr.score_small import choices, is_right

RULES = load_rules([small_rebuilder.__file__])
TOWN = ("Velmora", {"river": "Alda", "dish": "soup", "craft": "glass", "feast": "March", "founder": "monks"})


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["WI_all", "WI_part", "WR_all", "WR_part"])
def test_a_page_is_rebuilt_into_what_it_says(kind, seed):
    page = small_world.make_page(TOWN, random.Random(seed))
    facts = small_world.facts_of(page)
    assert len(facts) == small_world.FACTS_A_PAGE and facts.items() <= TOWN[1].items()
    author = answer(RULES, fill(load_prompt("webr", "author", "en"), page=page, language="English"))
    values = {"page": page, "author": author, "word": "request", "limit": "50", "language": "English"}
    request = answer(RULES, fill(load_prompt("webr", kind, "en"), **values))
    if kind.startswith("WI"):
        response = answer(RULES, f"{page}\n\n\n{request}")
        sentences = [sentence for label, sentence in small_world.SENTENCES.items() if f"the {label}" in request]
    else:
        draft = answer(RULES, request)
        refine = fill(load_prompt("webr", "refine", "en"), page=page, request=request, draft=draft, language="English")
        response = answer(RULES, refine)
        label, town = small_rebuilder.asked_about(request)
        assert town == "Velmora" and draft.split()[:4] == response.split()[:4]
        sentences = [small_world.SENTENCES[label]]
    said = {
        sentence.format(town="Velmora", value=facts[label])
        for label, sentence in small_world.SENTENCES.items()
        if sentence in sentences
    }
    assert set(response.replace(". ", ".\n").split("\n")) == said
    guards = Guards()
    assert author_fault(author, page, "", "en", guards) is None
    assert request_fault(request, page, "", 50, "en", guards) is None
    assert response_fault(response, request, "", "en", guards) is None
    assert row_fault(request, response, page, "en", guards) is None


def test_what_counts_as_right():
    row = small_world.question(TOWN, "dish")
    assert is_right(row, "People in Velmora like to eat soup.") and is_right(row, "soup")
    assert not is_right(row, "soup and pie") and not is_right(row, "People like soups.") and not is_right(row, "")
    first, *others = choices(row, random.Random(1))
    assert first["output"] == row["output"] and len({choice["output"] for choice in (first, *others)}) == 4


def test_unseen_pages_are_of_other_towns():
    towns = small_world.make_towns(random.Random(2))
    names = [name for name, _ in towns]
    assert len(set(names)) == len(names) == small_world.SEEN + small_world.UNSEEN
