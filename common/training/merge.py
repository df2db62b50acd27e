"""Merge a LoRA adapter into its base model: one folder that vLLM or transformers load like any other model.

    python common/training/merge.py --adapter_path lora_model --save_path merged_model

in   the output of common/training/finetune.py --lora_r; a QLoRA adapter is merged into the base in 16 bits, not in 4
out  <save_path>: model and tokenizer
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without an install

from common.errors import BadInput
from common.program import make_parser, run_main
from common.rows import refuse_overlap
from common.training import hush_bars
from common.training.restart import begin, refuse_foreign, saying_what_cannot_be_written


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--adapter_path", required=True, help="folder with adapter_config.json")
    parser.add_argument("--save_path", required=True, help="folder to write")
    parser.add_argument("--base_model", help="base model, if it is not where the adapter's configuration says")
    parser.add_argument(
        "--dtype", choices=["bfloat16", "float16", "float32"], default="bfloat16", help="of the merged weights"
    )
    parser.add_argument("--trust_remote_code", action="store_true", help="run code of the base model's folder")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if not Path(args.adapter_path, "adapter_config.json").is_file():
        raise BadInput(f"{args.adapter_path}: has no adapter_config.json; it is not the output of a LoRA training")
    folder = Path(args.save_path)
    refuse_foreign(folder)
    import torch
    from peft import PeftConfig, PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    hush_bars()
    base = args.base_model or PeftConfig.from_pretrained(args.adapter_path).base_model_name_or_path
    refuse_overlap([args.adapter_path, base], [folder])
    try:
        model = AutoModelForCausalLM.from_pretrained(
            base, dtype=getattr(torch, args.dtype), trust_remote_code=args.trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise BadInput(f"{base}: cannot be loaded as the adapter's base model: {error}") from None
    merged = PeftModel.from_pretrained(model, args.adapter_path).merge_and_unload()
    begin(folder, vars(args))
    tokenizer = AutoTokenizer.from_pretrained(args.adapter_path, trust_remote_code=args.trust_remote_code)
    with saying_what_cannot_be_written(args.save_path):
        merged.save_pretrained(args.save_path)
        tokenizer.save_pretrained(args.save_path)
    print(f"{args.save_path}: {base} with {args.adapter_path} merged in, {args.dtype}")


if __name__ == "__main__":
    run_main(main)
