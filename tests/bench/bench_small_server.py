"""Tokens a second of common/llm/small_server.py: many requests at once against one at a time, in the same run.

    python tests/bench/bench_small_server.py --model models/SmolLM2-135M-Instruct
    python tests/bench/bench_small_server.py --model DIR --in_flight 32 --requests 64 --max_tokens 128

in   a model's folder (common/training/real_model.py writes one)
out  a line each for one at a time and for many, and their ratio. Prompts have 30 to 400 tokens; all answers are as long
     as --max_tokens unless the model ends earlier
"""

import argparse
import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without an install

from common.program import make_parser, positive

ROOT = Path(__file__).resolve().parents[2]
WORDS = "the tide moves water because the moon and the sun pull at the sea and boats wait in the harbour".split()


def body_of(number: int, args: argparse.Namespace) -> dict:
    draw = random.Random(number)
    text = " ".join(draw.choices(WORDS, k=draw.randint(20, 350)))
    messages = [{"role": "user", "content": f"Write a long story, number {number}, about this: {text}"}]
    sampling = {"temperature": 0.7, "seed": number, "max_tokens": args.max_tokens}
    return {"model": args.model, "messages": messages, **sampling}


async def tokens_per_second(url: str, bodies: list[dict], in_flight: int) -> tuple[float, int]:
    written, left = 0, iter(bodies)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:

        async def worker() -> None:
            nonlocal written
            for body in left:
                async with session.post(f"{url}/chat/completions", json=body) as response:
                    response.raise_for_status()
                    written += (await response.json())["usage"]["completion_tokens"]

        started = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(in_flight)))
    return written / (time.perf_counter() - started), written


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--model", required=True, help="folder of the model")
    parser.add_argument("--in_flight", type=positive, default=64, help="requests at once")
    parser.add_argument("--requests", type=positive, default=128, help="requests in all, many at once")
    parser.add_argument("--alone", type=positive, default=4, help="requests one at a time")
    parser.add_argument("--max_tokens", type=positive, default=96, help="longest answer")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    command = [sys.executable, "-m", "common.llm.small_server", "--model", args.model]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        try:
            url = server.stdout.readline().split()[-1]
            bodies = [body_of(number, args) for number in range(args.requests)]
            asyncio.run(tokens_per_second(url, bodies[:1], 1))  # warm
            alone, _ = asyncio.run(tokens_per_second(url, bodies[: args.alone], 1))
            print(f"one at a time:   {alone:7.1f} tokens/s")
            many, written = asyncio.run(tokens_per_second(url, bodies, args.in_flight))
            print(f"{args.in_flight} at once: {many:10.1f} tokens/s ({written:,} tokens); ratio {many / alone:.1f}")
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
