"""Kill a training of a tiny model at random moments until it is done; its loss and weights are those of one left alone.

    python tests/bench/kill_training.py --folder /tmp/kills --seed 3

out  {"kills": …, "same_loss": true, "same_weights": true}; exit code 1 if not
"""

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without an install

from common import manifest
from common.program import make_parser, run_main
from common.rows import write_rows

TRAINING = Path(__file__).resolve().parents[2] / "common" / "training"
HOW = "--per_device_train_batch_size 8 --learning_rate 1e-3 --logging_steps 1 --save_steps 3 --num_train_epochs 1"


def start(folder: Path, name: str) -> subprocess.Popen:
    command = [sys.executable, "-u", str(TRAINING / "finetune.py"), "--data_path", "rows.jsonl", *HOW.split()]
    command += ["--model_name_or_path", "start", "--output_dir", name]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def killed_in_time(process: subprocess.Popen, steps: int, seconds: float) -> bool:
    """Kill it some moments after so many steps; False if it was done before."""
    for line in process.stdout:
        steps -= "'loss'" in line
        if steps <= 0:
            time.sleep(seconds)
            process.kill()
            break
    process.stdout.close()
    return process.wait() != 0


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="an empty folder to work in")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    args.folder.mkdir(parents=True)
    rows = [{"instruction": f"{a}+{b}=?", "output": str(a + b)} for a in range(20) for b in range(16)]
    write_rows(args.folder / "rows.jsonl", rows)
    make = [sys.executable, str(TRAINING / "small_model.py"), "--data_path", "rows.jsonl", "--save_path", "start"]
    subprocess.run([*make, "--hidden", "64", "--layers", "2"], cwd=args.folder, check=True)
    start(args.folder, "whole").communicate()
    draws, kills = random.Random(args.seed), 0
    while killed_in_time(start(args.folder, "killed"), draws.randint(1, 16), draws.random() * 0.05):
        kills += 1
    whole, killed = (manifest.read(args.folder / name)["loss"] for name in ("whole", "killed"))
    weights = {manifest.hash_file(args.folder / name / "model.safetensors") for name in ("whole", "killed")}
    same = {"same_loss": whole == killed, "same_weights": len(weights) == 1}
    print(json.dumps({"kills": kills} | same))
    sys.exit(not all(same.values()))


if __name__ == "__main__":
    run_main(main)
