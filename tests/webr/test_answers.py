"""What the model is sent, flavour by flavour and with a user's prompts; and which of its answers are taken."""

from collections import Counter
from types import SimpleNamespace

import pytest

from common.errors import BadInput, Reject
from common.languages import PROMPT_LANGUAGES
from common.llm import Answer
from common.rows import read_rows, write_rows
from tests.common.scripted_server import ok, scripted_server
from webr import step1_infer_author, step2_make_requests, step3_make_responses, step4_refine_responses
from webr.answers import POINTS, Asking, messages, prompt, template, usable_text
from webr.clean_up import clean_request
from webr.flavours import FLAVOURS
from webr.guards import Guards
from webr.sections import KINDS

VALUES = {"page": "THE PAGE", "author": "THE AUTHOR", "word": "WORD", "limit": "150", "language": "LANGUAGE"}
REFINE = {"page": "THE PAGE", "request": "THE REQUEST", "draft": "THE DRAFT", "language": "LANGUAGE"}

GUARDS = Guards()


def asking(flavour="local", folder=None, guards=GUARDS, released=(), **keep):
    keeps = {f"keep_{name}": keep.get(name, False) for name in ("truncated", "refusals", "empty")}
    return Asking(FLAVOURS[flavour], folder, released=frozenset(released), guards=guards, **keeps)


# ---------------------------------------------------------------- prompts


