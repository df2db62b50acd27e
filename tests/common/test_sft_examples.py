"""Label masks: the loss is on the response, whatever the template, and the prompt is the one a server would send."""

from argparse import Namespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from common.errors import BadInput, BadRow, BadValue
from common.rows import write_rows
from common.training.arguments import Options
from common.training.examples import (
    NO_LOSS,
    conversation,
    cut_apart,
    encode,
    encode_text,
    read_examples,
    segments,
)

# The formats of the families, in our own writing: what stands around a turn, not the vendors' templates.
QWEN = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA3 = (
    "<|begin|>{% for m in messages %}<|head|>{{ m['role'] }}<|/head|>\n\n{{ m['content'] | trim }}<|eot|>{% endfor %}"
    "{% if add_generation_prompt %}<|head|>assistant<|/head|>\n\n{% endif %}"
)
LLAMA2 = (
    "{% for m in messages %}{% if m['role'] == 'user' %}<s>[INST] {{ m['content'] }} [/INST]"
    "{% else %} {{ m['content'] }} </s>{% endif %}{% endfor %}"
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
COUNTS_TURNS = "{{ messages | length }}{% for m in messages %}{{ m['content'] }}|{% endfor %}"
FORGETS_ANSWERS = "{% for m in messages %}{% if m['role'] == 'user' %}{{ m['content'] }}|{% endif %}{% endfor %}"
TEMPLATES = {"qwen": QWEN, "llama3": LLAMA3, "llama2": LLAMA2, "chatml": CHATML, "alpaca": None}
SPECIAL = "<|im_start|> <|im_end|> <|begin|> <|head|> <|/head|> <|eot|> <s> </s>".split()
TURN = "1+1等于几？", "等于2。"


def tokenizer_with(template, bos=None):
    """One token a byte-ish character; special tokens whole."""
    characters = sorted({chr(code) for code in range(32, 127)} | set("\n等于几？。甲乙丙"))
    tokens = ["<unk>", *SPECIAL, *characters]
    backend = Tokenizer(models.WordLevel({token: place for place, token in enumerate(tokens)}, "<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", eos_token="</s>", bos_token=bos, chat_template=template,
        additional_special_tokens=SPECIAL, clean_up_tokenization_spaces=False,
    )  # fmt: skip


def learned_text(tokenizer, example):
    return tokenizer.decode([label for label in example["labels"] if label != NO_LOSS])


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_loss_is_on_the_response_and_its_end_only(name):
    tokenizer = tokenizer_with(TEMPLATES[name])
    example = encode(tokenizer, conversation({"q": TURN[0], "a": TURN[1]}, "q", "a"), chat=name != "alpaca")
    learned = learned_text(tokenizer, example)
    assert learned.strip().startswith(TURN[1])
    assert learned.replace(TURN[1], "").strip() in ("<|im_end|>", "<|eot|>", "</s>")
    assert len(example["labels"]) == len(example["input_ids"])
    assert all(label in (NO_LOSS, token) for label, token in zip(example["labels"], example["input_ids"], strict=True))


@pytest.mark.parametrize("name", [name for name in TEMPLATES if name != "alpaca"])
def test_the_masked_part_is_what_a_server_would_be_sent(name):
    tokenizer = tokenizer_with(TEMPLATES[name])
    messages = conversation({"q": TURN[0], "a": TURN[1]}, "q", "a")
    example = encode(tokenizer, messages)
    sent = tokenizer.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    sent_ids = tokenizer(sent, add_special_tokens=False)["input_ids"]
    assert example["input_ids"][: len(sent_ids)] == sent_ids
    assert example["labels"][: len(sent_ids)] == [NO_LOSS] * len(sent_ids)
    assert NO_LOSS not in example["labels"][len(sent_ids) :]


@pytest.mark.parametrize("name", ["qwen", "llama3", "chatml", "alpaca"])
def test_every_answer_of_a_longer_conversation_is_learned(name):
    tokenizer = tokenizer_with(TEMPLATES[name])
    turns = [("user", "甲"), ("assistant", "ONE"), ("user", "乙"), ("assistant", "TWO")]
    messages = [{"role": role, "content": content} for role, content in turns]
    learned = learned_text(tokenizer, encode(tokenizer, messages, chat=name != "alpaca"))
    assert "ONE" in learned and "TWO" in learned and "甲" not in learned and "乙" not in learned


def test_alpaca_begins_with_the_models_first_token():
    tokenizer = tokenizer_with(None, bos="<s>")
    example = encode(tokenizer, conversation({"q": "a", "a": "b"}, "q", "a"), chat=False)
    assert tokenizer.decode(example["input_ids"]).startswith("<s>### Instruction:\na")


def test_loss_on_all_is_the_released_qwen_code():
    tokenizer = tokenizer_with(QWEN)
    example = encode(tokenizer, conversation({"q": "a", "a": "b"}, "q", "a"), loss_on="all")
    assert example["labels"] == example["input_ids"]
    assert tokenizer.decode(example["input_ids"]).endswith("b<|im_end|>")  # no line break behind the last mark


@pytest.mark.parametrize("template", [COUNTS_TURNS, FORGETS_ANSWERS])
def test_a_template_that_rewrites_what_was_said_is_refused(template):
    tokenizer = tokenizer_with(template)
    with pytest.raises(BadInput, match="--format alpaca"):
        encode(tokenizer, conversation({"q": "a", "a": "b"}, "q", "a"))


lengths = st.integers(1, 20)


@given(lengths, lengths, lengths, lengths)
def test_source_and_target_are_cut_apart(prompt, response, source, target):
    """As in ChatGLM2's code: the end of the text is not counted, and a response that is cut has it too."""
    end = 99
    ids = [*range(100, 100 + prompt), *range(response), end]
    example = {"input_ids": ids, "labels": [NO_LOSS] * prompt + ids[prompt:]}
    learned = [*range(min(response, target)), end]
    assert cut_apart(example, source, target, end) == {
        "input_ids": [*range(100, 100 + min(prompt, source)), *learned],
        "labels": [NO_LOSS] * min(prompt, source) + learned,
    }


@pytest.mark.parametrize("too_long", ["drop", "cut"])
@pytest.mark.parametrize("length", [1, 3, 6, 7, 8, 9, 50])
def test_too_long_is_dropped_or_cut(tmp_path, too_long, length):
    tokenizer = tokenizer_with("{% for m in messages %}{{ m.content }}{% endfor %}")
    write_rows(tmp_path / "rows.jsonl", [{"instruction": "ask", "output": "reply"}])
    how = (str(tmp_path / "rows.jsonl"), tokenizer, Options(data_path="", too_long=too_long))
    whole = encode(tokenizer, conversation({"instruction": "ask", "output": "reply"}, "instruction", "output"))
    assert len(whole["input_ids"]) == 8
    if length >= 8 or (too_long == "cut" and length > 3):  # else nothing would be left to learn
        (example,), counts, left_out = read_examples(*how, Namespace(max_length=length, dataset_text_field="text"))
        assert example == {name: values[:length] for name, values in whole.items()}
        assert (counts["cut"], counts["dropped, too long"], left_out) == (int(length < 8), 0, [])
    else:
        with pytest.raises(BadInput, match="'dropped, too long': 1"):
            read_examples(*how, Namespace(max_length=length, dataset_text_field="text"))


def test_what_is_not_learned_is_what_torch_ignores():
    assert torch.nn.CrossEntropyLoss().ignore_index == NO_LOSS


def test_alpacas_input_is_trained_on():
    tokenizer = tokenizer_with(CHATML)
    row = {"instruction": "1+1", "input": "9+9", "output": "2"}
    shown = tokenizer.decode(encode(tokenizer, conversation(row, "instruction", "output"))["input_ids"])
    assert "1+1\n9+9" in shown


def test_later_alpaca_turns_do_not_repeat_earlier_questions():
    tokenizer = tokenizer_with(None)
    row = {"instruction": "now", "output": "b", "history": [["before", "a"]], "system": "rules"}
    pieces = segments(tokenizer, conversation(row, "instruction", "output"), chat=False)
    assert [text for text, _ in pieces] == [
        "### Instruction:\nrules\nbefore\n\n### Response:\n",
        "a</s>",
        "### Instruction:\nnow\n\n### Response:\n",
        "b</s>",
    ]


@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize("loss_on", ["response", "all"])
def test_special_tokens_stand_where_the_format_has_them_and_nowhere_else(chat, loss_on):
    """A tokenizer that adds a first token to every text it is given must not do so between the pieces."""
    tokenizer = tokenizer_with(CHATML, bos="<s>")
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.bos_token_id)]
    )
    turns = [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    messages = [{"role": role, "content": content} for role, content in turns]
    ids = encode(tokenizer, messages, chat, loss_on)["input_ids"]
    assert ids.count(tokenizer.bos_token_id) == (0 if chat else 1)
    assert encode_text(tokenizer, "ab")["input_ids"].count(tokenizer.bos_token_id) == 1


def test_a_text_that_is_ready_is_learned_as_it_is(tmp_path):
    tokenizer = tokenizer_with(CHATML)
    text = "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>"
    write_rows(tmp_path / "rows.jsonl", [{"text": text}])
    options, training = Options(data_path="", format="text"), Namespace(max_length=None, dataset_text_field="text")
    (example,), _, _ = read_examples(str(tmp_path / "rows.jsonl"), tokenizer, options, training)
    assert example["labels"] == example["input_ids"] and tokenizer.decode(example["input_ids"]) == text
    write_rows(tmp_path / "rows.jsonl", [{"text": ""}])
    with pytest.raises(BadRow, match="nothing in it is to be learned"):
        read_examples(str(tmp_path / "rows.jsonl"), tokenizer, options, training)


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([], "no message of the assistant"),
        ([{"role": "user", "content": "x"}], "no message of the assistant"),
        (["x"], "message 0 is a str"),
        ([{"content": "x"}], "no key 'role'"),
        ([{"role": "assistant", "content": None}], "'content' is a NoneType"),
    ],
)
def test_conversations_that_cannot_be_learned_are_bad_rows(messages, problem):
    with pytest.raises(BadValue) as raised:
        conversation({"messages": messages}, "instruction", "output")
    assert problem in raised.value.reason


def test_the_system_prompt_goes_before_conversations_without_one():
    turns = [{"role": "user", "content": "甲"}, {"role": "assistant", "content": "乙"}]
    assert conversation({"messages": turns}, "instruction", "output", "丙")[0] == {"role": "system", "content": "丙"}
    own = [{"role": "system", "content": "own"}, *turns]
    assert conversation({"messages": own}, "instruction", "output", "丙") == own


def test_a_template_that_refuses_a_conversation_makes_a_bad_row():
    refuses = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}{% endfor %}"
    )
    messages = conversation({"instruction": "a", "output": "b"}, "instruction", "output", "system")
    with pytest.raises(BadValue) as raised:
        encode(tokenizer_with(refuses), messages)
    assert "no system" in raised.value.reason
