"""Score how much an instruction helps a small language model to predict its answer (IFD).

    python superfiltering/step1_score_ifd.py --data_path alpaca.json --save_path scores.jsonl --model_name_or_path gpt2

in   Alpaca rows {"instruction": "...", "input": "...", "output": "..."}, or conversations ("messages", ShareGPT)
out  one line a row: {"index": 0, "ppl": [0, answer alone, 0, behind its prompt], "loss": [...], "tokens": 42},
     or, for a row that cannot have a score: {"index": 1, "unscored": "the answer is empty"}

The rows are scored in parts, which lie in <save_path>.parts until the end: started again, the same command skips those
that are finished.
"""

import argparse
import functools
import shutil
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common import manifest
from common.conversations import alpaca_prompt, as_messages
from common.errors import BadValue, CommonError, Reject
from common.model_identity import model_identity
from common.program import make_parser, run_main
from common.prompts import fill, load_prompt
from common.rows import RowWriter, read_rows, write_rows
from common.shards import Task, run_shards
from common.step import Step, add_step_arguments, step_options
from superfiltering.conversation import Text, chat_text, checked, paper_text, plain_text

ROWS_A_PART = 2048
BATCH_TOKENS = {"cpu": 512, "cuda": 32768}  # enough to keep the matrix units busy; more only takes memory


def score_part(settings: argparse.Namespace, source: str, target: str) -> dict[str, int]:
    """Score the rows of one file. Runs in a worker, which keeps the model for the next file."""
    from superfiltering.ifd import score_rows, score_rows_paper_exact

    scorer = load(
        settings.model_name_or_path, settings.device, settings.dtype, settings.trust_remote_code, settings.num_workers
    )
    batch_tokens = settings.batch_tokens or BATCH_TOKENS[scorer.device.type]
    rows = list(read_rows(source, allow_nan=True))
    if settings.paper_exact:
        texts = [paper_text(entry["row"]) for entry in rows]
        lines = score_rows_paper_exact(scorer, texts, settings.max_length, batch_tokens)
    else:
        texts = [text_of(entry["row"], settings.prompt, scorer.tokenizer) for entry in rows]
        scores = score_rows(scorer, texts, settings.max_length, batch_tokens)
        lines = [{"index": entry["index"]} | line for entry, line in zip(rows, scores, strict=True)]
    with RowWriter(target, allow_nan=True) as writer:
        for line in lines:
            writer.write(line)
    return {"unscored": sum("loss" not in line for line in lines), "cut": sum("cut" in line for line in lines)}


@functools.cache
def load(model_name_or_path: str, device: str, dtype: str, trust_remote_code: bool, workers: int):
    import torch

    from superfiltering.token_losses import load_scorer

    if device == "cpu":
        torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    elif not torch.cuda.is_available():
        raise CommonError("no GPU for this worker: --num_gpus is more than there are, or --device cpu is wanted")
    return load_scorer(model_name_or_path, device, dtype, trust_remote_code)


def default_device(num_gpus: int) -> str:
    import torch

    return "cuda" if num_gpus or torch.cuda.is_available() else "cpu"


def text_of(row: dict, prompt: str, tokenizer: object) -> Text | Reject:
    """The text to score and where its answers are, or why this row has no score."""
    try:
        if prompt == "chat":
            return checked(chat_text(row, tokenizer))
        if prompt == "none":
            return checked(plain_text(row))
        template = load_prompt("superfiltering", "template", path=prompt)
        before = fill(template, instruction=row["instruction"], input=row.get("input") or "")
        return checked(Text(before + row["output"], [(len(before), len(before) + len(row["output"]))]))
    except Reject as why:
        return why


