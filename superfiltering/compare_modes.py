"""What each difference from the released code touches, on your data and your scorer: rows, order, length bias.

    python -m superfiltering.compare_modes --data_path alpaca.json --model_name_or_path gpt2 --rows 300

in   Alpaca rows {"instruction": "...", "input": "...", "output": "..."}; the first --rows of them
out  for each numbered point of the README the rows that it touches; then a line for every way to score:
     its correlation with the released score, what its best 10 % share with the released best 10 %, and how far long
     answers are preferred (rho of IFD with answer tokens, median tokens of the best 10 %)
"""

import argparse
import math
import statistics
import sys
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.program import make_parser, positive, run_main
from common.rows import read_rows
from superfiltering.ifd import Scoring, begin_token, lines_with_reasons, released_lines
from superfiltering.score_parts import BATCH_TOKENS, text_of
from superfiltering.scored_text import released_text
from superfiltering.selection import Scores, select, shared, spearman
from superfiltering.sentence_vectors import text_to_embed
from superfiltering.step2_attach_scores import attached
from superfiltering.token_losses import Scorer, load_scorer


def ways_to_score(scorer: Scorer, tokens: list[str]) -> dict[str, Scoring]:
    start = begin_token(scorer.tokenizer)
    return {
        "default": Scoring(),
        **{f"--start_token {token}": Scoring(start_token=token) for token in dict.fromkeys([start, *tokens])},
        "--answer_by_offsets": Scoring(answer_by_offsets=True),
        "--cut_front": Scoring(cut_front=True),
        f"--start_token {start}, offsets, front": Scoring(start, answer_by_offsets=True, cut_front=True),
    }


def points_touched(rows: list[dict], released: list[dict], ours: list[dict]) -> dict[str, int]:
    """Rows that each point of the README's list touches, by its number there."""

    def ifd(line: dict, paper_exact: bool) -> float | None:
        return attached(line, paper_exact)["ifd_ppl"]

    texts = [[text_to_embed(row, "whole", mode) for mode in (False, True)] for row in rows]
    no_texts = [row for row in rows if not isinstance(row.get("input", ""), str)]
    pairs = [(ifd(one, True), ifd(other, False)) for one, other in zip(released, ours, strict=True)]
    return {
        "1 no released score: a reason instead": sum(other is None for _, other in pairs),
        "1 any other score (none is expected)": sum(other is not None and one != other for one, other in pairs),
        "2 an input that is null or no text": len(no_texts),
        "8 an empty input is no line in what is embedded": sum(one != other for one, other in texts),
    }


def comparison(released: Scores, ours: Scores, tokens: list[float], below: float) -> list[float]:
    """Rho with the released score, shared of the best 10 %, rho with answer tokens, median tokens of the best 10 %."""
    count = len(released) // 10
    best, of_released = select(ours, count, below), select(released, count, below)
    median = statistics.median(tokens[index] for index in best) if best else math.nan
    return [spearman(ours, released), shared(best, of_released), spearman(ours, tokens), median]


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="instruction data with one answer a row")
    parser.add_argument("--model_name_or_path", default="gpt2", help="scorer")
    parser.add_argument("--rows", type=positive, default=300, help="rows to look at")
    parser.add_argument("--max_length", type=positive, default=1024, help="window in tokens")
    parser.add_argument("--dtype", choices=["fp32", "bf16", "fp16"], default="fp32", help="of the matrix products")
    parser.add_argument("--start_tokens", nargs="*", default=[], help="further start tokens to try")
    parser.add_argument("--filter_threash", type=float, default=1.0, help="keep scores below this")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    scorer = load_scorer(args.model_name_or_path, dtype=args.dtype)
    rows = list(islice(read_rows(args.data_path), args.rows))
    batch_tokens = BATCH_TOKENS["cpu"]
    paper = released_lines(scorer, [released_text(row) for row in rows], args.max_length, batch_tokens)
    released = [attached(line, paper_exact=True)["ifd_ppl"] for line in paper]
    lengths = [float(len(ids)) for ids in scorer.tokenizer([row["output"] for row in rows])["input_ids"]]
    texts = [text_of(row, "none", scorer.tokenizer) for row in rows]
    print(f"{len(rows):,} rows, {args.model_name_or_path}; all: median {statistics.median(lengths):g} answer tokens")
    print(f"{'way to score':45} scored  rho with released  shared best 10 %  rho with length  tokens of best 10 %")
    for name, scoring in ways_to_score(scorer, args.start_tokens).items():
        lines = lines_with_reasons(scorer, texts, args.max_length, batch_tokens, scoring)
        ifd = [attached(line, paper_exact=False)["ifd_ppl"] for line in lines]
        if name == "default":
            touched = points_touched(rows, paper, lines)
        rho, same, bias, median = comparison(released, ifd, lengths, args.filter_threash)
        scored = sum(score is not None for score in ifd)
        print(f"{name:45} {scored:6,} {rho:18.2f} {same:17.2f} {bias:16.2f} {median:20g}", flush=True)
    print("\nrows that a point of the README touches")
    for point, count in touched.items():
        print(f"{point:60} {count:6,}  {count / len(rows):6.1%}")


if __name__ == "__main__":
    run_main(main)
