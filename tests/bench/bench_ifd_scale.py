"""Step 1 of superfiltering from ten thousand to a million rows: seconds a row and peak memory must stay flat.

    python -m tests.bench.bench_ifd_scale                  # 10,000 to 1,000,000 rows, about 10 minutes on 2 cores
    python -m tests.bench.bench_ifd_scale --rows 10000 100000

A two-layer model made on the spot, so that what is timed is everything around the model: reading, splitting into
parts, tokenising, sorting into batches, writing, joining.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.superfiltering.conftest import TEXTS, make_model, make_tokenizer


def write_data(path: Path, rows: int) -> None:
    draw = random.Random(0)
    words = [word for text in TEXTS for word in text.split()]
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            output = " ".join(draw.choices(words, k=1 + draw.randrange(8)))
            row = {"instruction": f"Question {number}: {draw.choice(words)}", "input": "", "output": output}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model, data, scores = (Path(folder) / name for name in ("model", "data.jsonl", "scores.jsonl"))
        tokenizer = make_tokenizer(bos=False)
        make_model("gpt2", len(tokenizer)).save_pretrained(model)
        tokenizer.save_pretrained(model)
        command = [sys.executable, "superfiltering/step1_score_ifd.py", "--model_name_or_path", str(model)]
        command += ["--data_path", str(data), "--save_path", str(scores), "--max_length", "64", "--device", "cpu"]

        def seconds(rows: int) -> float:
            """Of the best run, with `rows` rows; small ones are run thrice."""
            write_data(data, rows)
            best = float("inf")
            for _ in range(3 if rows <= 10_000 else 1):
                scores.unlink(missing_ok=True)
                started = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                best = min(best, time.perf_counter() - started)
            return best

        start_up = seconds(10)
        print(f"start-up {start_up:.1f} s, taken off below")
        for rows in args.rows:
            elapsed = seconds(rows) - start_up
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # of the largest so far
            print(f"{rows:>9,} rows   {1e6 * elapsed / rows:6.0f} us a row   {peak:,.0f} MB", flush=True)


if __name__ == "__main__":
    main()
