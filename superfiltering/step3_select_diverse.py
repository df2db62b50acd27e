"""Superfiltering.D: of the rows with the highest IFD keep few that stand for all (greedy facility location).

    python superfiltering/step3_select_diverse.py --json_data_path alpaca_with_ifd.json \
        --json_save_path alpaca_diverse.json

in   the rows of step 2: {"instruction": "...", "input": "...", "output": "...", "ifd_ppl": 0.93}
out  2 % of them, of the best 20 %, in the order they were picked (of Alpaca: 1,040 of 10,400)

The embeddings lie in <json_save_path>.embeddings.npz; the same command with another --fla_num finds them there.
"""

import argparse
import sys
from array import array
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput
from common.program import make_parser, positive, run_main
from common.step import Step, add_step_arguments, step_options
from superfiltering.facility_location import facility_location
from superfiltering.selection import difficult_rows, rows_in_order, score_of
from superfiltering.sentence_vectors import KINDS, text_to_embed, vectors_once

RELEASED_IFD_NUM, RELEASED_FLA_NUM = 520, 100  # the defaults of the released program; its script says 10400 and 1040


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--json_data_path", required=True, help="rows with scores, from step 2")
    parser.add_argument("--json_save_path", required=True, help="the rows to keep")
    group = parser.add_argument_group("by difficulty")
    group.add_argument("--key_name", default="ifd_ppl", help="score to rank by")
    group.add_argument("--ifd_num", type=int, help="rows that go on (20 %% of all); 0: all between the two bounds")
    group.add_argument("--ifd_lower", type=float, default=0.9, help="with --ifd_num 0: only scores above this")
    group.add_argument("--ifd_lupper", type=float, default=1.0, help="only scores below this; 0: no bound")
    group = parser.add_argument_group("by diversity")
    group.add_argument("--fla_num", type=positive, help="rows to keep (2 %% of all)")
    group.add_argument(
        "--emb_model", default="sentence-transformers/all-MiniLM-L6-v2", help="sentence encoder: a name or a folder"
    )
    group.add_argument("--emb_type", choices=KINDS, default="whole", help="text of a row that is compared")
    group.add_argument("--batch_size", type=positive, default=64, help="texts embedded together")
    group.add_argument("--similarity", choices=["euclidean", "cosine"], default="euclidean", help="of two texts")
    group.add_argument("--device", help="cpu, cuda (embeddings: cuda if there is one; facility location: cpu)")
    released = f"as released: {RELEASED_IFD_NUM} and {RELEASED_FLA_NUM} rows if not told, an empty input is a line"
    group.add_argument("--paper_exact", action="store_true", help=released)
    add_step_arguments(parser)
    return parser.parse_args()


def numbers_to_keep(args: argparse.Namespace, total: int) -> tuple[int, int]:
    """Rows that are difficult enough, and rows that stand for them."""
    ifd_num, fla_num = (RELEASED_IFD_NUM, RELEASED_FLA_NUM) if args.paper_exact else (max(1, total // 5), total // 50)
    return ifd_num if args.ifd_num is None else args.ifd_num, args.fla_num or fla_num


def main() -> None:
    args = parse_args()
    embeddings = Path(f"{args.json_save_path}.embeddings.npz")
    options = step_options(args) | {"allow_nan": True, "writes": [embeddings]}

    def text_of(row: dict) -> str:
        return text_to_embed(row, args.emb_type, args.paper_exact)

    with Step([args.json_data_path], args.json_save_path, **options) as step:
        places, scores = array("q"), array("d")
        for place, _, (score, _) in step.values(
            lambda row: (score_of(row, args.key_name, args.paper_exact), text_of(row))
        ):
            places.append(place)
            scores.append(score)
        ifd_num, fla_num = numbers_to_keep(args, len(scores))
        difficult = difficult_rows(scores, ifd_num, args.ifd_lower, args.ifd_lupper)
        if not 1 <= fla_num <= len(difficult) - args.paper_exact:  # the released library keeps fewer than there are
            few = f"{fla_num:,} to keep of {len(difficult):,} rows that qualify"
            raise BadInput(f"{args.json_data_path}: {few}; name --fla_num")
        rows = rows_in_order(args.json_data_path, [places[at] for at in difficult], args.split)
        vectors = vectors_once([text_of(row) for row in rows], args.emb_model, args.batch_size, args.device, embeddings)
        for at in facility_location(vectors, fla_num, args.similarity, args.device or "cpu"):
            step.write(rows[at])
        not_kept = len(scores) - fla_num
        step.counts.update({"difficult": len(difficult), "kept": fla_num, "not kept": not_kept, "done": not_kept})


if __name__ == "__main__":
    run_main(main)
