"""How busy WebR keeps a server: all five steps over 1,000 pages, 200 ms an answer, 256 slots, against the ideal.

    python tests/bench/bench_webr.py                                   # about 10 seconds

The ideal is calls / 256 x 0.2 s; the five steps may take 1.15 times that and 10 s to start and write.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from common import manifest
from common.rows import read_rows, write_rows
from tests.bench import figures

ROOT = Path(__file__).parents[2]
STEPS = ("1_infer_author", "2_make_requests", "3_make_responses", "4_refine_responses")
# Guards that the one canned answer would not pass.
CANNED = {step: ["--any_form"] for step in STEPS[:2]} | {step: ["--max_repeated", "1"] for step in STEPS[2:]}


def pages(count: int, sample: Path) -> list[dict]:
    """About 4,000 characters each, as the authors' sample has: paragraphs of our own sample, shuffled."""
    paragraphs = [part for row in read_rows(sample) for part in row["webpage"].split("\n") if len(part) > 60]
    draw = random.Random(0)
    return [{"webpage": f"Page {n}\n" + "\n".join(draw.choices(paragraphs, k=22))} for n in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=1000)
    figures.add_argument(parser)
    args = parser.parse_args()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    server = [sys.executable, ROOT / "tests" / "bench" / "dummy_server.py", "--latency", "0.2"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(server, stdout=subprocess.PIPE, text=True, env=environment) as process,
    ):
        environment["OPENAI_BASE_URL"] = process.stdout.readline().split()[-1]
        paths = [Path(folder) / f"{number}.jsonl" for number in range(5)]
        write_rows(paths[0], pages(args.pages, ROOT / "webr" / "sample" / "pages.jsonl"))
        started, calls = time.time(), 0
        for step, source, target in zip(STEPS, paths, paths[1:], strict=False):
            command = [sys.executable, ROOT / "webr" / f"step{step}.py", "--data_path", source, "--save_path", target]
            command += CANNED[step]
            subprocess.run(command, env=environment, check=True)
            calls += manifest.read(target)["counts"]["requests"]
        command = [sys.executable, ROOT / "webr" / "step5_postprocess.py", "--save_name", Path(folder) / "out"]
        # One canned answer: every request repeats the first, so the guards are off and a single side is taken.
        command += ["--WI_data_paths", paths[-1], "--ratio", "any", "--any_language", "--min_response_chars", "0"]
        subprocess.run(command, env=environment, check=True)
        taken = time.time() - started
        process.terminate()
    ideal = calls / 256 * 0.2
    print(
        f"{args.pages:,} pages, {calls:,} calls: {taken:.1f} s; ideal {ideal:.1f} s, allowed {1.15 * ideal + 10:.1f} s"
    )
    what = f"five steps over {args.pages:,} pages, 200 ms an answer, 256 slots"
    detail = f"{calls:,} answers, for which the server alone needs {ideal:.1f} s"
    figures.keep(args.json, "webr", [figures.figure(what, taken, "s", 1.15 * ideal + 10, detail, at_most=True)])


if __name__ == "__main__":
    main()
