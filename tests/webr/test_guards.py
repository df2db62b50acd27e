import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.prompts import load_prompt
from webr.guards import (
    NGRAM,
    Guards,
    author_fault,
    copied_share,
    count_words,
    longest_run_reaches,
    repeats_itself,
    request_fault,
    response_fault,
    row_fault,
)

PAGE = (
    "The committee will publish its report on the flood in the spring, and farmers who live by the river are asked to"
    " send their comments before the end of the month, so that they can be printed with it."
)
REQUEST = "Turn this notice into a short letter to the farmers by the river."
RESPONSE = "Dear neighbours, our report on the flood is nearly ready. Please write to us by the end of this month!"


def test_a_good_row_passes():
    assert row_fault(REQUEST, RESPONSE, PAGE, "en", Guards()) is None


@pytest.mark.parametrize(
    "row, reason",
    [
        (dict(request="Shorten"), "request shorter than 10 characters"),
        (dict(response="Come in May."), "response shorter than 20 characters"),
        (
            dict(response="委员会将在春天公布关于洪水的报告，并请农民提出意见和建议。"),
            "response is in 中文, page in English",
        ),
        (dict(request="Resume el aviso para los agricultores de la zona."), "request is in español, page in English"),
        (dict(response=PAGE), "response copies the page (over 80% of its 8-grams)"),
    ],
)
def test_a_fault_is_named(row, reason):
    row = {"request": REQUEST, "response": RESPONSE, **row}
    assert row_fault(row["request"], row["response"], PAGE, "en", Guards()) == reason
    off = Guards(any_language=True, max_copied=1, min_request_chars=0, min_response_chars=0)
    assert row_fault(row["request"], row["response"], PAGE, "en", off) is None


def test_the_longest_response():
    assert (
        row_fault(REQUEST, RESPONSE, PAGE, "en", Guards(max_response_chars=50)) == "response longer than 50 characters"
    )


def test_a_text_or_page_of_unknown_language_passes():
    formula = "x = 1; y = 2; z = x + y; z == 3"
    assert row_fault(REQUEST, formula, PAGE, "en", Guards()) is None
    assert row_fault(REQUEST, RESPONSE, PAGE, "und", Guards()) is None


@pytest.mark.parametrize(
    "text", ["委员会将在春天公布关于洪水的报告", "one two three four five six seven eight nine ten"]
)
def test_copies_are_found_in_any_script(text):
    assert copied_share(text, "…" + text.upper() + "…") == 1
    assert copied_share(text, text[::-1]) == 0


words = st.lists(st.sampled_from("a b c d".split()), max_size=30)


@given(words, words)
def test_copied_share_is_the_share_of_runs_that_stand_in_the_source(text, source):
    n = min(NGRAM, len(text))
    runs = [" ".join(text[start : start + n]) for start in range(len(text) - n + 1)] if n else []
    found = [run for run in runs if f" {run} " in f" {' '.join(source)} "]
    assert copied_share(" ".join(text), " ".join(source)) == (len(found) / len(runs) if runs else 0)


def test_a_short_chinese_request_says_enough():
    assert (
        row_fault("如何制作红烧肉？", "先把肉切块，焯水，再加糖炒色，最后小火炖一小时即可。", "页", "zh", Guards())
        is None
    )


# ---------------------------------------------------------------- what the steps ask of an answer

AUTHOR = "A committee that writes to farmers by the river and cares about being understood."
TEMPLATES = {name: load_prompt("webr", name, "en") for name in ("author", "WI_all", "refine")}
RUN = " ".join(PAGE.split()[2:14])  # twelve words in a row

OFF = {
    "copies the page": {"max_run": 0},
    "repeats the prompt": {"max_run": 0},
    "longer than asked": {"max_words": 0},
    "no person": {"any_form": True},
    "asks for nothing": {"any_form": True},
    "repeats itself": {"any_form": True},
    "repeats the request": {"max_repeated": 1},
    "labels of the prompt": {"keep_scaffolding": True},
    "page in English": {"any_language": True},
}


def check(fault, text, reason):
    """The reason is given, and its own switch, no other, turns it off."""
    assert (fault(text, Guards()) or "").endswith(reason)
    switch = OFF[reason]
    assert fault(text, Guards(**switch)) != fault(text, Guards())
    for other in OFF.values():
        if other != switch:
            assert fault(text, Guards(**other)) == fault(text, Guards())


@pytest.mark.parametrize(
    "author, reason",
    [
        (f"A writer who says that {RUN}.", "copies the page"),
        (
            "A writer, from its subject, its tone and what it takes for granted, describe.",
            "repeats the prompt",
        ),
        (
            "A farmer "
            + "who likes rivers, " * 3
            + "and bridges "
            + "n ".join("abcdefghijklmnopqrstuvwxyz")
            + " d" * 10,
            "longer than asked",
        ),
        ("Bread is sold on the bridge.", "no person"),
        ("A fan of trains and cars and trains and cars and trains and cars and trains and cars.", "repeats itself"),
        ("[Page]\nA farmer.", "labels of the prompt"),
        ("Un agricultor que escribe para los vecinos de la zona.", "page in English"),
    ],
)
def test_authors(author, reason):
    def fault(text, guards):
        return author_fault(text, PAGE, TEMPLATES["author"], "en", guards)

    assert fault(AUTHOR, Guards()) is None
    check(fault, author, reason)


