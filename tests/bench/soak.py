"""Kill every step at random moments and compare what comes out in the end with an undisturbed run, byte for byte.

    python tests/bench/soak.py --kills 1000                      # all steps in turn, until so many were killed
    python tests/bench/soak.py --kills 20 --steps eval.generate webr.step1
    python tests/bench/soak.py --full_disk                       # each step with a disk that fills
    python tests/bench/soak.py --list

Killed is, at random: the step's process, its whole group, or, of a step that asks, the stand-in server, which is
started again and fails three requests in ten anyway. Printed for each step: kills, differing files, answers that were
paid twice beyond those in flight when something was killed, processes and files left behind. Exit code 1 if anything
is wrong.

With --full_disk no file may grow beyond a few KB, then more, until the step ends: each run before must end with a
sentence, and the last one as if nothing had been.

The steps are those of tests/bench/soak_steps.py. All files that a step leaves are compared, but for stores, manifests
and a training's checkpoints.
"""

import argparse
import json
import os
import random
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without an install

from common.errors import CommonError
from common.program import make_parser, positive, run_main
from common.rows import read_rows, write_rows
from tests.bench.soak_steps import STEPS

ROOT = Path(__file__).resolve().parents[2]
CONCURRENCY = 8
ASKING = f"--base_url {{url}} --concurrency {CONCURRENCY} --request_timeout 3 --sampling_seed 1"
VOLATILE = (".manifest.json", ".answers.sqlite", ".answers.sqlite-wal", ".answers.sqlite-shm")
VOLATILE += ("training_args.bin", "adapter_config.json")  # hold a date, a set in any order
LINGER = 10.0  # seconds that workers may outlive the process that started them


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

    def paid(self) -> list[str]:
        """The requests that it answered."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.split()[0] for line in lines if line.endswith(" 200")]


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def start(step: str, server: Server, out: Path, done: Path, largest: int = resource.RLIM_INFINITY) -> subprocess.Popen:
    """`largest` is how many bytes a file may have."""
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
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY)),
    )


def finish(step: str, process: subprocess.Popen) -> None:
    _, said = process.communicate()
    if process.returncode:
        raise CommonError(f"{step} ended with {process.returncode}: {said.strip()}")


def group_has_ended(group: int) -> bool:
    """Whether none of its processes is there any more, soon."""
    ends = time.monotonic() + LINGER
    while alive := [state for state in map(read_state, Path("/proc").glob("[0-9]*/stat")) if state == (group, True)]:
        if time.monotonic() > ends:
            break
        time.sleep(0.1)
    return not alive


def read_state(stat: Path) -> tuple[int, bool]:
    """The group of a process, and whether it is more than a dead one that nobody has asked for."""
    try:
        state, _, group = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:3]
    except OSError:  # it has just ended
        return 0, False
    return int(group), state != "Z"


def outputs(folder: Path) -> dict[str, bytes]:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and not file.name.endswith(VOLATILE)]
    names = {str(file.relative_to(folder)): file for file in files}
    return {name: file.read_bytes() for name, file in names.items() if "/checkpoint-" not in name}


def empty_folder(done: Path) -> Path:
    """One path for all runs: some files name the folder that they lie in."""
    out = done.with_name("out")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    return out


def undisturbed(step: str, server: Server, done: Path) -> tuple[dict[str, bytes], float]:
    """What the step leaves, which goes to `done` for the steps behind it, and its seconds."""
    out, started = empty_folder(done), time.monotonic()
    finish(step, start(step, server, out, done))
    seconds = time.monotonic() - started
    shutil.copytree(out, done, dirs_exist_ok=True)
    return outputs(out), seconds


def fill_the_disk(step: str, server: Server, done: Path, expected: dict[str, bytes]) -> list[str]:
    """What is wrong in runs for which there is too little room, and in the one that has enough."""
    out, wrong, said = empty_folder(done), [], []
    for largest in (0, *(2**power for power in range(9, 24, 2)), resource.RLIM_INFINITY):
        process = start(step, server, out, done, largest)
        said.append(process.communicate()[1].strip())
        if not process.returncode:
            break
        if "Traceback" in said[-1] or "cannot be" not in said[-1]:
            wrong.append(f"{step} with {largest} bytes a file: {said[-1][-1500:]}")
    found = outputs(out)
    wrong += [f"{name} differs" for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
    if process.returncode:
        wrong.append(f"{step} ended with {process.returncode}")
    print(
        f"{step:<20} {len(said) - 1:4} full disks, {'; '.join(wrong) or 'a sentence each time, same bytes'}", flush=True
    )
    return wrong


def torment(
    step: str, server: Server, done: Path, expected: dict[str, bytes], seconds: float, kills: int, rng: random.Random
) -> list[str]:
    """What is wrong after so many kills of a step that takes so many seconds undisturbed."""
    out, paid_before = empty_folder(done), len(server.paid())
    kinds = ["process", "group", "server"] if "{asking}" in STEPS[step] else ["process", "group"]
    process, killed = start(step, server, out, done), []
    for _ in range(kills):
        time.sleep(rng.uniform(0.1, 1.1) * seconds)
        if (kind := rng.choice(kinds)) == "server":
            server.kill()
            server.start()
            continue
        (os.kill if kind == "process" else os.killpg)(process.pid, signal.SIGKILL)
        if process.wait() not in (0, -signal.SIGKILL):
            return [f"{step} ended by itself with {process.returncode}: {process.stderr.read().strip()}"]
        killed.append(process.pid)
        process = start(step, server, out, done)
    finish(step, process)
    found, paid = outputs(out), server.paid()[paid_before:]
    paid_twice = len(paid) - len(set(paid))
    wrong = [f"{name} differs" for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
    if paid_twice > kills * CONCURRENCY:
        wrong.append("more was paid twice than was in flight")
    if outlived := [process for process in killed if not group_has_ended(process)]:
        wrong.append(f"{len(outlived)} left workers behind")
    print(
        f"{step:<20} {kills:4} kills, {paid_twice:4} answers paid twice, {'; '.join(wrong) or 'same bytes'}", flush=True
    )
    return wrong


def prepare(done: Path, commands: str) -> None:
    """Inputs that no step makes: questions, pairs of answers, documents in three files; models, if they are needed."""
    questions = [
        {"id": number, "prompt": f"What is {number}, and 第 {number} 个? Two. Three."} for number in range(300)
    ]
    write_rows(done / "questions.jsonl", questions)
    write_rows(done / "others.jsonl", [row | {"response": f"One. {row['id']}"} for row in questions])
    pairs = [{"prompt": row["prompt"], "Answer1": f"One. {row['id']}", "Answer2": "Another."} for row in questions[:60]]
    (done / "pairs.json").write_text(json.dumps({"Meta_Info": {}, "data": pairs}), encoding="utf-8")
    documents = list(read_rows(ROOT / "edu_filter" / "sample" / "documents.jsonl"))
    for number in range(3):
        write_rows(done / "documents" / f"{number}.jsonl", documents[number::3])
    if "{done}/causal" in commands:
        make = [sys.executable, ROOT / "common" / "training" / "small_model.py", "--save_path", done / "causal"]
        samples = [ROOT / method / "sample" for method in ("superfiltering", "web_to_sft", "augcon")]
        texts = [file for sample in samples for file in sorted(sample.iterdir())]
        small = ["--hidden", "32", "--layers", "1"]
        subprocess.run([*make, *small, "--data_path", *texts], check=True, stdout=subprocess.DEVNULL)
    if "{done}/encoder" in commands:
        from tests.edu_filter.tiny_models import make_encoder

        make_encoder(done / "encoder", "bert", (row["texto"] for row in documents))


def needed_for(wanted: list[str]) -> list[str]:
    """These, and those of their methods that come before the last of them."""
    last = {step.partition(".")[0]: place for place, step in enumerate(STEPS) if step in wanted}
    return [step for place, step in enumerate(STEPS) if place <= last.get(step.partition(".")[0], -1)]


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--kills", type=positive, default=100, help="in all")
    parser.add_argument("--kills_a_round", type=positive, default=5, help="before a step may come to its end")
    parser.add_argument(
        "--steps", nargs="+", choices=STEPS, default=list(STEPS), help="which; those before them run too"
    )
    parser.add_argument("--faults", type=float, default=0.3, help="share of requests that the server fails")
    parser.add_argument(
        "--delay", type=float, default=0.05, help="seconds of an answer, so that kills hit some in flight"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--full_disk", action="store_true", help="fill the disk instead of killing")
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
    needed = needed_for(args.steps)
    wrong, rng = [], random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        done = Path(folder, "done")
        done.mkdir()
        prepare(done, " ".join(STEPS[step] for step in needed))
        good, faulty = Server(Path(folder, "good.log"), content), Server(Path(folder, "faulty.log"), bad)
        good.start()
        faulty.start()
        try:
            expected = {step: undisturbed(step, good, done) for step in needed}
            kills = 0
            if args.full_disk:
                wrong = [one for step in args.steps for one in fill_the_disk(step, good, done, expected[step][0])]
            while kills < args.kills and not args.full_disk:
                for step in args.steps:
                    wrong += torment(step, faulty, done, *expected[step], args.kills_a_round, rng)
                    kills += args.kills_a_round
        finally:
            good.kill()
            faulty.kill()
    if wrong:
        raise CommonError(f"{kills} kills: {'; '.join(wrong)}")
    if args.full_disk:
        return
    print(f"{kills} kills: the same bytes each time, nothing paid twice but what was in flight")


if __name__ == "__main__":
    run_main(main)
