"""The fast scorer against the slow one, over lengths, languages, families, pad sides and cuts."""

import copy
import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.conversations import as_messages
from common.errors import BadInput, BadValue, CommonError, Reject
from superfiltering.ifd import (
    CONDITIONED,
    Scoring,
    Turn,
    begin_token,
    leading_tokens,
    lines_with_reasons,
    plan_runs,
    released_lines,
    token_id,
    token_span,
    turns_of,
    without_front,
)
from superfiltering.score_parts import text_of
from superfiltering.scored_text import ScoredText, chat_text, plain_text, released_text
from superfiltering.token_losses import length_sorted_batches, prepare_scorer
from tests.oracles import ifd as oracle
from tests.superfiltering.conftest import TEXTS, make_model, make_tokenizer

LIMIT = 64  # of the tiny models
words = st.sampled_from([word for text in TEXTS for word in text.split()] + ["\n", "\n\n", "😀", "é", "中文", " "])
texts = st.lists(words, max_size=12).map(" ".join)
rows = st.lists(
    st.fixed_dictionaries({"instruction": texts, "input": st.just("") | texts, "output": texts}), min_size=1, max_size=8
)
quick = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def scorer_of(model, tokenizer, dtype: str = "fp32"):
    return prepare_scorer(copy.deepcopy(model), tokenizer, dtype=dtype)


def texts_of(rows: list[dict]) -> list[ScoredText | Reject]:
    return [text_of(row, "none", None) for row in rows]


def same(found: float, expected: float) -> bool:
    return (math.isnan(found) and math.isnan(expected)) or math.isclose(found, expected, rel_tol=1e-4, abs_tol=1e-5)


@quick
@given(rows=rows, batch_tokens=st.integers(1, 400))
def test_paper_exact_and_the_default_are_the_released_computation(model_and_tokenizer, rows, batch_tokens):
    model, tokenizer = model_and_tokenizer
    scorer = scorer_of(model, tokenizer)
    released = released_lines(scorer, [released_text(row) for row in rows], LIMIT, batch_tokens)
    ours = lines_with_reasons(scorer, texts_of(rows), LIMIT, batch_tokens)
    for row, line, own in zip(rows, released, ours, strict=True):
        expected = oracle.released_line(model, tokenizer, released_text(row).text, row["output"], LIMIT)
        assert line.keys() == expected.keys()
        for kind in line:
            assert all(map(same, line[kind], expected[kind])), (line, expected)
        numbers = line.get("ppl", [])[1::2] + line.get("loss", [])[1::2]
        if numbers and all(math.isfinite(number) and number for number in numbers):
            assert {kind: own[kind] for kind in line} == line  # the same bits
        else:
            assert own.keys() == {"unscored"} and own["unscored"]


@quick
@given(rows=rows, batch_tokens=st.integers(1, 400), data=st.data())
def test_with_a_start_token_and_offsets_both_runs_score_the_same_tokens(model_and_tokenizer, rows, batch_tokens, data):
    model, tokenizer = model_and_tokenizer
    start = data.draw(st.sampled_from(["<s>", "<|endoftext|>"]))
    scoring = Scoring(start_token=start, answer_by_offsets=True)
    lines = lines_with_reasons(scorer_of(model, tokenizer), texts_of(rows), LIMIT, batch_tokens, scoring)
    for line, row in zip(lines, rows, strict=True):
        scored = plain_text(row)
        if not row["output"]:
            assert line == {"unscored": "the answer is empty"}
        elif len(tokenizer.encode(scored.text, add_special_tokens=False)) < LIMIT:
            token = tokenizer.convert_tokens_to_ids(start)
            direct, conditioned = oracle.offset_scores(model, tokenizer, scored.text, *scored.answers[0], token)
            assert same(line["loss"][1], direct) and same(line["loss"][3], conditioned)
            assert same(line["ppl"][3], math.exp(conditioned))
            assert line["scored_with"] == {"start_token": start, "answer_by_offsets": True}


