"""One reader of conversations: whatever form a row has, the same turns come out, and none is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.conversations import alpaca_prompt, as_messages
from common.errors import BadValue

texts = st.text(min_size=1, max_size=12)
exchanges = st.lists(st.tuples(texts, texts), min_size=1, max_size=4)


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def test_alpacas_input_is_part_of_the_question():
    row = {"instruction": "1+1", "input": "9+9", "output": "2"}
    assert as_messages(row) == [user("1+1\n9+9"), assistant("2")]
    for nothing in ({}, {"input": ""}, {"input": None}):
        assert as_messages({"instruction": "1+1", "output": "2"} | nothing) == [user("1+1"), assistant("2")]


def test_keys_named_otherwise():
    row = {"question": "q", "input": "i", "answer": "a"}
    assert as_messages(row, "question", "answer") == [user("q\ni"), assistant("a")]
    assert as_messages({"input": "q", "solve_step": "a"}, "input", "solve_step") == [user("q"), assistant("a")]


@given(exchanges, st.none() | texts)
def test_every_form_of_the_same_turns_gives_the_same_messages(turns, system):
    messages = [message for asked, answered in turns for message in (user(asked), assistant(answered))]
    expected = [*([{"role": "system", "content": system}] if system else []), *messages]
    asked, answered = turns[-1]
    alpaca = {"instruction": asked, "output": answered, "history": [list(turn) for turn in turns[:-1]]}
    speakers = {"user": "human", "assistant": "gpt", "system": "system"}
    sharegpt = [{"from": speakers[message["role"]], "value": message["content"]} for message in messages]
    for row in (alpaca, {"messages": messages}, {"conversations": messages}, {"conversations": sharegpt}):
        assert as_messages(row | {"system": system}) == expected
        assert as_messages(row) == messages
    assert as_messages({"messages": expected, "system": "another"})[0] == (
        expected[0] if system else {"role": "system", "content": "another"}
    )


def test_listed_turns_go_before_keys():
    row = {"messages": [user("a"), assistant("b")], "instruction": "c", "output": "d"}
    assert as_messages(row) == [user("a"), assistant("b")]
    assert as_messages(row | {"messages": None}) == [user("c"), assistant("d")]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({}, "no key 'instruction'"),
        ({"instruction": "x"}, "no key 'output'"),
        ({"instruction": "x", "output": 2}, "'output' is a int"),
        ({"instruction": "x", "input": 5, "output": "2"}, "'input' is a int"),
        ({"messages": "x"}, "'messages' is a str"),
        ({"messages": ["x"]}, "message 0 is a str"),
        ({"messages": [{"content": "x"}]}, "no key 'role'"),
        (
            {"conversations": [{"from": "human", "value": "x"}, {"from": "x", "value": "y"}]},
            "message 1: unknown speaker",
        ),
        ({"conversations": [{"from": "gpt", "value": None}]}, "'value' is a NoneType"),
        ({"instruction": "x", "output": "y", "history": [["a"]]}, "turn 0 of 'history'"),
        ({"instruction": "x", "output": "y", "history": [["a", "b"], ["c", 1]]}, "turn 1 of 'history'"),
    ],
)
def test_other_forms_are_bad_rows(row, problem):
    with pytest.raises(BadValue) as raised:
        as_messages(row)
    assert problem in raised.value.reason


def test_the_prompt_alone():
    assert alpaca_prompt({"instruction": "Add.", "input": "1 2"}) == "Add.\n1 2"
