"""Tokens a second of common/llm/small_server.py: many requests at once against one at a time, in the same run.

    python tests/bench/bench_small_server.py                     # SmolLM2-135M from its package
    python tests/bench/bench_small_server.py --model DIR --in_flight 32 --requests 64 --max_tokens 128

in   a model's folder; without --model SmolLM2 is written to a temporary one, half a minute
out  a line each for one at a time and for many, and their ratio, by the clock and by the server's processor time: the
     second is the same on a machine that others use. Prompts have 40 to 170 tokens; answers are as long as --max_tokens
     unless the model ends earlier
"""

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without an install

from common.program import make_parser, positive
from tests.bench import figures

ROOT = Path(__file__).resolve().parents[2]
WORDS = "the tide moves water because the moon and the sun pull at the sea and boats wait in the harbour".split()


def body_of(number: int, args: argparse.Namespace) -> dict:
    draw = random.Random(number)
    text = " ".join(draw.choices(WORDS, k=draw.randint(20, 120)))
    messages = [{"role": "user", "content": f"Write a long story, number {number}, about this: {text}"}]
    sampling = {"temperature": 0.7, "seed": number, "max_tokens": args.max_tokens}
    return {"model": args.model, "messages": messages, **sampling}


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def written_by(url: str, bodies: list[dict], in_flight: int) -> int:
    written, left = 0, iter(bodies)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:

        async def worker() -> None:
            nonlocal written
            for body in left:
                async with session.post(f"{url}/chat/completions", json=body) as response:
                    response.raise_for_status()
                    written += (await response.json())["usage"]["completion_tokens"]

        await asyncio.gather(*(worker() for _ in range(in_flight)))
    return written


def measure(name: str, url: str, pid: int, bodies: list[dict], in_flight: int) -> tuple[float, float]:
    """Tokens a second by the clock, and a second of the processor."""
    started, used = time.perf_counter(), processor_seconds(pid)
    written = asyncio.run(written_by(url, bodies, in_flight))
    rates = written / (time.perf_counter() - started), written / (processor_seconds(pid) - used)
    print(f"{name:>16} {written:7,} tokens {rates[0]:8.1f} a second {rates[1]:8.1f} a processor second", flush=True)
    return rates


def compare(server: subprocess.Popen, args: argparse.Namespace) -> None:
    url = server.stdout.readline().split()[-1]
    bodies = [body_of(number, args) for number in range(args.requests)]
    asyncio.run(written_by(url, bodies[:1], 1))  # warm
    alone = measure("one at a time", url, server.pid, bodies[: args.alone], 1)
    many = measure(f"{args.in_flight} at once", url, server.pid, bodies, args.in_flight)
    by_clock, by_processor = (rate / base for rate, base in zip(many, alone, strict=True))
    print(f"ratio {by_clock:.1f} by the clock, {by_processor:.1f} by processor time")
    what = f"tokens/s of the small server, {args.in_flight} requests at once against one at a time"
    detail = f"{many[0]:,.0f} a second; by processor time {by_processor:.1f} x"
    figures.keep(args.json, "common", [figures.figure(what, by_clock, goal=5, detail=detail)])


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--model", help="folder of the model")
    figures.add_argument(parser)
    parser.add_argument("--in_flight", type=positive, default=32, help="requests at once")
    parser.add_argument("--requests", type=positive, default=64, help="requests in all, many at once")
    parser.add_argument("--alone", type=positive, default=3, help="requests one at a time")
    parser.add_argument("--max_tokens", type=positive, default=128, help="longest answer")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.model is None:
            args.model = f"{folder}/SmolLM2-135M-Instruct"
            command = [sys.executable, "common/training/real_model.py", "smollm2", "--save_path", args.model]
            subprocess.run(command, check=True, cwd=ROOT)
        command = [sys.executable, "-m", "common.llm.small_server", "--model", args.model]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
            try:
                compare(server, args)
            finally:
                server.terminate()


if __name__ == "__main__":
    main()