def rows_in_range(step: Step, args: argparse.Namespace) -> Iterator[dict]:
    """The rows to score, each with its place in the data; a row of another form than the step knows is a bad row."""
    end = args.end_idx if args.end_idx >= 0 else float("inf")
    only_alpaca = args.paper_exact or args.prompt not in ("none", "chat")
    for index, row in step.rows():
        try:
            alpaca_prompt(row) if only_alpaca else None
            as_messages(row)
        except BadValue as why:
            step.reject(*step.bad_row(index, why, row))
            continue
        if args.start_idx <= index < end:
            yield {"index": index, "row": row}
        else:
            step.counts["out of range"] += 1
            step.write()


def split(rows: Iterator[dict], folder: Path, rows_a_part: int) -> list[Task]:
    """Write the rows to files of a few thousand: the same files whenever it is done."""
    tasks = []
    while part := list(islice(rows, rows_a_part)):
        source = folder / f"{len(tasks):06}.rows.jsonl"
        write_rows(source, part)
        tasks.append((str(source), str(folder / f"{len(tasks):06}.scores.jsonl")))
    return tasks


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="instruction data in any of the known formats")
    parser.add_argument("--save_path", required=True, help="scores, one line a row (.jsonl)")
    group = parser.add_argument_group("scoring")
    group.add_argument("--model_name_or_path", default="gpt2", help="any causal LM")
    group.add_argument("--max_length", type=int, default=1024, help="window in tokens")
    group.add_argument("--start_idx", type=int, default=0, help="first row to score")
    group.add_argument("--end_idx", type=int, default=-1, help="row to stop before")
    group.add_argument(
        "--prompt",
        default="none",
        help="text around the instruction: none (the paper's), chat (the model's template), or a file with "
        "{instruction} and {input}",
    )
    group.add_argument("--paper_exact", action="store_true", help="the released code's scores, defects included")
    group = parser.add_argument_group("speed")
    group.add_argument("--device", help="cpu, cuda, cuda:1 (default: cuda if there is one)")
    group.add_argument("--dtype", choices=["fp32", "bf16", "fp16"], help="of the matrix products (cpu fp32, cuda bf16)")
    group.add_argument("--batch_tokens", type=int, help="tokens in a batch (default: 512 on cpu, 32768 on cuda)")
    group.add_argument("--num_gpus", type=int, default=0, help="worker processes, each with a GPU of its own")
    group.add_argument("--num_workers", type=int, default=1, help="worker processes without a GPU")
    group.add_argument("--engine", choices=["processes", "ray"], default="processes", help="this machine or a cluster")
    group.add_argument("--rows_a_part", type=int, default=ROWS_A_PART, help="rows a part")
    group.add_argument("--trust_remote_code", action="store_true", help="run code that comes with the model")
    add_step_arguments(parser)
    args = parser.parse_args()
    if args.paper_exact and args.prompt != "none":
        parser.error("--paper_exact: the paper has no --prompt")
    if args.paper_exact and args.on_bad_row == "skip":
        parser.error("--paper_exact: its lines carry no index, so none may be left out; drop --on_bad_row skip")
    return args


def main() -> None:
    args = parse_args()
    args.device = args.device or default_device(args.num_gpus)
    args.dtype = args.dtype or ("fp32" if args.device == "cpu" else "bf16")
    with Step([args.data_path], args.save_path, **step_options(args), allow_nan=True) as step:
        folder = Path(f"{args.save_path}.parts")
        tasks = split(rows_in_range(step, args), folder, args.rows_a_part)
        step.counts += run_shards(
            functools.partial(score_part, args),
            tasks,
            fingerprint={
                "model": model_identity(args.model_name_or_path),
                "max_length": args.max_length,
                "prompt": manifest.hash_file(args.prompt) if Path(args.prompt).is_file() else args.prompt,
                "device": args.device.partition(":")[0],
                "dtype": args.dtype,
                "paper_exact": args.paper_exact,
            },
            workers=args.num_gpus or args.num_workers,
            gpus_per_worker=1 if args.num_gpus else 0,
            engine=args.engine,
        )
        for _, target in tasks:
            for line in read_rows(target, allow_nan=True):
                step.write(line)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    run_main(main)
