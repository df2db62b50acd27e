"""edu_filter step 2: a small head on a frozen encoder learns the ratings. Each text is encoded once.

    python edu_filter/step2_train_head.py --json_file out/ratings.jsonl --checkpoint_dir out/head

in   rows of step 1, {"texto": "La célula ...", "rating": 3.5}, or the released file, {"0": {"Score": "3.5", ...}}
out  out/head/model              encoder and head; scores like HuggingFaceFW/fineweb-edu-classifier
     out/head/metrics.json       released figures, F1 at 3 with intervals, calibration, threshold curves, baselines …
     out/head/predictions.jsonl  one line a held-out text: {"row": 17, "rating": 3.5, "score": 3.27, ...}
     out/head/features           vectors of all texts: training again on other ratings encodes only what is new
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput, BadRow, BadValue, CommonError
from common.languages import detect_language
from common.program import make_parser, positive, run_main
from common.rows import input_files, refuse_overlap, write_text
from common.step import Step, add_step_arguments, need, step_options
from edu_filter.ratings import HIGHEST, int_score, is_released_json, read_released_json, released_class

RELEASED = {"eval_steps": 600, "kept_as": "float32", "dtype": "fp32", "head": "pooler", "pooling": "first"}


class RatingsStep(Step):
    """Reads the released file too."""

    def scan(self) -> Iterator[tuple[int, dict | BadRow]]:
        if not is_released_json(self.inputs[0]):
            yield from super().scan()
            return
        for index, row in enumerate(read_released_json(self.inputs[0])):
            self.counts["in"] += 1
            yield index, row


def read_rating(row: dict, rating_key: str, paper_exact: bool) -> tuple[float, int]:
    """The rating as a number, and the class that is learned."""
    rating = need(row, rating_key, (int, float, str))
    if isinstance(rating, bool):
        raise BadValue(f"{rating_key!r} is {rating}, not a number")
    try:
        if paper_exact:
            text = rating if isinstance(rating, str) else f"{rating:g}"
            return float(text.rstrip(".")), released_class(text)
        value = float(rating)
    except ValueError as error:
        raise BadValue(f"{rating_key!r} is not a rating: {error}") from None
    if not 0 <= value <= HIGHEST:
        raise BadValue(f"{rating_key!r} is {value:g}, not 0 to {HIGHEST}")
    return value, int_score(value)


def read_rated(step: Step, args: argparse.Namespace) -> list:
    from edu_filter.training import Rated

    def rated(row: dict) -> tuple:
        rating, label = read_rating(row, args.rating_key, args.paper_exact)
        text = need(row, args.text_column if args.text_column in row or "text" not in row else "text")
        lang, source = row.get("lang"), row.get(args.source_column) if args.source_column else None
        return text, rating, label, str(lang or detect_language(text)), str(source or "")

    found = [Rated(index, *values) for index, _, values in step.values(rated)]
    if len(found) < 2:
        raise BadInput(f"{args.json_file}: a head needs at least two rated rows, there are {len(found)}")
    return found


def above_zero(text: str) -> float:
    if not 0 < (value := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: expected more than 0")
    return value


def part(text: str) -> float:
    if not 0 < (value := float(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected more than 0, less than 1")
    return value


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--json_file", "--data_path", dest="json_file", required=True, help="ratings of step 1")
    parser.add_argument(
        "--checkpoint_dir", "--output_dir", dest="output_dir", required=True, help="folder of model and figures"
    )
    parser.add_argument("--text_column", default="texto", help="key of a document's text")
    parser.add_argument("--rating_key", default="rating", help="key of its rating")
    parser.add_argument("--source_column", help="key of where a document is from, for figures by source")
    group = parser.add_argument_group("encoder")
    group.add_argument(
        "--base_model", "--model_name_or_path", dest="base_model", default="Snowflake/snowflake-arctic-embed-m",
        help="any encoder: a folder or a hub name",
    )  # fmt: skip
    group.add_argument(
        "--max_length", type=positive, help="tokens of a text; without it what the encoder takes, or 512"
    )
    group.add_argument(
        "--pooling", choices=["first", "mean"], default="first", help="vector of a text: of which tokens"
    )
    group.add_argument("--cache_dir", help="folder of the vectors; without it CHECKPOINT_DIR/features")
    group.add_argument("--batch_tokens", type=positive, help="of a batch; without it 2048 on a CPU, 131072 on a GPU")
    group.add_argument("--device", help="cpu, cuda, cuda:1; without it a GPU if there is one")
    group.add_argument("--dtype", choices=["fp32", "bf16"], help="of the encoder; without it fp32 on a CPU, else bf16")
    group = parser.add_argument_group("head")
    group.add_argument("--head", choices=["pooler", "linear"], default="pooler", help="pooler: dense, tanh, linear")
    group.add_argument("--num_train_epochs", type=positive, default=60, help="over the training rows")
    group.add_argument("--train_batch_size", type=positive, default=2800, help="rows of a step")
    group.add_argument("--eval_batch_size", type=positive, default=1024, help="rows scored at once")
    group.add_argument(
        "--learning_rate", type=above_zero, default=3e-4, help="at the start; falls to 0 in a straight line"
    )
    group.add_argument("--eval_steps", type=positive, help="steps between evaluations; without it an epoch")
    group.add_argument("--logging_steps", type=positive, default=5, help="steps between two lines of the log")
    group.add_argument("--patience", type=positive, help="end after so many evaluations without a better one")
    group.add_argument(
        "--balance", choices=["none", "class", "lang"], default="none", help="draw rare classes or languages more often"
    )
    group.add_argument("--test_share", type=part, default=0.05, help="share of rows that is held out")
    group.add_argument(
        "--seed", type=int, default=0, help="of the head's start, the order of rows, and which are held out"
    )
    group.add_argument("--use_wandb", action="store_true", help="log to Weights & Biases too")
    group.add_argument("--wandb_project", help="needed with --use_wandb")
    group.add_argument("--wandb_entity", help="needed with --use_wandb")
    group.add_argument("--paper_exact", action="store_true", help="the released split, classes and training")
    add_step_arguments(parser)
    args = parser.parse_args()
    if args.use_wandb and not (args.wandb_project and args.wandb_entity):
        parser.error("--use_wandb needs --wandb_project and --wandb_entity")
    if args.paper_exact and args.head == "linear":
        parser.error("--paper_exact: the released head is a pooler")
    return args


def settings_of(args: argparse.Namespace) -> object:
    import torch

    from edu_filter.training import Settings

    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise CommonError(f"--device {device}: there is no GPU")
    same = (
        "base_model head pooling max_length eval_batch_size learning_rate eval_steps logging_steps patience balance"
        " test_share seed batch_tokens paper_exact"
    ).split()
    values = {name: getattr(args, name) for name in same}
    values |= {"epochs": args.num_train_epochs, "batch_size": args.train_batch_size, "device": device}
    values |= {"dtype": args.dtype or ("fp32" if device == "cpu" else "bf16")}
    values |= {"cache_dir": args.cache_dir or str(Path(args.output_dir) / "features")}
    if args.paper_exact:
        values |= RELEASED | {"eval_steps": args.eval_steps or RELEASED["eval_steps"]}
    return Settings(**values)


def main() -> None:
    args = parse_args()
    folder = Path(args.output_dir)
    predictions, metrics, model = folder / "predictions.jsonl", folder / "metrics.json", folder / "model"
    start = [args.base_model] if Path(args.base_model).is_dir() else []
    refuse_overlap([*input_files(args.json_file), *start], [model, predictions, metrics])
    with RatingsStep([args.json_file], predictions, writes=[metrics], **step_options(args)) as step:
        from edu_filter.training import log_to_wandb, train

        rated = read_rated(step, args)
        settings = settings_of(args)
        result = train(rated, settings, model)
        write_text(metrics, json.dumps(result.metrics, indent=1, ensure_ascii=False))
        step.facts["held_out"] = result.metrics["rows"]["held_out"]
        for one in rated:
            step.write(*filter(None, [result.predictions.get(one.row)]))
    if args.use_wandb:
        log_to_wandb(result.history, args.wandb_project, args.wandb_entity, vars(args))
    head = result.metrics["head"]
    macro = "–" if head["f1_macro"] is None else f"{head['f1_macro']:.3f}"  # of one row or none
    print(f"macro-F1 {macro}, F1 at 3 {head['at_3']['f1']:.3f} on {head['rows']:,} held-out rows")


if __name__ == "__main__":
    run_main(main)
