"""AlpacaEval 2's length-controlled win rate, computed by the package that defines it, in an environment of its own.

    bash eval/setup_alpaca.sh
    .venv-alpaca/bin/python eval/length_controlled.py --data_path verdicts.jsonl --gamed df_gamed.csv \\
        --save_path alpaca_eval_lc.json

in   verdicts of eval/alpaca_eval.py; df_gamed.csv of the hub's tatsu-lab/alpaca_eval
out  {"length_controlled_winrate": 34.4, "lc_standard_error": 1.4, "win_rate": 25.3, "rows": 805}
The model's win rate with no difference in length, by a logistic regression on length, difficulty of the instruction and
model. The lengths' scale is that of the model's own rows, so a part of them gives another figure, and says so.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common import manifest
from common.errors import BadInput, CommonError
from common.program import make_parser, run_main
from common.rows import read_rows, refuse_overlap, write_text
from eval.benchmark_tasks import limited

GAMED = ("preference", "index", "std_delta_len", "instruction_difficulty", "not_gamed_baseline", "model")


def read_verdicts(path: str) -> list[dict]:
    rows = list(read_rows(path))
    for number, row in enumerate(rows):
        if "preference" not in row or "index" not in row:
            raise BadInput(f"{path}, row {number}: no 'preference' and 'index'; `judge` writes them")
    return rows


def settings_of(path: str) -> dict:
    """The judge of these verdicts, and in whose words it was asked."""
    said = manifest.read(Path(path)) if manifest.path_of(Path(path)).exists() else {}
    return said.get("result", {}).get("settings", {})


def length_controlled(verdicts: list[dict], gamed: str) -> dict:
    here = str(Path(__file__).resolve().parent)  # its alpaca_eval.py is not the package
    sys.path[:] = [folder for folder in sys.path if folder != here]
    try:
        import pandas
        from alpaca_eval.metrics import glm_winrate
    except ImportError:
        raise CommonError("this needs the package alpaca_eval: bash eval/setup_alpaca.sh") from None
    found = pandas.read_csv(gamed, nrows=0).columns
    if missing := [name for name in GAMED if name not in found]:
        raise BadInput(
            f"{gamed}: has no column {', '.join(missing)}; it is the hub's tatsu-lab/alpaca_eval, df_gamed.csv"
        )
    glm_winrate.hf_hub_download = lambda **unused: gamed  # it would be fetched even where everything else is here
    read = [row for row in verdicts if row["preference"] is not None]
    annotations = pandas.DataFrame(read)[["index", "preference", "output_1", "output_2"]]
    names = {"generator_1": "baseline", "generator_2": "model", "annotator": "judge"}
    return glm_winrate.get_length_controlled_winrate(annotations.assign(**names), save_weights_dir=None)


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="output of `eval/alpaca_eval.py judge`")
    parser.add_argument("--gamed", required=True, help="the hub's df_gamed.csv")
    parser.add_argument("--save_path", required=True, help="the result (.json)")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    refuse_overlap([args.data_path, args.gamed], [args.save_path])
    verdicts = read_verdicts(args.data_path)
    result = {name: float(value) for name, value in length_controlled(verdicts, args.gamed).items()}
    note = limited("alpaca_eval", len(verdicts))
    result |= {"rows": len(verdicts), "settings": settings_of(args.data_path), "note": note}
    write_text(Path(args.save_path), json.dumps(result, indent=1) + "\n")
    print(f"length-controlled win rate {result['length_controlled_winrate']:.2f} %", f"({note})" if note else "")


if __name__ == "__main__":
    run_main(main)
