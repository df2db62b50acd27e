"""The fast scorer against the slow one, over lengths, languages, families, pad sides and cuts."""

import copy
import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.conversations import as_messages
from common.errors import BadInput, CommonError, Reject
from superfiltering.conversation import Text, chat_text, checked, paper_text, plain_text
from superfiltering.ifd import plan_row, score_rows, score_rows_paper_exact, start_token, token_span
from superfiltering.token_losses import length_sorted_batches, prepare_scorer
from tests.oracles import ifd as oracle
from tests.superfiltering.conftest import TEXTS, make_tokenizer

LIMIT = 64  # of the tiny models
words = st.sampled_from([word for text in TEXTS for word in text.split()] + ["\n", "\n\n", "😀", "é", "中文", " "])
texts = st.lists(words, max_size=12).map(" ".join)
rows = st.lists(
    st.fixed_dictionaries({"instruction": texts, "input": st.just("") | texts, "output": texts}), min_size=1, max_size=8
)
quick = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def scorer_of(model, tokenizer, dtype: str = "fp32"):
    return prepare_scorer(copy.deepcopy(model), tokenizer, dtype=dtype)


def same(found: float, expected: float) -> bool:
    return (math.isnan(found) and math.isnan(expected)) or math.isclose(found, expected, rel_tol=1e-4, abs_tol=1e-5)


@quick
@given(rows=rows, batch_tokens=st.integers(1, 400))
def test_paper_exact_is_the_released_computation(model_and_tokenizer, rows, batch_tokens):
    model, tokenizer = model_and_tokenizer
    parts = [paper_text(row) for row in rows]
    lines = score_rows_paper_exact(scorer_of(model, tokenizer), parts, LIMIT, batch_tokens)
    for line, part in zip(lines, parts, strict=True):
        try:
            expected = oracle.paper_scores(model, tokenizer, part.prompt, part.answer, LIMIT)
        except (IndexError, RuntimeError):
            continue  # the released code writes 0 for what fails
        assert line.keys() == expected.keys()
        for kind in line:
            assert all(map(same, line[kind], expected[kind])), (line, expected)


@quick
@given(rows=rows, batch_tokens=st.integers(1, 400))
def test_the_default_scores_the_same_answer_tokens_in_both_runs(model_and_tokenizer, rows, batch_tokens):
    model, tokenizer = model_and_tokenizer
    start = start_token(tokenizer)
    parts = []
    for row in rows:
        try:
            parts.append(checked(plain_text(row)))
        except Reject as why:
            parts.append(why)
    lines = score_rows(scorer_of(model, tokenizer), parts, LIMIT, batch_tokens)
    for line, part in zip(lines, parts, strict=True):
        if isinstance(part, Reject):
            assert line == {"unscored": "the answer is empty"}
        elif len(tokenizer.encode(part.whole, add_special_tokens=False)) < LIMIT:
            direct, conditioned = oracle.default_scores(model, tokenizer, part.whole, *part.answers[0], start)
            assert same(line["loss"][1], direct) and same(line["loss"][3], conditioned)
            assert same(line["ppl"][3], math.exp(conditioned))


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


@given(st.integers(1, 200), st.lists(st.integers(1, 90), min_size=1, max_size=4), st.integers(2, 64), st.integers(0, 9))
def test_a_long_row_fits_the_window_and_both_runs_score_as_many_tokens(prompt, answers, window, gap):
    at, spans = 1 + prompt, []
    for length in answers:
        spans.append((at, at + length))
        at += length + gap
    jobs, cut = plan_row(0, list(range(at)), spans, window)
    scored = {}
    for job in jobs:
        assert len(job.piece.ids) <= max(window, 1 + max(end - start for start, end in job.piece.spans))
        for (start, end), owner in zip(job.piece.spans, job.owners, strict=True):
            assert 1 <= start < end <= len(job.piece.ids)
            scored[owner[1:]] = job.piece.ids[start:end]
    for turn, (start, end) in enumerate(spans):
        assert scored[turn, 0] == scored[turn, 1] == list(range(start, end))[: len(scored[turn, 0])]
    assert cut == sum(answers) - sum(len(scored[turn, 0]) for turn in range(len(spans)))