@quick
@given(rows=rows, batch_tokens=st.integers(1, 400))
def test_a_start_token_stands_before_both_runs_once_and_instead_of_the_tokenizers_own(
    model_and_tokenizer, rows, batch_tokens
):
    model, tokenizer = model_and_tokenizer
    scoring = Scoring(start_token="<s>")
    lines = lines_with_reasons(scorer_of(model, tokenizer), texts_of(rows), LIMIT, batch_tokens, scoring)
    bare = make_tokenizer(bos=False)
    for line, row in zip(lines, rows, strict=True):
        if "unscored" not in line:
            token = bare.convert_tokens_to_ids("<s>")
            expected = oracle.released_line(model, bare, released_text(row).text, row["output"], LIMIT, [token])
            assert all(map(same, line["loss"], expected["loss"]))


def test_a_tokenizer_that_adds_the_start_token_itself_is_scored_the_same_with_and_without(model_and_tokenizer):
    model, _ = model_and_tokenizer
    rows = [{"instruction": text[:20], "output": text[20:50]} for text in TEXTS]
    scorer = scorer_of(model, make_tokenizer(bos=True))
    plain = lines_with_reasons(scorer, texts_of(rows), LIMIT, 64)
    started = lines_with_reasons(scorer, texts_of(rows), LIMIT, 64, Scoring(start_token="<s>"))
    assert started == [line | {"scored_with": {"start_token": "<s>"}} for line in plain]


def test_the_begin_token_goes_before_the_end_token_and_an_unknown_one_is_named():
    assert begin_token(make_tokenizer(bos=True)) == "<s>"
    assert begin_token(make_tokenizer(bos=False)) == "<|endoftext|>"
    with pytest.raises(BadInput, match="has no such token"):
        token_id(make_tokenizer(bos=False), "<|im_start|>")
    bare = make_tokenizer(bos=False)
    bare.eos_token = None
    with pytest.raises(BadInput, match="no bos, eos or pad token"):
        begin_token(bare)


@given(
    text=st.lists(words | st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).map("".join),
    data=st.data(),
)
@quick
def test_an_answer_is_found_by_offsets_also_inside_characters_of_several_tokens(text, data):
    tokenizer = make_tokenizer(bos=False)
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    encoding = tokenizer([text], add_special_tokens=False).encodings[0]
    expected = oracle.answer_positions(tokenizer, text, start, end)
    assert token_span(encoding, (start, end)) == (expected[0], expected[-1] + 1)


