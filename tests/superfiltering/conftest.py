"""Tiny models made on the spot."""

import json
import random
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEXTS = [
    "The cat sat on the mat and looked at the other cat.",
    "List three colours: red, green, blue. Then explain why the sky is blue.",
    "请用一句话说明什么是分数。把一个整体平均分成几份，表示其中一份的数叫做分数。",
    "¿Por qué vemos primero el rayo y después oímos el trueno?",
    "def add(a, b):\n    return a + b\n\n\nprint(add(1, 2))",
]


def make_tokenizer(bos: bool, pad_side: str = "right") -> PreTrainedTokenizerFast:
    """Byte-level BPE, as GPT-2's: Chinese characters take several tokens."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<|endoftext|>", "<s>"]
    made.train_from_iterator(
        TEXTS * 3, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    )
    if bos:
        made.post_processor = processors.Sequence(
            [
                processors.ByteLevel(trim_offsets=False),
                processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", made.token_to_id("<s>"))]),
            ]
        )
    names = {"eos_token": "<|endoftext|>", "padding_side": pad_side} | ({"bos_token": "<s>"} if bos else {})
    return PreTrainedTokenizerFast(tokenizer_object=made, **names)


def make_model(family: str, vocabulary: int):
    torch.manual_seed(0)
    if family == "gpt2":
        config = GPT2Config(
            vocab_size=vocabulary, n_embd=32, n_layer=2, n_head=2, n_positions=64, initializer_range=0.5
        )
        return GPT2LMHeadModel(config).eval()
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="session", params=["gpt2", "llama with bos", "llama, pad left"])
def model_and_tokenizer(request):
    tokenizer = make_tokenizer("bos" in request.param, "left" if "left" in request.param else "right")
    return make_model(request.param.split()[0], len(tokenizer)), tokenizer


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "model"
    tokenizer = make_tokenizer(bos=False)
    make_model("gpt2", len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def data(tmp_path) -> Path:
    draw = random.Random(0)
    rows = []
    for number in range(60):
        question, more, answer = (
            " ".join(draw.choices(draw.choice(TEXTS).split(), k=draw.randrange(1, 9))) for _ in "123"
        )
        rows.append({"instruction": question, "input": draw.choice(["", more]), "output": answer, "id": f"{number:03}"})
    rows[7]["output"] = ""
    rows[9]["output"] = "x" * 300
    rows[11]["instruction"] = "y " * 200
    path = tmp_path / "alpaca.json"
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return path
