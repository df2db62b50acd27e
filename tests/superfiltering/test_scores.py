"""What a score is a mean of, why there is none, and how a row is laid out: by hand, without a model."""

import math
from types import SimpleNamespace

import pytest

from common.errors import BadInput, BadValue, Reject
from superfiltering.ifd import (
    FAILED,
    Score,
    Scoring,
    Turn,
    check_length,
    learned_positions,
    mean_score,
    perplexity,
    plan_runs,
    why_unscored,
)
from superfiltering.scored_text import ScoredText, chat_text, checked, has_lone_surrogate, plain_text, template_text

NAN, INF = math.nan, math.inf


def test_a_conversation_is_the_mean_of_its_answers_by_the_tokens_that_each_run_scored():
    first, second = Score(1.0, 2.0, 1, 3, 4), Score(4.0, 6.0, 2, 1, 5)
    assert mean_score([first, second]) == Score(3.0, 3.0, 3, 4, 9) and mean_score([first]) is first


@pytest.mark.parametrize(
    "score, answer, reason",
    [
        (Score(1.0, 1.0, 1, 1, 0), (0, 3), "nothing stands before the answer"),
        (Score(FAILED, 1.0, 1, 1, 0), (2, 3), "the tokenizer leaves nothing of the answer, or more than"),
        (Score(1.0, FAILED, 1, 1, 0), (2, 3), "the tokenizer leaves nothing of the answer, or more than"),
        (Score(1.0, NAN, 1, 0, 7), (2, 3), "the prompt fills the window of 1,024 tokens"),
        (Score(1.0, NAN, 1, 0, 0), (2, 3), "no token of the answer stands behind those of its prompt"),
        (Score(NAN, 1.0, 0, 1, 0), (2, 3), "the answer is one token, which nothing stands before when it is alone"),
        (Score(1.0, 100.0, 1, 1, 0), (2, 3), "its perplexity is beyond what fp32 holds"),
        (Score(100.0, 1.0, 1, 1, 0), (2, 3), "its perplexity is beyond what fp32 holds"),
        (Score(88.0, 0.0, 1, 1, 5), (1, 3), None),
    ],
)
def test_why_an_answer_has_no_score(score, answer, reason):
    found = why_unscored(score, answer, 1024)
    assert found is None if reason is None else found.startswith(reason)


def test_a_line_has_the_released_slots_and_a_failure_is_0():
    line = Score(0.5, FAILED, 2, 3, 0).line()
    assert line == {"ppl": [0, pytest.approx(math.exp(0.5)), 0, 0], "loss": [0, 0.5, 0, 0]}
    assert perplexity(1000.0) == INF and perplexity(FAILED) == 0 and perplexity(0.0) == 1


def test_only_what_is_done_otherwise_is_named():
    assert Scoring().names() == {}
    assert Scoring(cut_front=True).names() == {"scored_with": {"cut_front": True}}


def model(limit, *names):
    modules = [(name, None) for name in names]
    return SimpleNamespace(config=SimpleNamespace(max_position_embeddings=limit), named_modules=lambda: modules)


def test_a_window_is_within_what_the_model_knows():
    for length in (2, 64):
        check_length(SimpleNamespace(model=model(64)), length)
    for length, said in ((65, "the model knows 64 positions"), (1, "must be at least 2")):
        with pytest.raises(BadInput, match=said):
            check_length(SimpleNamespace(model=model(64)), length)
    assert learned_positions(model(64, "", "transformer.wpe")) == 64
    assert learned_positions(model(64, "model.decoder.embed_positions")) == 64
    assert learned_positions(model(64, "model.embed_tokens", "wpe.inner")) is None


def test_a_run_is_shared_by_the_texts_that_another_one_begins_with():
    turns = [Turn(1, [5, 6], [6]), None, Turn(3, [5, 6, 7, 8], [7, 8]), Turn(2, [9, 9, 9], [9])]
    jobs = plan_runs(4, turns, None)
    runs = {tuple(job.piece.ids): list(zip(job.owners, job.piece.spans, strict=True)) for job in jobs}
    assert runs == {
        (9,): [((4, 3, 0), (1, 1))],
        (9, 9, 9): [((4, 3, 1), (2, 3))],
        (7, 8): [((4, 2, 0), (1, 2))],
        (5, 6, 7, 8): [((4, 2, 1), (3, 4)), ((4, 0, 1), (1, 2))],
        (6,): [((4, 0, 0), (1, 1))],
    }
    short = plan_runs(0, turns, limit=3)  # four tokens are more than the model has positions for
    assert sorted(len(job.piece.ids) for job in short) == [1, 1, 2, 2, 3]
    (nothing_before,) = plan_runs(0, [Turn(0, [5, 6], [])], None)
    assert nothing_before.piece.spans == [(1, 2)]  # from the first token nothing is predicted


# ---------------------------------------------------------------- how a row is laid out


def test_a_template_of_ones_own_goes_around_instruction_and_input():
    row = {"instruction": "Add.", "input": "1 2", "output": "3"}
    scored = template_text(row, "Do: {instruction} ({input})\n> ")
    assert scored == ScoredText("Do: Add. (1 2)\n> 3", [(17, 18)])
    for more in ({"input": None}, {}):
        text = {"instruction": "Add.", "output": "3"} | more
        assert template_text(text, "{instruction}|{input}|").text == "Add.||3"
    for bad in ({"input": 5}, {"output": None}, {"instruction": 1}):
        with pytest.raises(BadValue):
            template_text(row | bad, "{instruction}{input}")


@pytest.mark.parametrize(
    "scored, reason",
    [
        (ScoredText("a", []), "has no answer"),
        (ScoredText("ab", [(0, 1), (1, 1)]), "the answer is empty"),
        (ScoredText("a\ud800", [(1, 2)]), "a lone surrogate"),
        (ScoredText("a\udfff", [(1, 2)]), "a lone surrogate"),
        (ScoredText("a\ud7ff\ue000é", [(1, 2)]), None),
        (ScoredText("a b", [(2, 3)]), None),
    ],
)
def test_only_answers_of_text_are_scored(scored, reason):
    if reason is None:
        assert checked(scored) is scored and not has_lone_surrogate(scored.text)
    else:
        with pytest.raises(Reject, match=reason):
            checked(scored)


def test_answers_are_where_they_stand_in_the_text():
    turns = [("user", "Hi"), ("assistant", "Yes?"), ("user", ""), ("assistant", "No.")]
    scored = plain_text({"messages": [{"role": role, "content": text} for role, text in turns]})
    assert scored == ScoredText("Hi\nYes?\n\nNo.", [(3, 7), (9, 12)])


def test_an_answer_that_a_template_changes_is_not_looked_for_elsewhere():
    class Tokenizer:
        """Shows the answer in capitals, unless it stands in the question already."""

        chat_template = "x"

        def apply_chat_template(self, messages, tokenize=False, add_generation_prompt=False, **_):
            text = "".join(f"<{m['role'][0]}>{m['content']}" for m in messages[:1])
            text += "".join(f"<a>{m['content'].upper()}" for m in messages[1:])
            return text + ("<a>" if add_generation_prompt else "")

    def row(answer):
        return {"messages": [{"role": "user", "content": "say yes"}, {"role": "assistant", "content": answer}]}

    for answer in ("yes", "no"):
        with pytest.raises(Reject, match="does not keep the answer as it is"):
            chat_text(row(answer), Tokenizer())
    text = chat_text(row(" YES "), Tokenizer())
    assert text.text[slice(*text.answers[0])] == "YES"
