"""Kill every step at random moments and compare what comes out in the end with an undisturbed run, byte for byte.

    python tests/bench/soak.py --kills 1000                      # all steps in turn, until so many were killed
    python tests/bench/soak.py --kills 20 --steps eval.generate webr.step1
    python tests/bench/soak.py --list

Killed is, in turn at random: the step's process, its whole group, or the stand-in server, which is started again and
fails three requests in ten anyway. Printed for each step: kills, differing files, answers that were paid twice beyond
those in flight when something was killed, what was left lying about. Exit code 1 if anything is wrong.

A step is one line in STEPS: `{asking}` names the server, `{out}` is the folder of this run, `{done}` that of the
undisturbed run, where the results of the steps before it lie. All files that a step leaves in {out} are compared, but
for stores and manifests.
"""

import argparse
import json
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without an install

from common.errors import CommonError
from common.program import make_parser, positive, run_main
from common.rows import write_rows

ROOT = Path(__file__).resolve().parents[2]
CONCURRENCY = 8
ASKING = f"--base_url {{url}} --concurrency {CONCURRENCY} --request_timeout 3 --sampling_seed 1"
STEPS = {
    "eval.generate": "eval/generate.py --data_path {done}/questions.jsonl --save_path {out}/answers.jsonl {asking}",
    "eval.judge_pairs": "eval/judge_pairs.py judge --wrapped_path {done}/pairs.json --save_path {out}/r.json {asking}",
    "webr.step1": "webr/step1_infer_author.py --data_path webr/sample/pages.jsonl --save_path {out}/1.jsonl {asking}",
    "webr.step2": "webr/step2_make_requests.py --data_path {done}/1.jsonl --save_path {out}/2.jsonl {asking}",
    "webr.step3": "webr/step3_make_responses.py --data_path {done}/2.jsonl --save_path {out}/3.jsonl {asking}",
    "webr.step4": "webr/step4_refine_responses.py --data_path {done}/3.jsonl --save_path {out}/4.jsonl {asking}",
    "web_to_sft.step1": "web_to_sft/step1_match_pairs.py --web_path web_to_sft/sample/web.jsonl"
    " --high_quality_path web_to_sft/sample/clean.jsonl --save_path {out}/pairs.jsonl",
    "web_to_sft.step4": "web_to_sft/step4_convert_web.py --data_path web_to_sft/sample/web.jsonl"
    " --save_path {out}/converted.jsonl {asking}",
    "augcon.step1": "augcon/step1_generate_questions.py --data_path augcon/sample/articles.jsonl"
    " --save_path {out}/augcon.jsonl {asking}",
    "edu_filter.step1": "edu_filter/step1_rate.py --data_path edu_filter/sample/documents.jsonl"
    " --save_path {out}/rated.jsonl {asking}",
}
VOLATILE = (".manifest.json", ".answers.sqlite", ".answers.sqlite-wal", ".answers.sqlite-shm")