def test_one_token_answers_have_a_score_and_errors_never_become_one(model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    scorer = scorer_of(model, tokenizer)
    (line,) = score_rows(scorer, [plain_text({"instruction": "The cat", "output": "a"})], LIMIT, 64)
    assert line["tokens"] == 1 and all(math.isfinite(line["loss"][side]) for side in (1, 3))
    with pytest.raises(BadInput, match="positions"):
        score_rows(scorer, [Text("a b", [(1, 3)])], 10_000, 64)


def test_a_conversation_has_a_score_for_each_turn_and_one_for_all(model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    turns = [("user", "Hi"), ("assistant", "the cat sat"), ("user", "why"), ("assistant", "red, green, blue")]
    row = {"messages": [{"role": role, "content": text} for role, text in turns]}
    sharegpt = {"conversations": [{"from": {"user": "human", "assistant": "gpt"}[r], "value": t} for r, t in turns]}
    line, other = score_rows(
        scorer_of(model, tokenizer), [checked(plain_text(row)), checked(plain_text(sharegpt))], LIMIT, 99
    )
    assert same(line["loss"][1], other["loss"][1]) and len(line["turns"]) == len(other["turns"]) == 2
    tokens = [turn["tokens"] for turn in line["turns"]]
    mean = sum(turn["loss"][3] * count for turn, count in zip(line["turns"], tokens, strict=True)) / sum(tokens)
    assert line["tokens"] == sum(tokens) and same(line["loss"][3], mean)


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
    assert [text.whole[slice(*place)] for place in text.answers] == ["text 0", "text 2"]
    for row, reason in [
        (turns(), "no answer"),
        (turns("user"), "no answer"),
        (turns("system", "user", "assistant"), "no system role"),
    ]:
        with pytest.raises(Reject, match=reason):
            chat_text(row, tokenizer)


def test_alpaca_and_messages_of_the_same_turns_are_one_text():
    row = {"instruction": "q", "input": "i", "output": "a."}
    assert plain_text({"messages": as_messages(row)}) == plain_text(row) == paper_text(row)


def test_a_loss_that_is_no_number_stops_the_run(model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    scorer = scorer_of(model, tokenizer)
    scorer.head.tiles[0].bias = torch.full((len(scorer.head.weight),), torch.nan)
    with pytest.raises(CommonError, match="cannot hold a number"):
        score_rows(scorer, [plain_text({"instruction": "The cat", "output": "sat on"})] * 3, LIMIT, 8)


def test_the_chat_template_of_the_model_goes_around_the_turns():
    tokenizer = make_tokenizer(bos=False)
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</>{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    text = chat_text({"instruction": "Add.", "input": "1 2", "output": " 3 "}, tokenizer)
    assert text.whole == "<user>Add.\n1 2</><assistant>3</>" and text.whole[slice(*text.answers[0])] == "3"


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 300))
def test_batches_hold_every_piece_once_within_the_budget(lengths, budget):
    batches = list(length_sorted_batches(lengths, budget))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget for batch in batches)


def test_bf16_is_close(model_and_tokenizer):
    model, tokenizer = model_and_tokenizer
    parts = [plain_text({"instruction": text[:20], "output": text[20:50]}) for text in TEXTS]
    exact = score_rows(scorer_of(model, tokenizer), parts, LIMIT, 64)
    close = score_rows(scorer_of(model, tokenizer, "bf16"), parts, LIMIT, 64)
    for a, b in zip(exact, close, strict=True):
        assert abs(a["loss"][3] - b["loss"][3]) < 0.05 * a["loss"][3]