@pytest.mark.parametrize("lang", PROMPT_LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_each_request_prompt_gives_the_page_then_the_author_then_the_task(kind, lang):
    text = prompt(asking(), kind, lang, **VALUES)
    places = [text.index(value) for value in ("THE PAGE", "THE AUTHOR", "WORD", "150")]
    assert places == sorted(places) and "LANGUAGE" in text and "{" not in text


@pytest.mark.parametrize("lang", PROMPT_LANGUAGES)
def test_the_other_prompts_have_a_place_for_each_value(lang):
    for name, values in {"author": {k: VALUES[k] for k in ("page", "language")}, "refine": REFINE}.items():
        text = prompt(asking(), name, lang, **values)
        assert all(value in text for value in values.values()) and "{" not in text


def test_a_language_without_prompts_gets_the_english_ones():
    assert template(asking(), "author", "fr") == template(asking(), "author", "en")


def test_flavours_are_the_papers():
    local, api = FLAVOURS["local"], FLAVOURS["api"]
    assert (local.temperature, local.top_p, local.max_tokens) == (0.6, 0.9, 4096)
    assert (api.temperature, api.top_p, api.max_tokens) == (1.0, None, None)
    assert (local.system_message, api.system_message, local.cleaned, api.cleaned) == (False, True, True, False)


def test_the_api_flavour_has_a_system_message_in_the_language_of_the_page():
    for lang in PROMPT_LANGUAGES:
        assert [turn["role"] for turn in messages(asking(), "x", lang)] == ["user"]
        system, user = messages(asking("api"), "x", lang)
        assert (system["role"], user) == ("system", {"role": "user", "content": "x"})
        assert system["content"] and system["content"] == system["content"].strip()
    assert messages(asking("api"), "x", "fr")[0]["content"] == "You are a helpful assistant."


RELEASED = {  # the places of the released prompts, in words of ours
    "author": "<{web}> who wrote it?",
    "WI_all": "<{web}> <{author}> a {word} of {len_limit}",
    "WI_part": "<{web}> <{author}> a {word} of {len_limit}, part",
    "WR_all": "<{web}> <{author}> which {word} of {len_limit}?",
    "WR_part": "<{web}> <{author}> which {word} of {len_limit}, part?",
    "refine": "<{web}> <{request}> <{answer}> better, please",
}


@pytest.fixture
def folder(tmp_path):
    """A prompt folder with files in the released form: no {language}, other names for page, limit and draft."""
    for name, text in RELEASED.items():
        (tmp_path / f"{name}.en.txt").write_text(text)
    return str(tmp_path)


def test_a_prompt_folder_takes_released_prompts_as_they_are(folder):
    own = asking(folder=folder)
    assert prompt(own, "author", "en", page="P {author}", language="English") == "<P {author}> who wrote it?"
    for kind in KINDS:
        assert prompt(own, kind, "en", **VALUES).startswith("<THE PAGE> <THE AUTHOR> ")
        assert "WORD of 150" in prompt(own, kind, "en", **VALUES)
    assert prompt(own, "refine", "en", **REFINE) == "<THE PAGE> <THE REQUEST> <THE DRAFT> better, please"


def test_what_a_prompt_folder_lacks_is_ours(folder):
    assert template(asking(folder=folder), "author", "zh") == template(asking(), "author", "zh")
    with pytest.raises(BadInput, match="has no prompt"):
        template(asking(folder="/nowhere"), "author", "en")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_prompt_folder_may_bring_its_system_message_or_take_it_away(folder, tmp_path, flavour):
    (tmp_path / "system.en.txt").write_text("Be terse.\n")
    assert messages(asking(flavour, folder), "x", "en")[0] == {"role": "system", "content": "Be terse."}
    (tmp_path / "system.zh.txt").write_text("\n")
    assert [turn["role"] for turn in messages(asking(flavour, folder), "x", "zh")] == ["user"]


def test_braces_of_a_page_and_prompts_without_places_are_left_alone(tmp_path):
    (tmp_path / "author.en.txt").write_text("No place at all { } {x}")
    assert prompt(asking(folder=str(tmp_path)), "author", "en", page="p", language="l") == "No place at all { } {x}"
    assert "{author}" in prompt(asking(), "author", "en", page="{author}", language="l")


# ---------------------------------------------------------------- what is sent


def bodies_of(run, tmp_path, *words):
    """The bodies that steps 1 to 4 send for six pages, one or two of each kind."""
    page = "# Weather\n\nThe coast has wind for {} days.\n\nThe hills have rain, and the people there like it."
    write_rows(tmp_path / "pages.jsonl", [{"webpage": page.format(day)} for day in range(6)])
    answers = {"step1": "A patient teacher.", "step2": "Please explain the weather of the coast in two lines."}
    bodies = {}
    source = tmp_path / "pages.jsonl"
    for step in (step1_infer_author, step2_make_requests, step3_make_responses, step4_refine_responses):
        name = step.__name__.split(".")[-1][:5]
        answer = answers.get(name, "It is cold there and people like it that way.")
        with scripted_server(lambda body, number, answer=answer: ok(answer)) as server:
            target = tmp_path / f"{name}.jsonl"
            lines = ["--data_path", source, "--save_path", target, "--base_url", server.url, "--any_language", *words]
            run(step, *lines)
            bodies[name] = server.bodies
        source = target
    return bodies


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_flavour_decides_system_message_and_sampling_of_each_step(tmp_path, run, flavour):
    for bodies in bodies_of(run, tmp_path, "--flavour", flavour, "--model", "m").values():
        assert bodies
        for body in bodies:
            sampling = {key: body[key] for key in ("temperature", "top_p", "max_tokens") if key in body}
            roles = [turn["role"] for turn in body["messages"]]
            if flavour == "local":
                assert sampling == {"temperature": 0.6, "top_p": 0.9, "max_tokens": 4096} and roles == ["user"]
            else:
                assert sampling == {"temperature": 1.0} and roles == ["system", "user"]


def test_what_the_command_line_says_goes_before_the_flavour(tmp_path, run):
    words = ["--flavour", "api", "--temperature", 0, "--max_tokens", 7, "--model", "m"]
    (body, *_) = bodies_of(run, tmp_path, *words)["step1"]
    assert (body["temperature"], body["max_tokens"]) == (0, 7) and "top_p" not in body


def test_the_author_reaches_the_model_for_all_four_kinds(tmp_path, run):
    asked = bodies_of(run, tmp_path, "--model", "m")["step2"]
    assert len(asked) == 6 and all("A patient teacher." in body["messages"][-1]["content"] for body in asked)


def test_web_as_instruction_sees_the_page_web_as_response_the_request_alone(tmp_path, run):
    bodies = bodies_of(run, tmp_path, "--model", "m")
    rows = list(read_rows(tmp_path / "step2.jsonl"))
    expected = Counter(
        f"{row['section']}\n\n\n{row['request']}" if row["kind"].startswith("WI") else row["request"] for row in rows
    )
    assert Counter(body["messages"][0]["content"] for body in bodies["step3"]) <= expected
    assert all("It is cold there" in body["messages"][0]["content"] for body in bodies["step4"])


# ---------------------------------------------------------------- which answers are taken


def step():
    return SimpleNamespace(counts=Counter())


def usable(asked, text, reason="stop", fault=lambda text, guards: None, counting=None):
    return usable_text(counting or step(), asked, Answer([text], [reason]), clean_request, fault)


def test_the_local_flavour_is_cleaned_and_the_api_flavour_stays_as_it_came():
    text = 'Here is the request:\n\n"Write a poem."\n'
    assert usable(asking(), text) == "Write a poem."
    assert usable(asking("api"), text) == text
    assert usable(asking(released=["cleaning"]), text) == 'Write a poem."\n'


def test_paper_exact_takes_every_answer_as_the_released_code_stores_it():
    exact = asking(guards=None, released=POINTS)
    for text, stored in {"": "", " x ": " x ", "I'm sorry": "I'm sorry", "Here is x": "", '""x"': "x"}.items():
        assert usable(exact, text, "length", fault=None) == stored
        assert usable(asking("api", guards=None, released=POINTS), text, "length", fault=None) == text


@pytest.mark.parametrize(
    "text, reason, why, keep",
    [
        (" \n", "stop", "empty answer", "empty"),
        ("Half of", "length", "cut off", "truncated"),
        ("I'm sorry, but I can't help.", "stop", "refusal", "refusals"),
    ],
)
def test_each_kind_of_answer_that_will_not_do_has_its_switch(text, reason, why, keep):
    with pytest.raises(Reject, match=why):
        usable(asking(), text, reason)
    assert usable(asking(**{keep: True}), text, reason).strip() == text.strip()


def test_what_a_guard_finds_is_counted_by_guard_and_rejected_with_the_reason():
    counting = step()
    for reason in (
        "request copies the page",
        "request is in español, page in English",
        "request is in 中文, page in x",
    ):
        with pytest.raises(Reject, match=reason):
            usable(asking(), "Write it.", fault=lambda text, guards, reason=reason: reason, counting=counting)
    assert counting.counts == {"answers: request copies the page": 1, "answers: request is in another language": 2}
