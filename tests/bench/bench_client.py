"""Requests a second: eval/generate.py, with store and order, against loops on the same dummy server: bare aiohttp, the
openai SDK, the SDK over aiohttp without its response models.

    python tests/bench/bench_client.py                                  # at 64, 256 and 1,024 in flight
    python tests/bench/bench_client.py --loops bare --in_flight 256 --seconds 3 --repeats 1
    python tests/bench/bench_client.py --memory_rows 1000000            # peak memory with so many rows pending

The dummy server (a process of its own) answers every request after 200 ms, with ids (connections are kept) and without.
"""

import argparse
import asyncio
import functools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without an install

from common.program import make_parser
from tests.bench import figures

HERE = Path(__file__).parent


@contextmanager
def dummy_server(*flags: str) -> Iterator[str]:
    command = [sys.executable, HERE / "dummy_server.py", "--port", "0", "--latency", "0.2", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().split()[-1]
        finally:
            server.terminate()


def questions(path: Path, count: int) -> None:
    with open(path, "w", encoding="utf-8") as file:
        for number in range(count):
            file.write(json.dumps({"prompt": f"Question {number}: " + "what does this sentence say? " * 8}) + "\n")


async def in_parallel(in_flight: int, path: Path, ask: Callable[[dict], Awaitable[None]]) -> None:
    """What anybody would write without store, retries and order; prints the seconds."""
    with open(path, encoding="utf-8") as file:
        prompts = iter([json.loads(line)["prompt"] for line in file])

    async def worker() -> None:
        for prompt in prompts:
            await ask({"model": "dummy", "messages": [{"role": "user", "content": prompt}], "max_tokens": 1024})

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    print(time.perf_counter() - started)


def text_of(answer: dict) -> str:
    return answer["choices"][0]["message"]["content"]


async def bare_loop(url: str, in_flight: int, path: Path) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(body: dict) -> None:
            async with session.post(f"{url}/chat/completions", json=body) as response:
                text_of(await response.json())

        await in_parallel(in_flight, path, ask)


async def sdk_loop(url: str, in_flight: int, path: Path, over_aiohttp: bool) -> None:
    """The openai SDK as it is, or over its aiohttp transport and without its response models."""
    import openai

    options = {"http_client": openai.DefaultAioHttpClient()} if over_aiohttp else {}
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, **options) as sdk:

        async def ask(body: dict) -> None:
            if over_aiohttp:
                raw = await sdk.chat.completions.with_raw_response.create(**body)
                text_of(json.loads(raw.content))
            else:
                assert (await sdk.chat.completions.create(**body)).choices[0].message.content

        await in_parallel(in_flight, path, ask)


LOOPS = {
    "bare": bare_loop,
    "sdk": functools.partial(sdk_loop, over_aiohttp=False),
    "sdk_aiohttp": functools.partial(sdk_loop, over_aiohttp=True),
}


def run_loop(name: str, url: str, in_flight: int, path: Path) -> float:
    command = [sys.executable, __file__, "--loop", name, "--url", url, "--in_flight", str(in_flight)]
    done = subprocess.run([*command, "--data_path", path], capture_output=True, text=True, check=True)
    return float(done.stdout)


def run_ours(url: str, in_flight: int, path: Path, *more: str) -> float:
    """Seconds of the whole step as its manifest states them: reading, asking, storing, writing, syncing, hashing."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "answers.jsonl")
        command = [sys.executable, "-m", "eval.generate", "--data_path", path, "--save_path", output]
        command += ["--base_url", url, "--model", "dummy", "--concurrency", str(in_flight), *more]
        subprocess.run(command, check=True, capture_output=True, cwd=HERE.parent.parent)
        return json.loads(Path(f"{output}.manifest.json").read_text(encoding="utf-8"))["seconds"]


def compare(folder: Path, in_flights: list[int], loops: list[str], seconds: float, repeats: int) -> list[dict]:
    found = []
    print(f"requests/s, median of {repeats}; ours / bare is the ratio")
    print(f"{'in flight':>9} {'ids':>4} " + "".join(f"{name:>12}" for name in [*loops, "ours", "ratio"]))
    for in_flight in in_flights:
        for no_ids in ([], ["--no_ids"]):
            with dummy_server(*no_ids) as url:
                count = int(in_flight * 5 * seconds)
                path = folder / f"{in_flight}.jsonl"
                questions(path, count)
                runs = [
                    [*(run_loop(name, url, in_flight, path) for name in loops), run_ours(url, in_flight, path)]
                    for _ in range(repeats)
                ]
            rates = [count / statistics.median(times) for times in zip(*runs, strict=True)]
            ratio = f"{rates[-1] / rates[loops.index('bare')]:.2f}" if "bare" in loops else ""
            shown = "".join(f"{rate:12,.0f}" for rate in rates)
            print(f"{in_flight:9,} {'no' if no_ids else 'yes':>4} {shown}{ratio:>12}", flush=True)
            what = f"requests/s against a bare aiohttp loop, 200 ms, {in_flight:,} in flight"
            what += ", a server that sends no ids" if no_ids else ""
            found += [figures.figure(what, float(ratio), "x", None if no_ids else 0.9)] if ratio else []
    return found


def measure_memory(folder: Path, rows: int) -> None:
    path = folder / "pending.jsonl"
    questions(path, rows)
    with dummy_server() as url:
        seconds = run_ours(url, 1024, path)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{rows:,} rows, 1,024 in flight: peak memory {peak:,.0f} MB, {rows / seconds:,.0f} requests/s")


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--memory_rows", type=int, help="measure memory with so many rows instead")
    parser.add_argument("--in_flight", type=int, nargs="+", default=[64, 256, 1024], help="requests in flight")
    parser.add_argument("--loops", nargs="+", choices=LOOPS, default=list(LOOPS), help="what to compare ours with")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a run, at the best rate there can be")
    parser.add_argument("--repeats", type=int, default=3, help="runs, of which the median counts")
    figures.add_argument(parser)
    parser.add_argument("--loop", choices=LOOPS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--data_path", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.loop:
        asyncio.run(LOOPS[args.loop](args.url, args.in_flight[0], args.data_path))
        return
    with tempfile.TemporaryDirectory() as folder:
        if args.memory_rows:
            measure_memory(Path(folder), args.memory_rows)
        else:
            found = compare(Path(folder), args.in_flight, args.loops, args.seconds, args.repeats)
            figures.keep(args.json, "common", found)


if __name__ == "__main__":
    main()