@given(st.integers(1, 200), st.integers(1, 90), st.integers(2, 64), st.integers(0, 1))
def test_a_prompt_cut_in_front_leaves_the_answer_or_half_the_window(prompt, answer, window, head):
    ids = list(range(prompt + answer))
    turn = without_front(Turn(prompt, ids, []), window, min(head, prompt))
    kept = turn.behind[turn.start : window]
    assert kept == ids[prompt : prompt + len(kept)]
    assert len(kept) == answer or len(kept) == max(window - prompt, window // 2)
    assert turn.behind[: turn.start] == ids[: min(head, prompt)] + ids[prompt - turn.start + min(head, prompt) : prompt]
    if prompt + answer <= window:
        assert turn == Turn(prompt, ids, [])


def test_a_prompt_over_the_window_has_a_reason_or_loses_its_front(model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    scorer = scorer_of(model, tokenizer)
    rows = [{"instruction": "The cat sat. " * 60, "output": "on the mat and looked"}]
    (line,) = lines_with_reasons(scorer, texts_of(rows), LIMIT, 64)
    assert line == {"unscored": "the prompt fills the window of 64 tokens"}
    for scoring in (Scoring(cut_front=True), Scoring(cut_front=True, answer_by_offsets=True, start_token="<s>")):
        (line,) = lines_with_reasons(scorer, texts_of(rows), LIMIT, 64, scoring)
        assert "cut" not in line and 0 < line["ppl"][3] < math.inf and line["scored_with"]["cut_front"]
    rows = [{"instruction": "The cat", "output": "sat on the mat. " * 60}]
    (line,) = lines_with_reasons(scorer, texts_of(rows), LIMIT, 64)
    whole = len(tokenizer.encode(released_text(rows[0]).text)) - len(tokenizer.encode("The cat\n"))
    assert line["cut"] == whole - line["tokens"] > 0


def test_a_row_without_a_released_score_says_why(model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    scorer = scorer_of(model, tokenizer)
    begins = bool(leading_tokens(tokenizer))
    (line,) = lines_with_reasons(scorer, texts_of([{"instruction": "The cat", "output": "a"}]), LIMIT, 64)
    assert ("tokens" in line) if begins else line["unscored"].startswith("the answer is one token")
    started = Scoring(start_token="<|endoftext|>")
    (line,) = lines_with_reasons(scorer, texts_of([{"instruction": "The cat", "output": "a"}]), LIMIT, 64, started)
    assert line["tokens"] == 1 and all(math.isfinite(line["loss"][side]) for side in (1, 3))
    broken = {"instruction": "The cat", "output": "sat \ud800 on"}
    (line,) = lines_with_reasons(scorer, texts_of([broken]), LIMIT, 64)
    assert line == {"unscored": "a lone surrogate in the text, which no tokenizer reads"}
    assert released_lines(scorer, [released_text(broken)], LIMIT, 64) == [{"ppl": [0] * 4, "loss": [0] * 4}]
    with pytest.raises(BadValue, match="lone surrogate in the prompt"):
        released_text({"instruction": "\ud800", "output": "a"})
    with pytest.raises(BadInput, match="positions"):
        lines_with_reasons(scorer, texts_of([{"instruction": "a", "output": "b"}]), 10_000, 64)
    with pytest.raises(BadInput, match="at least 2"):
        lines_with_reasons(scorer, texts_of([{"instruction": "a", "output": "b"}]), 1, 64)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"instruction": "a", "input": None, "output": "b"}, "a\nNone\nb"),
        ({"instruction": 5, "input": 6, "output": "b"}, "5\n6\nb"),
        ({"instruction": "a", "input": " ", "output": ""}, "a\n \n"),
        ({"instruction": "a", "output": "b"}, "a\nb"),
    ],
)
def test_what_is_no_text_is_written_as_released(row, text):
    assert released_text(row).text == text


def test_a_text_longer_than_the_positions_of_the_model_fails_as_released():
    tokenizer = make_tokenizer(bos=False)
    model = make_model("gpt2", len(tokenizer))
    row = {"instruction": "The cat", "output": "sat on the mat. " * 60}
    (line,) = released_lines(scorer_of(model, tokenizer), [released_text(row)], 1000, 64)
    assert line == {"ppl": [0] * 4, "loss": [0] * 4}
    assert oracle.released_line(model, tokenizer, released_text(row).text, row["output"], 1000) == line


