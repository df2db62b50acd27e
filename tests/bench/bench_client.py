"""Requests a second: eval/generate.py, with store and order, against a bare aiohttp loop on the same dummy server.

    python tests/bench/bench_client.py                                  # the ratio at 64, 256 and 1,024 in flight
    python tests/bench/bench_client.py --memory_rows 1000000            # peak memory with so many rows pending

The dummy server (a process of its own) answers every request after 200 ms.
"""

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

HERE = Path(__file__).parent
SECONDS_A_RUN = 5
REPEATS = 3


@contextmanager
def dummy_server() -> Iterator[str]:
    command = [sys.executable, HERE / "dummy_server.py", "--port", "0", "--latency", "0.2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().split()[-1]
        finally:
            server.terminate()


def questions(path: Path, count: int) -> None:
    with open(path, "w", encoding="utf-8") as file:
        for number in range(count):
            file.write(json.dumps({"prompt": f"Question {number}: " + "what does this sentence say? " * 8}) + "\n")


async def bare_loop(url: str, in_flight: int, path: Path) -> None:
    """What anybody would write without store, retries and order."""
    with open(path, encoding="utf-8") as file:
        prompts = iter([json.loads(line)["prompt"] for line in file])

    async def worker(session: aiohttp.ClientSession) -> None:
        for prompt in prompts:
            body = {"model": "dummy", "messages": [{"role": "user", "content": prompt}], "max_tokens": 1024}
            async with session.post(f"{url}/chat/completions", json=body) as response:
                answer = await response.json()
                answer["choices"][0]["message"]["content"]

    started = time.perf_counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(worker(session) for _ in range(in_flight)))
    print(time.perf_counter() - started)


def run_bare(url: str, in_flight: int, path: Path) -> float:
    command = [sys.executable, __file__, "--bare", url, "--in_flight", str(in_flight), "--data_path", path]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def run_ours(url: str, in_flight: int, path: Path, *more: str) -> float:
    """Seconds of the whole step as its manifest states them: reading, asking, storing, writing, syncing, hashing."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "answers.jsonl")
        command = [sys.executable, "-m", "eval.generate", "--data_path", path, "--save_path", output]
        command += ["--base_url", url, "--model", "dummy", "--concurrency", str(in_flight), *more]
        subprocess.run(command, check=True, capture_output=True, cwd=HERE.parent.parent)
        return json.loads(Path(f"{output}.manifest.json").read_text(encoding="utf-8"))["seconds"]


def compare(folder: Path) -> None:
    print(f"{'in flight':>9} {'bare':>9} {'ours':>9}  ratio   (requests/s, median of {REPEATS})")
    with dummy_server() as url:
        for in_flight in (64, 256, 1024):
            count = in_flight * 5 * SECONDS_A_RUN
            path = folder / f"{in_flight}.jsonl"
            questions(path, count)
            pairs = [(run_bare(url, in_flight, path), run_ours(url, in_flight, path)) for _ in range(REPEATS)]
            bare, ours = (count / statistics.median(times) for times in zip(*pairs, strict=True))
            print(f"{in_flight:9,} {bare:9,.0f} {ours:9,.0f}  {ours / bare:.2f}")


def measure_memory(folder: Path, rows: int) -> None:
    path = folder / "pending.jsonl"
    questions(path, rows)
    with dummy_server() as url:
        seconds = run_ours(url, 1024, path)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{rows:,} rows, 1,024 in flight: peak memory {peak:,.0f} MB, {rows / seconds:,.0f} requests/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory_rows", type=int, help="measure memory with so many rows instead")
    parser.add_argument("--bare", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--in_flight", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--data_path", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.bare:
        asyncio.run(bare_loop(args.bare, args.in_flight, args.data_path))
        return
    with tempfile.TemporaryDirectory() as folder:
        if args.memory_rows:
            measure_memory(Path(folder), args.memory_rows)
        else:
            compare(Path(folder))


if __name__ == "__main__":
    main()