@dataclass
class Server:
    """The stand-in, on one port all along, so that a step finds it again."""

    log: Path
    flags: list[str]
    port: int = field(default_factory=lambda: free_port())

    def start(self) -> None:
        command = [sys.executable, "-m", "common.llm.standin", "--port", str(self.port), "--log_path", str(self.log)]
        self.process = subprocess.Popen([*command, *self.flags], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline().startswith("serving"), "the stand-in did not start"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def paid_twice(self) -> int:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        answered = Counter(line.split()[0] for line in lines if line.endswith(" 200"))
        return answered.total() - len(answered)


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def start(step: str, server: Server, out: Path, done: Path) -> subprocess.Popen:
    words = shlex.split(STEPS[step].format(asking=ASKING.format(url=server.url), out=out, done=done))
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(step: str, process: subprocess.Popen) -> None:
    _, said = process.communicate()
    if process.returncode:
        raise CommonError(f"{step} ended with {process.returncode}: {said.strip()}")


def outputs(folder: Path) -> dict[str, bytes]:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and not file.name.endswith(VOLATILE)]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def undisturbed(step: str, server: Server, done: Path) -> tuple[dict[str, bytes], float]:
    """What the step leaves, which goes to `done` for the steps behind it, and its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        finish(step, start(step, server, Path(folder), done))
        seconds = time.monotonic() - started
        shutil.copytree(folder, done, dirs_exist_ok=True)
        return outputs(Path(folder)), seconds


def torment(
    step: str, server: Server, done: Path, expected: dict[str, bytes], seconds: float, kills: int, rng: random.Random
) -> list[str]:
    """What is wrong after so many kills of a step that takes so many seconds undisturbed."""
    with tempfile.TemporaryDirectory() as folder:
        out, paid_twice = Path(folder), server.paid_twice()
        process = start(step, server, out, done)
        for _ in range(kills):
            time.sleep(rng.uniform(0.1, 1.1) * seconds)
            if (kind := rng.choice(["process", "group", "server"])) == "server":
                server.kill()
                server.start()
                continue
            (os.kill if kind == "process" else os.killpg)(process.pid, signal.SIGKILL)
            if process.wait() not in (0, -signal.SIGKILL):
                return [f"ended by itself with {process.returncode}: {process.stderr.read().strip()}"]
            process = start(step, server, out, done)
        finish(step, process)
        found, paid_twice = outputs(out), server.paid_twice() - paid_twice
    wrong = [f"{name} differs" for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
    if paid_twice > kills * CONCURRENCY:
        wrong.append("more was paid twice than was in flight")
    print(
        f"{step:<20} {kills:4} kills, {paid_twice:4} answers paid twice, {'; '.join(wrong) or 'same bytes'}", flush=True
    )
    return wrong


def prepare(done: Path) -> None:
    """Inputs that no step makes: questions, and pairs of answers."""
    questions = [
        {"id": number, "prompt": f"What is {number}, and 第 {number} 个? Two. Three."} for number in range(300)
    ]
    write_rows(done / "questions.jsonl", questions)
    pairs = [{"prompt": row["prompt"], "Answer1": f"One. {row['id']}", "Answer2": "Another."} for row in questions[:60]]
    (done / "pairs.json").write_text(json.dumps({"Meta_Info": {}, "data": pairs}), encoding="utf-8")


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--kills", type=positive, default=100, help="in all")
    parser.add_argument("--kills_a_round", type=positive, default=5, help="before a step may come to its end")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS), help="which to torment; all run")
    parser.add_argument("--faults", type=float, default=0.3, help="share of requests that the server fails")
    parser.add_argument(
        "--delay", type=float, default=0.05, help="seconds of an answer, so that kills hit some in flight"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--list", action="store_true", help="print the steps and end")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.list:
        print("\n".join(STEPS))
        return
    content = [
        "--fault_empty",
        "0.05",
        "--fault_refusal",
        "0.02",
        "--delay",
        str(args.delay),
        "--jitter",
        str(args.delay),
    ]
    bad = ["--faults", str(args.faults), "--hang_seconds", "60", "--retry_after", "0", *content]
    needed = list(STEPS)[: max(map(list(STEPS).index, args.steps)) + 1]
    wrong, rng = [], random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        done = Path(folder, "done")
        done.mkdir()
        prepare(done)
        good, faulty = Server(Path(folder, "good.log"), content), Server(Path(folder, "faulty.log"), bad)
        good.start()
        faulty.start()
        try:
            expected = {step: undisturbed(step, good, done) for step in needed if step in args.steps or "webr" in step}
            kills = 0
            while kills < args.kills:
                for step in args.steps:
                    wrong += torment(step, faulty, done, *expected[step], args.kills_a_round, rng)
                    kills += args.kills_a_round
        finally:
            good.kill()
            faulty.kill()
    if wrong:
        raise CommonError(f"{kills} kills: {'; '.join(wrong)}")
    print(f"{kills} kills: the same bytes each time, nothing paid twice but what was in flight")


if __name__ == "__main__":
    run_main(main)