def test_a_conversation_has_a_score_for_each_turn_and_one_for_all(model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    turns = [("user", "Hi"), ("assistant", "the cat sat"), ("user", "why"), ("assistant", "red, green, blue")]
    row = {"messages": [{"role": role, "content": text} for role, text in turns]}
    sharegpt = {"conversations": [{"from": {"user": "human", "assistant": "gpt"}[r], "value": t} for r, t in turns]}
    line, other = lines_with_reasons(scorer_of(model, tokenizer), texts_of([row, sharegpt]), LIMIT, 99)
    assert all(map(same, line["loss"], other["loss"])) and len(line["turns"]) == len(other["turns"]) == 2
    tokens = [turn["tokens"] for turn in line["turns"]]
    mean = sum(turn["loss"][3] * count for turn, count in zip(line["turns"], tokens, strict=True)) / sum(tokens)
    assert line["tokens"] == sum(tokens) and same(line["loss"][3], mean)


def test_each_turn_is_scored_as_a_row_of_its_own_would_be_and_they_share_a_run(model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    scorer = scorer_of(model, tokenizer)
    turns = [("user", "Hi\n"), ("assistant", "the cat sat"), ("user", "why\n"), ("assistant", "red, green")]
    row = {"messages": [{"role": role, "content": text} for role, text in turns]}
    scored = plain_text(row)
    (line,) = lines_with_reasons(scorer, [scored], LIMIT, 99)
    for (start, end), found in zip(scored.answers, line["turns"], strict=True):
        alone = ScoredText(scored.text[:end], [(start, end)])
        (expected,) = lines_with_reasons(scorer, [alone], LIMIT, 99)
        assert same(found["loss"][1], expected["loss"][1]) and same(found["loss"][3], expected["loss"][3])
    (turns,) = turns_of(tokenizer, [scored], LIMIT, Scoring())
    assert sum(owner[2] == CONDITIONED for job in plan_runs(0, turns, None) for owner in job.owners[:1]) == 1


def test_a_turn_without_a_score_does_not_cost_the_others_theirs():
    tokenizer = make_tokenizer(bos=False)
    scorer = scorer_of(make_model("gpt2", len(tokenizer)), tokenizer)
    turns = [
        ("assistant", "Hello cat"),
        ("user", "why"),
        ("assistant", "red, green"),
        ("user", "b"),
        ("assistant", "a"),
    ]
    row = {"messages": [{"role": role, "content": text} for role, text in turns]}
    (line,) = lines_with_reasons(scorer, texts_of([row]), LIMIT, 99)
    first, second, third = line["turns"]
    assert first == {"unscored": "nothing stands before the answer"} and third["unscored"].startswith(
        "the answer is one"
    )
    assert second["loss"] == line["loss"] and line["tokens"] == second["tokens"]


def test_odd_conversations_are_set_aside_or_scored_never_fatal(model_and_tokenizer):
    tokenizer = make_tokenizer(bos=False)
    tokenizer.chat_template = (
        "{% if not messages %}{{ raise_exception('nothing') }}{% endif %}"
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
        "<{{ m.role }}>{{ m.content }}</>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
    )

    def turns(*roles):
        return {"messages": [{"role": role, "content": f"text {n}"} for n, role in enumerate(roles)]}

    text = chat_text(turns("assistant", "user", "assistant"), tokenizer)
    assert [text.text[slice(*place)] for place in text.answers] == ["text 0", "text 2"]
    for row, reason in [
        (turns(), "no answer"),
        (turns("user"), "no answer"),
        (turns("system", "user", "assistant"), "no system role"),
    ]:
        with pytest.raises(Reject, match=reason):
            chat_text(row, tokenizer)


def test_alpaca_and_messages_of_the_same_turns_are_one_text():
    row = {"instruction": "q", "input": "i", "output": "a."}
    assert plain_text({"messages": as_messages(row)}) == plain_text(row) == released_text(row)


def test_a_loss_that_is_no_number_stops_the_run(model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    scorer = scorer_of(model, tokenizer)
    scorer.head.tiles[0].bias = torch.full((len(scorer.head.weight),), torch.nan)
    with pytest.raises(CommonError, match="cannot hold a number"):
        lines_with_reasons(scorer, [plain_text({"instruction": "The cat", "output": "sat on"})] * 3, LIMIT, 8)


def test_the_chat_template_of_the_model_goes_around_the_turns():
    tokenizer = make_tokenizer(bos=False)
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</>{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    text = chat_text({"instruction": "Add.", "input": "1 2", "output": " 3 "}, tokenizer)
    assert text.text == "<user>Add.\n1 2</><assistant>3</>" and text.text[slice(*text.answers[0])] == "3"


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 300))
def test_batches_hold_every_piece_once_within_the_budget(lengths, budget):
    batches = list(length_sorted_batches(lengths, budget))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget for batch in batches)


def test_bf16_is_close(model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    parts = [plain_text({"instruction": text[:20], "output": text[20:50]}) for text in TEXTS]
    exact = lines_with_reasons(scorer_of(model, tokenizer), parts, LIMIT, 64)
    close = lines_with_reasons(scorer_of(model, tokenizer, "bf16"), parts, LIMIT, 64)
    for a, b in zip(exact, close, strict=True):
        assert abs(a["loss"][3] - b["loss"][3]) < 0.05 * a["loss"][3]
