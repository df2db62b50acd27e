"""WebR's five steps against a server with 200 ms latency: seconds beside what the calls alone must take.

    python tests/bench/bench_webr.py --data_path pages.json --tokenizer_model_name DIR

The bound is calls / 256 x 0.2 s at 256 in flight. The dummy server answers every call with the same sentence, so the
guards are off; near-duplicates then leave little, which costs step 5 no less.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.bench_client import dummy_server

STEPS = {
    "step1_infer_author": "authors",
    "step2_make_requests": "requests",
    "step3_make_responses": "responses",
    "step4_refine_responses": "refined",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_path", required=True, help="pages")
    parser.add_argument("--tokenizer_model_name", required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, dummy_server() as url:
        out, source, calls = Path(folder), args.data_path, 0
        started = time.perf_counter()
        for step, name in STEPS.items():
            target = out / f"{name}.jsonl"
            command = [sys.executable, "-m", f"webr.{step}", "--data_path", source, "--save_path", target]
            subprocess.run([*command, "--base_url", url, "--model", "dummy"], check=True, capture_output=True)
            calls += json.loads(Path(f"{target}.manifest.json").read_text(encoding="utf-8"))["counts"]["requests"]
            source = target
        command = [sys.executable, "-m", "webr.step5_postprocess", "--WI_data_paths", source, "--WR_data_paths", source]
        command += ["--tokenizer_model_name", args.tokenizer_model_name, "--save_name", out / "set", "--any_language"]
        subprocess.run(command, check=True, capture_output=True)
        seconds = time.perf_counter() - started
    bound = calls / 256 * 0.2
    print(f"{calls:,} calls, {seconds:.1f} s; the calls alone {bound:.1f} s, allowed {1.15 * bound + 10:.1f} s")


if __name__ == "__main__":
    main()
