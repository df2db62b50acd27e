"""Label masks: the loss is on the response, whatever the template, and the prompt is the one a server would send."""

from argparse import Namespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from common.errors import BadInput, BadValue
from common.training.examples import NO_LOSS, conversation, encode, fit

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


@pytest.mark.parametrize("template", [COUNTS_TURNS, FORGETS_ANSWERS])
def test_a_template_that_rewrites_what_was_said_is_refused(template):
    tokenizer = tokenizer_with(template)
    with pytest.raises(BadInput, match="--format alpaca"):
        encode(tokenizer, conversation({"q": "a", "a": "b"}, "q", "a"))


lengths = st.integers(1, 20)


@given(lengths, lengths, lengths)
def test_too_long_is_dropped_or_cut(prompt, response, limit):
    example = {"input_ids": list(range(prompt + response)), "labels": [NO_LOSS] * prompt + list(range(response))}
    args = Namespace(max_length=limit, max_source_length=None, max_target_length=None, too_long="drop")
    fits = prompt + response <= limit
    assert fit(example, args) == (example if fits else None)
    args.too_long = "cut"
    cut = fit(example, args)
    if prompt >= limit:
        assert cut is None  # nothing would be left to learn
    else:
        assert cut["input_ids"] == example["input_ids"][:limit] and cut["labels"] == example["labels"][:limit]


@given(lengths, lengths, lengths, lengths)
def test_source_and_target_are_cut_apart(prompt, response, source, target):
    example = {"input_ids": list(range(prompt + response)), "labels": [NO_LOSS] * prompt + list(range(response))}
    args = Namespace(max_length=1, max_source_length=source, max_target_length=target, too_long="cut")
    cut = fit(example, args)
    assert cut["labels"] == [NO_LOSS] * min(prompt, source) + list(range(min(response, target)))


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