@pytest.mark.parametrize(
    "request_, reason",
    [
        (f"Shorten this: {RUN}.", "copies the page"),
        ("Ask for one result and say exactly what it must be like: form, audience and so on.", "repeats the prompt"),
        ("Please write " + " ".join(f"w{n}" for n in range(75)), "longer than asked"),
        ("The river rises in spring and the farmers who live there move.", "asks for nothing"),
        ("Write it and send it and write it and send it and write it and send it and write it.", "repeats itself"),
        ("[End of author]\nShorten it.", "labels of the prompt"),
        ("Shorten it.<|im_end|>", "labels of the prompt"),
        ("Resume el aviso para los agricultores de la zona.", "page in English"),
    ],
)
def test_requests(request_, reason):
    def fault(text, guards):
        return request_fault(text, PAGE, TEMPLATES["WI_all"], 50, "en", guards)

    assert fault(REQUEST, Guards()) is None
    check(fault, request_, reason)


@pytest.mark.parametrize(
    "response, reason",
    [
        (REQUEST, "repeats the request"),
        (
            "So correct what it contradicts, add what the request needs, keep what is good.",
            "repeats the prompt",
        ),
        ("It is so and so it is so and so it is so and so it is so and so it is.", "repeats itself"),
        ("[First answer]\nThe report is nearly ready.", "labels of the prompt"),
        ("El informe sobre la crecida está casi listo para los agricultores.", "page in English"),
    ],
)
def test_responses(response, reason):
    def fault(text, guards):
        return response_fault(text, REQUEST, TEMPLATES["refine"], "en", guards)

    assert fault(RESPONSE, Guards()) is None
    check(fault, response, reason)


def test_the_longest_that_is_allowed():
    def of(words):
        return "Write " + " ".join(f"w{n}" for n in range(words - 1))

    assert request_fault(of(75), "", "", 50, "en", Guards()) is None
    assert request_fault(of(76), "", "", 50, "en", Guards()) == "request is longer than asked"
    assert request_fault(of(50), "", "", 50, "en", Guards(max_words=1)) is None
    assert author_fault("A farmer " + "x " * 43, "", "", "en", Guards(any_form=True)) is None
    assert author_fault("A farmer " + "x " * 44, "", "", "en", Guards(any_form=True)) == "author is longer than asked"


def test_words_and_characters_are_counted():
    assert (count_words("one two-three"), count_words("两个字 ok"), count_words(" \n")) == (2, 4, 0)


@pytest.mark.parametrize("words, found", [(11, False), (12, True), (13, True)])
def test_a_run_of_twelve_words_is_a_copy(words, found):
    run = " ".join(f"w{n}" for n in range(words))
    assert longest_run_reaches(f"before {run.upper()}, after", f"x {run} y", 12) is found


@pytest.mark.parametrize("characters, found", [(19, False), (20, True)])
def test_a_run_of_twenty_characters_of_chinese_is_a_copy(characters, found):
    page = "委员会将在春天公布关于洪水的报告并请河边的农民提出意见以便一同付印"
    assert longest_run_reaches(f"今天{page[3 : 3 + characters]}吗", page, 12) is found


def test_short_responses_may_stand_in_the_request():
    request = "Is it true or false? Answer true or false."
    assert response_fault("true", request, "", "en", Guards()) is None
    assert response_fault(request, request, "", "en", Guards()) == "response repeats the request"


def test_a_request_that_names_a_language_may_have_its_answer_in_it():
    spanish = "El informe sobre la crecida está casi listo para los agricultores."
    for request in ("Translate this notice.", "把它翻译成西班牙语。", "Say it in Spanish."):
        assert response_fault(spanish, request, "", "en", Guards()) is None


@given(st.lists(st.sampled_from("abc"), max_size=40))
def test_a_text_repeats_itself_when_few_of_its_runs_of_three_are_different(text):
    runs = [tuple(text[start : start + 3]) for start in range(len(text) - 2)]
    assert repeats_itself(" ".join(text)) == (len(runs) >= 10 and len(set(runs)) / len(runs) < 0.6)


@given(
    st.lists(st.sampled_from("abcd"), max_size=20), st.lists(st.sampled_from("abcd"), max_size=20), st.integers(1, 6)
)
def test_runs_are_found_wherever_they_stand(text, source, length):
    runs = {tuple(text[start : start + length]) for start in range(len(text) - length + 1)}
    expected = any(tuple(source[start : start + length]) in runs for start in range(len(source) - length + 1))
    assert longest_run_reaches(" ".join(text), " ".join(source), length) == expected
