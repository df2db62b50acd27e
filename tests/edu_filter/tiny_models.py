"""Encoders with random weights, small enough to run thousands of texts: a BERT, an XLM-R and a ModernBERT."""

from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertModel,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaModel,
)

LENGTH = 32
SHAPES = ("bert", "xlm-roberta", "modernbert")


def make_encoder(folder: Path, shape: str, texts: Iterable[str], size: int = 16, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    tokenizer = {"bert": wordpiece, "xlm-roberta": unigram, "modernbert": byte_level}[shape](list(texts))
    tokenizer.save_pretrained(folder)
    same = {
        "vocab_size": len(tokenizer), "hidden_size": size, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 2 * size, "pad_token_id": tokenizer.pad_token_id, "initializer_range": 0.5,
    }  # fmt: skip
    if shape == "bert":
        model = BertModel(BertConfig(max_position_embeddings=LENGTH, **same))
    elif shape == "xlm-roberta":
        places = LENGTH + tokenizer.pad_token_id + 1
        model = XLMRobertaModel(XLMRobertaConfig(max_position_embeddings=places, type_vocab_size=1, **same))
    else:
        ids = {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
        model = ModernBertModel(ModernBertConfig(max_position_embeddings=LENGTH, **ids, **same))
    model.save_pretrained(folder)
    return folder


def wordpiece(texts: list[str]) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=600, special_tokens=special))
    return finished(tokenizer, special)


def unigram(texts: list[str]) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    special = ["<pad>", "<unk>", "<s>", "</s>"]
    trainer = trainers.UnigramTrainer(vocab_size=1500, special_tokens=special, unk_token="<unk>")
    tokenizer.train_from_iterator(texts, trainer)
    return finished(tokenizer, special)


def byte_level(texts: list[str]) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    return finished(tokenizer, special)


def finished(tokenizer: Tokenizer, special: list[str]) -> PreTrainedTokenizerFast:
    pad, unknown, first, last = special
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=[(first, 2), (last, 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=pad, unk_token=unknown, cls_token=first, sep_token=last,
        bos_token=first, eos_token=last, model_max_length=LENGTH,
    )  # fmt: skip
