"""Rows for the released fine-tuning: question and answer in ChatML as one text, whatever the model.

    python augcon/write_chatml.py --data_path out/sft.jsonl --save_path out/chatml.jsonl

in   {"question": "…", "answer": "…"} of step 4
out  {"text": "<|im_start|>system\\n…"} for common/training/finetune.py --config augcon/train_paper_exact.yaml
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.program import make_parser, run_main
from common.step import Step, add_step_arguments, map_rows, need, step_options


def chatml(question: str, answer: str) -> str:
    turns = (("system", "You are a helpful assistant."), ("user", question), ("assistant", answer))
    return "\n".join(f"<|im_start|>{role}\n{text}<|im_end|>" for role, text in turns)


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="rows with question and answer")
    parser.add_argument("--save_path", required=True, help="rows with text; the ending is the format")
    add_step_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with Step([args.data_path], args.save_path, **step_options(args)) as step:
        map_rows(step, lambda row: {"text": chatml(need(row, "question"), need(row, "answer"))})


if __name__ == "__main__":
    run_main(main)
