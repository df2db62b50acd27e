"""Roots: nothing lost, nothing too long, cut where sentences end in four languages; as released under its name."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augcon import corpus

PIECES = [
    "天气很好。",
    "他说：“走吧！”",
    "（见下文？）",
    "No. ",
    "He left. ",
    '"Why?" ',
    "¿Qué hora es? ",
    "Fim! ",
    "3.5 %, ",
    "Dr. Yu ran. ",
]
PIECES += ["然后", "a long clause without an end, ", "; ", "……", "\n", "\n\n", "x" * 60, "”", "。", "」", "甲" * 70]
texts = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@given(texts, st.integers(40, 200), st.integers(0, 60))
def test_chunks_joined_are_the_text_and_none_is_too_long(text, max_length, min_chunk):
    chunks = corpus.chunks(text, max_length, min_chunk)
    assert "".join(chunks) == text
    assert all(0 < len(chunk) <= max_length for chunk in chunks)


@given(texts, st.integers(40, 200))
def test_no_chunk_begins_with_a_closing_mark(text, max_length):
    text = re.sub("[”」]+", "”", text)  # a page of nothing but closing marks must be cut somewhere
    for chunk in corpus.chunks(text, max_length)[1:]:
        assert chunk[0] not in "”’」』）》】"


@given(texts)
def test_sentences_joined_are_the_text(text):
    assert "".join(corpus.sentences(text)) == text


@pytest.mark.parametrize(
    "sentences",
    [
        ["天气很好。", "他说：“走吧！”", "然后走了？”", "好……", "嗯！"],
        ["He left at 3.5 km. ", 'She said "Go!" ', "Dr. Yu ran. ", "Why? ", "Because."],
        ["¿Qué hora es? ", "¡Ya voy! ", "Son las 3.15. ", "Fin."],
        ["Que horas são? ", "São 3,5 kg. ", "Fim…"],
    ],
)
def test_sentence_ends_of_four_languages(sentences):
    assert corpus.sentences("".join(sentences)) == sentences


def test_a_long_sentence_is_cut_at_clauses_then_blanks_then_anywhere():
    clauses = "第一部分说的是天气情况，第二部分说的是交通情况，第三部分什么都没有说。"
    assert [chunk[-1] for chunk in corpus.chunks(clauses, 15, 0)[:-1]] == ["，", "，"]
    assert all(chunk.endswith(" ") for chunk in corpus.chunks("word " * 30, 23, 0))
    assert [len(chunk) for chunk in corpus.chunks("x" * 100, 40, 0)] == [40, 40, 20]


def test_paragraphs_share_a_root_and_a_short_last_one_gets_sentences_of_its_neighbour():
    title, first, second = "标题", "句子一。" * 30, "句子二。" * 12
    assert corpus.roots(f"{title}\n  {first}\r\n\n{second}\n") == [f"{title}\n\n{first}\n\n{second}"]
    uneven = corpus.roots("甲乙丙丁戊己庚辛壬癸。" * 47, 500, 100)
    assert min(map(len, uneven)) >= 100 and max(map(len, uneven)) <= 500
    assert corpus.roots("\n \n") == []


def test_every_word_of_an_article_is_in_some_root():
    article = "Short.\nA paragraph of some length that goes on. " * 40
    assert " ".join(corpus.roots(article)).split() == article.split()


# ---------------------------------------------------------------- as released


def test_released_chunks_keep_their_quirks():
    assert corpus.released_chunks("a" * 12 + "。b", 10) == ["", "a" * 12 + "。", "b"]
    assert corpus.released_chunks("他说“走。”然后。走了", 6) == ["他说“走。", "”然后。走了"]
    assert corpus.released_chunks("One. Two! " * 9, 50) == ["", "One. Two! " * 9]
    assert corpus.released_chunks("", 10) == []


def test_released_roots_lose_short_paragraphs_and_never_join_any():
    long, short = "字" * 100 + "。", "字" * 100
    assert corpus.released_roots(f"{short}\n {long} \n{long}") == [long, long]


def naive_released_chunks(text: str, limit: int) -> list[str]:
    sentences = re.findall("[^。？！]*[。？！]+|[^。？！]+$", text)
    chunks, current = [], ""
    for sentence in sentences:
        if len(current) + len(sentence) > limit:
            chunks.append(current)
            current = ""
        current += sentence
    return [*chunks, current] if current else chunks


@given(texts, st.integers(0, 100))
def test_released_chunks_agree_with_a_naive_version(text, limit):
    assert corpus.released_chunks(text, limit) == naive_released_chunks(text, limit)
