"""Merge a LoRA adapter into its base model: one folder that vLLM or transformers load like any other model.

    python common/training/merge.py --adapter_path lora_model --save_path merged_model

in   the output of common/training/finetune.py --lora_rank; a QLoRA adapter is merged into the base in 16 bits, not in 4
out  <save_path>: model and tokenizer
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without an install

from common.errors import BadInput
from common.program import run_main
from common.training import hush_bars


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapter_path", required=True, help="folder with adapter_config.json")
    parser.add_argument("--save_path", required=True, help="folder to write")
    parser.add_argument("--base_model", help="base model, if it is not where the adapter's configuration says")
    parser.add_argument("--dtype", default="bfloat16", help="bfloat16, float16, float32 (default: bfloat16)")
    parser.add_argument("--trust_remote_code", action="store_true", help="run code of the base model's folder")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if not Path(args.adapter_path, "adapter_config.json").is_file():
        raise BadInput(f"{args.adapter_path}: has no adapter_config.json; it is not the output of a LoRA training")
    import torch
    from peft import PeftConfig, PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    hush_bars()
    base = args.base_model or PeftConfig.from_pretrained(args.adapter_path).base_model_name_or_path
    model = AutoModelForCausalLM.from_pretrained(
        base, dtype=getattr(torch, args.dtype), trust_remote_code=args.trust_remote_code
    )
    merged = PeftModel.from_pretrained(model, args.adapter_path).merge_and_unload()
    merged.save_pretrained(args.save_path)
    tokenizer = AutoTokenizer.from_pretrained(args.adapter_path, trust_remote_code=args.trust_remote_code)
    tokenizer.save_pretrained(args.save_path)
    print(f"{args.save_path}: {base} with {args.adapter_path} merged in, {args.dtype}")


if __name__ == "__main__":
    run_main(main)
