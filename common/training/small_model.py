"""Make a small transformer with random weights and a tokenizer of single characters or words, to train from scratch.

    python common/training/small_model.py --data_path converter.jsonl --save_path small_model

in   files of rows; every character of their texts becomes a token, or with --vocabulary words every word: in a small
     world a fifth as many tokens to compute
out  <save_path>: a Llama model with a ChatML template, which fine-tuning, `transformers serve` and vLLM load
"""

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without an install

from common.program import make_parser, positive, run_main
from common.rows import input_files, read_rows, refuse_overlap
from common.training import hush_bars
from common.training.restart import begin, refuse_foreign, saying_what_cannot_be_written

END, START, PAD, UNKNOWN = "<|im_end|>", "<|im_start|>", "<|pad|>", "<|unknown|>"
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
HEAD = 32  # vLLM wants heads of at least that size
PATTERNS = {"characters": r"[\s\S]", "words": r" ?[^\W\d_]+|[\s\S]"}  # digits are tokens by themselves in both


def texts_of(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts_of(part)


def tokenizer_of(texts: Iterable[str], kind: str, max_length: int) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    of_template = ["\n", "system", "user", "assistant", "abcdefghijklmnopqrstuvwxyz"]
    found = {token for text in (*of_template, *texts) for token in re.findall(PATTERNS[kind], text)}
    tokens = [PAD, UNKNOWN, START, END, *sorted(found)]
    tokenizer = Tokenizer(models.WordLevel({token: place for place, token in enumerate(tokens)}, UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PATTERNS[kind]), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        additional_special_tokens=[START],
        chat_template=CHATML,
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )


def small_model(tokenizer: Any, hidden: int, layers: int, seed: int) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // HEAD,
        num_key_value_heads=hidden // HEAD,
        max_position_embeddings=tokenizer.model_max_length,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, nargs="+", help="files whose texts are the vocabulary")
    parser.add_argument("--save_path", required=True, help="folder to write")
    parser.add_argument("--hidden", type=positive, default=256, help="width, a multiple of 32")
    parser.add_argument("--layers", type=positive, default=4, help="layers of the transformer")
    parser.add_argument("--vocabulary", choices=PATTERNS, default="characters", help="what a token is")
    parser.add_argument("--max_length", type=positive, default=1024, help="tokens")
    parser.add_argument("--seed", type=int, default=0, help="of the random weights")
    args = parser.parse_args()
    if args.hidden % HEAD:
        parser.error(f"--hidden {args.hidden}: expected a multiple of {HEAD}")
    return args


def main() -> None:
    args = parse_args()
    hush_bars()
    refuse_overlap([file for path in args.data_path for file in input_files(path)], [args.save_path])
    refuse_foreign(Path(args.save_path))
    rows = [row for path in args.data_path for row in read_rows(path)]
    tokenizer = tokenizer_of(texts_of(rows), args.vocabulary, args.max_length)
    model = small_model(tokenizer, args.hidden, args.layers, args.seed)
    begin(Path(args.save_path), vars(args))
    with saying_what_cannot_be_written(args.save_path):
        model.save_pretrained(args.save_path)
        tokenizer.save_pretrained(args.save_path)
    print(f"{args.save_path}: {model.num_parameters():,} parameters, {len(tokenizer):,} tokens")


if __name__ == "__main__":
    run_main(main)
