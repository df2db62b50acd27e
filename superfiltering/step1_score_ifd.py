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
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadValue
from common.program import make_parser, positive, run_main
from common.rows import count_rows, input_files, read_rows, refuse_overlap, write_rows
from common.shards import Task, add_shard_arguments, remove_parts, run_shards, shard_options
from common.step import Step, add_step_arguments, step_options
from superfiltering.score_parts import Settings, check_row, score_part

ALL_ROWS = -1  # --end_idx, as in the paper's script


def wanted_rows(data_path: str, split: str | None, start: int, end: int) -> range:
    """Places from `start` to before `end`; as in the paper's script negative ones count from the end."""
    stop = None if end == ALL_ROWS else end
    count = sys.maxsize
    if start < 0 or (stop is not None and stop < 0):
        count = sum(count_rows(file, split) for file in input_files(data_path))
    return range(count)[start:stop]


def rows_to_score(step: Step, settings: Settings, wanted: range) -> Iterator[dict]:
    """The rows to score, each with its place in the data; a row of another form is a bad row."""
    for index, row in step.rows():
        try:
            check_row(row, settings)
        except BadValue as why:
            step.reject(*step.bad_row(index, why, row))
            continue
        if index in wanted:
            yield {"index": index, "row": row}
        else:
            step.counts["out of range"] += 1
            step.write()


def write_parts(rows: Iterator[dict], folder: Path, rows_a_part: int) -> list[Task]:
    """Write the rows to files of a few thousand: the same files whenever it is done."""
    tasks = []
    while part := list(islice(rows, rows_a_part)):
        source = folder / f"{len(tasks):06}.rows.jsonl"
        write_rows(source, part)
        tasks.append((str(source), str(folder / f"{len(tasks):06}.scores.jsonl")))
    return tasks


def default_device(num_gpus: int) -> str:
    import torch

    return "cuda" if num_gpus or torch.cuda.is_available() else "cpu"


def settings_of(args: argparse.Namespace) -> Settings:
    device = args.device or default_device(args.num_gpus)
    return Settings(
        args.model_name_or_path, args.max_length, args.prompt, args.paper_exact, args.start_token,
        args.answer_by_offsets, args.cut_front, device, args.dtype or ("fp32" if device == "cpu" else "bf16"),
        args.batch_tokens, args.num_gpus or args.num_workers, args.trust_remote_code,
    )  # fmt: skip


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="instruction data in any of the known formats")
    parser.add_argument("--save_path", required=True, help="scores, one line a row (.jsonl)")
    group = parser.add_argument_group("scoring")
    group.add_argument("--model_name_or_path", default="gpt2", help="any causal LM")
    group.add_argument("--max_length", type=positive, default=1024, help="window in tokens")
    group.add_argument("--start_idx", type=int, default=0, help="first row to score; -2: the last two")
    group.add_argument("--end_idx", type=int, default=ALL_ROWS, help="row to stop before; -1: none")
    group.add_argument(
        "--prompt",
        default="none",
        help="text around the instruction: none (the paper's), chat (the model's template), or a file with "
        "{instruction} and {input}",
    )
    group.add_argument("--paper_exact", action="store_true", help="the released code's lines: NaN, 0, no index")
    group = parser.add_argument_group("other scores than the released one")
    group.add_argument("--start_token", metavar="TOKEN", help="put it before both runs; auto: that of the tokenizer")
    group.add_argument("--answer_by_offsets", action="store_true", help="the same answer tokens in both runs")
    group.add_argument(
        "--cut_front", action="store_true", help="cut over-long prompts in front, not answers at the end"
    )
    group = parser.add_argument_group("speed")
    group.add_argument("--device", help="cpu, cuda, cuda:1 (cuda if there is one)")
    group.add_argument("--dtype", choices=["fp32", "bf16", "fp16"], help="of the matrix products (cpu fp32, cuda bf16)")
    group.add_argument("--batch_tokens", type=positive, help="tokens in a batch (512 on cpu, 32768 on cuda)")
    group.add_argument("--rows_a_part", type=positive, default=2048, help="rows scored between two savings")
    group.add_argument("--trust_remote_code", action="store_true", help="run code that comes with the model")
    add_shard_arguments(parser)
    add_step_arguments(parser)
    args = parser.parse_args()
    if args.paper_exact and (args.prompt != "none" or args.start_token or args.answer_by_offsets or args.cut_front):
        parser.error("--paper_exact: the paper has no --prompt, --start_token, --answer_by_offsets, --cut_front")
    if args.paper_exact and args.on_bad_row == "skip":
        parser.error("--paper_exact: its lines carry no index, so none may be left out; drop --on_bad_row skip")
    return args


def main() -> None:
    args = parse_args()
    settings = settings_of(args)
    parts = Path(f"{args.save_path}.parts")
    wanted = wanted_rows(args.data_path, args.split, args.start_idx, args.end_idx)
    template = [args.prompt] if args.prompt not in ("none", "chat") else []
    refuse_overlap([*input_files(args.data_path), *template], [parts])
    with Step([args.data_path], args.save_path, **step_options(args), allow_nan=True, reads=template) as step:
        tasks = write_parts(rows_to_score(step, settings, wanted), parts, args.rows_a_part)
        step.counts += run_shards(
            functools.partial(score_part, settings), tasks, settings.fingerprint(), **shard_options(args)
        )
        for _, scores in tasks:
            for line in read_rows(scores, allow_nan=True):
                step.write(line)
    remove_parts(parts)


if __name__ == "__main__":
    run_main(main)
