"""Score what became of a small world's crawl: as crawled, cleaned by rules, rewritten by a trained converter.

    python web_to_sft/score_small.py --data_path test.jsonl --model_name_or_path converter --save_path scores.json

in   test.jsonl of web_to_sft/small_world.py, and the converter that common/training/finetune.py trained
out  {"raw": {"exact recovery": …, "answer right": …}, "rules": {…}, "converter": {…}}
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import Reject
from common.program import make_parser, progress, run_main
from common.prompts import load_prompt
from common.rows import input_files, read_rows, refuse_overlap, write_text
from common.training import hush_bars
from web_to_sft.cleaning_rules import WRITTEN_OUT_NEWLINES, clean_analysis, solution_steps
from web_to_sft.conversions import converter_prompt, parse_conversion

NUMBER = re.compile(r"\d+(?:[./]\d+)*")


def as_crawled(row: dict) -> tuple[str, str]:
    return row["question"], row["raw_analysis"]


def by_rules(row: dict) -> tuple[str, str]:
    """The rule baseline cleans solutions only; of the question it takes off the tag and the written-out line breaks."""
    question = WRITTEN_OUT_NEWLINES.sub("，", row["question"].replace("【题文】", ""))
    return question, solution_steps(clean_analysis(row["raw_analysis"]))


def rewrite(rows: list[dict], model_path: str, template: str, batch_size: int) -> list[str]:
    """What the converter writes, greedily, without a server: a batch at a time, longest first to waste no padding."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    hush_bars()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(model_path, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32).to(device).eval()
    prompts = [chat_prompt(tokenizer, converter_prompt(template, *as_crawled(row))) for row in rows]
    order = sorted(range(len(rows)), key=lambda place: -len(prompts[place]))
    texts = [""] * len(rows)
    for start in progress(range(0, len(order), batch_size), unit="batch"):
        places = order[start : start + batch_size]
        batch = tokenizer(
            [prompts[place] for place in places], return_tensors="pt", padding=True, add_special_tokens=False
        )
        batch = {name: batch[name].to(device) for name in ("input_ids", "attention_mask")}
        with torch.inference_mode():
            written = model.generate(**batch, max_new_tokens=200, do_sample=False)
        answers = tokenizer.batch_decode(written[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        for place, text in zip(places, answers, strict=True):
            texts[place] = text.rstrip("\n")
    return texts


def chat_prompt(tokenizer: Any, prompt: str) -> str:
    message = [{"role": "user", "content": prompt}]
    return tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)


def parsed(text: str) -> tuple[str, str]:
    try:
        question, answer = parse_conversion(text)
    except Reject:
        return "", ""
    return question.strip(), answer.strip()


def score(rows: list[dict], results: list[tuple[str, str]]) -> dict[str, float]:
    """Shares of rows that came out exactly, and with the right answer; what could not be parsed counts as wrong."""
    exact = answers = 0
    for row, (question, solution) in zip(rows, results, strict=True):
        exact += (question.strip(), solution.strip()) == (row["clean_question"], row["clean_solution"])
        answers += NUMBER.findall(solution)[-1:] == [row["answer"]]
    return {"exact recovery": exact / len(rows), "answer right": answers / len(rows)}


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="rows with the truth")
    parser.add_argument("--model_name_or_path", required=True, help="trained converter")
    parser.add_argument("--save_path", required=True, help="file of the scores")
    parser.add_argument("--prompt_path", help="the file that step 2 was given, if any")
    parser.add_argument("--batch_size", type=int, default=64, help="prompts at a time")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    prompt = [args.prompt_path] if args.prompt_path else []
    refuse_overlap([*input_files(args.data_path), args.model_name_or_path, *prompt], [args.save_path])
    rows = list(read_rows(args.data_path))
    template = load_prompt("web_to_sft", "convert", "zh", args.prompt_path)
    texts = rewrite(rows, args.model_name_or_path, template, args.batch_size)
    results = {
        "raw": [as_crawled(row) for row in rows],
        "rules": [by_rules(row) for row in rows],
        "converter": [parsed(text) for text in texts],
    }
    scores = {method: score(rows, found) for method, found in results.items()}
    write_text(Path(args.save_path), json.dumps(scores) + "\n")
    print(json.dumps(scores))


if __name__ == "__main__":
    run_main(main)
