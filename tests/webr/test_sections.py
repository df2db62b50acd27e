from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webr import as_released
from webr.sections import KINDS, RATIO, draws, kind_of_page, sizes, take_section

ratios = st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any)


@given(st.integers(0, 5000), ratios)
def test_no_page_is_left_over_and_no_share_is_off_by_more_than_one(count, ratio):
    shares = sizes(count, ratio)
    assert sum(shares) == count
    assert all(abs(share - count * part / sum(ratio)) <= 1 for share, part in zip(shares, ratio, strict=True))


@pytest.mark.parametrize("count, expected", [(6, [2, 2, 1, 1]), (1000, [333, 334, 166, 167]), (1, [0, 1, 0, 0])])
def test_two_two_one_one(count, expected):
    assert sizes(count, RATIO) == expected


@given(st.integers(0, 60), ratios, st.booleans())
def test_kinds_follow_the_order_of_the_pages(count, ratio, paper_exact):
    kind = kind_of_page(count, ratio, paper_exact)
    kinds = [kind(place) for place in range(count)]
    assert kinds == sorted(kinds, key=KINDS.index)
    assert [Counter(kinds)[name] for name in KINDS] == (as_released.sizes if paper_exact else sizes)(count, ratio)


def test_draws_come_from_seed_page_and_purpose_alone():
    first = [draws(1, "page", "section").random() for _ in range(3)]
    assert len(set(first)) == 1
    others = [draws(2, "page", "section"), draws(1, "page!", "section"), draws(1, "page", "request")]
    assert first[0] not in [other.random() for other in others]
    assert draws(1, "\ud800 lone surrogate", "section").random() >= 0


def test_four_sections_are_taken_as_often_as_published():
    """Half of the pages whole; the other half a uniform prefix, so one section in 12.5 % and all four in 62.5 %."""
    page = "# One\n\n## Two\n\nThree\n\n# Four"
    parts = ["One", "Two", "Three", "Four"]
    lengths = Counter()
    for seed in range(4000):
        section = take_section(page, draws(seed, page, "section"))
        assert section == "\n\n".join(parts[: section.count("\n\n") + 1])
        assert section == take_section(page, draws(seed, page, "section"), paper_exact=True)
        lengths[section.count("\n\n") + 1] += 1
    assert lengths[4] / 4000 == pytest.approx(0.625, abs=0.03)
    assert all(lengths[length] / 4000 == pytest.approx(0.125, abs=0.03) for length in (1, 2, 3))


def test_a_page_without_blank_lines_ends_sections_at_line_ends():
    page = "Title\nFirst line.\nSecond line.\n"
    taken = {take_section(page, draws(seed, page, "section")) for seed in range(60)}
    assert taken == {"Title", "Title\nFirst line.", "Title\nFirst line.\nSecond line."}
    assert {take_section(page, draws(seed, page, "section"), paper_exact=True) for seed in range(60)} == {page}


@given(st.text(), st.integers(0, 20))
def test_a_section_is_made_of_the_page(page, seed):
    section = take_section(page, draws(seed, page, "section"))
    assert len(section) <= len(page)
    assert set(section) <= set(page) | {"\n"}


def test_code_keeps_its_lines_and_a_section_is_never_empty():
    code = "#include <stdio.h>\ndef f(x):\n    if x:\n        return 1"
    assert {take_section(code, draws(seed, code, "section")) for seed in range(40)} <= {
        "\n".join(code.split("\n")[:n]) for n in (1, 2, 3, 4)
    }
    page = "#\nName\nScore"
    assert all(take_section(page, draws(seed, page, "section")).strip("# \n") for seed in range(40))
