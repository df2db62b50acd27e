"""AugCon's trees on a server with latency: all nodes at once against the released way, 8 threads that each grow one
root depth first. Same server, same requests, same nodes in the same order.

    python tests/bench/bench_augcon.py                     # about half a minute
    python tests/bench/bench_augcon.py --roots 240 --latency 0.2
"""

import argparse
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[2]))
from augcon.asking import TreeAsking
from augcon.context_tree import quota
from augcon.tree_answer import parse_released
from common import manifest
from common.llm.protocol import canonical
from common.llm.standin import standin_server
from common.rows import read_rows, write_rows
from tests.bench import figures

ROOT = Path(__file__).parents[2]
CHINESE = (
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多"
)


def roots(count: int) -> list[dict]:
    """Articles of one root of 500 characters each, in sentences of 20."""
    draw = random.Random(0)
    sentences = ["".join(draw.choices(CHINESE, k=19)) + "。" for _ in range(25 * count)]
    return [{"article": "".join(sentences[25 * n : 25 * n + 25])} for n in range(count)]


def released_way(url: str, rows: list[dict]) -> tuple[float, list[list[tuple[str, str]]]]:
    """A thread a root, 8 at a time; each node waits for the one before it."""
    asking, address = TreeAsking(paper_exact=True), urlsplit(url)

    def complete(connection: http.client.HTTPConnection, context: str) -> str:
        request = {"model": "stand-in", "prompt": asking.prompt(context, "tree", "zh"), "temperature": 0.85}
        body = canonical(
            request | {"max_tokens": 1024, "stop": list(asking.stops)}
        )  # the same bytes get the same answer
        connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
        return json.load(connection.getresponse())["choices"][0]["text"]

    def grow(connection: http.client.HTTPConnection, context: str, stored: list) -> None:
        if len(context) <= 20:
            return
        found = next(filter(None, (parse_released(complete(connection, context)) for _ in range(4))), None)
        if found is None:
            return
        stored.append((context, found.question.strip()))
        if all(len(part.strip()) < len(context) for part in found[1:]):
            grow(connection, found.part1, stored)
            grow(connection, found.part2, stored)

    def root(row: dict) -> list[tuple[str, str]]:
        stored: list[tuple[str, str]] = []
        connection = http.client.HTTPConnection(address.hostname, address.port)
        while len(stored) < quota(row["article"]) * 1.15:
            grow(connection, row["article"], stored)
        return stored

    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        nodes = list(pool.map(root, rows))
    return time.monotonic() - started, nodes


def our_way(
    url: str, rows: list[dict], slots: int, folder: Path
) -> tuple[float, float, list[list[tuple[str, str]]], int]:
    """The step as a user runs it: (seconds of growing, of the whole command, nodes, requests)."""
    write_rows(folder / "articles.jsonl", rows)
    command = [
        sys.executable,
        ROOT / "augcon" / "step1_generate_questions.py",
        "--data_path",
        folder / "articles.jsonl",
    ]
    command += [
        "--save_path",
        folder / "questions.jsonl",
        "--base_url",
        url,
        "--concurrency",
        str(slots),
        "--pairs",
        "0",
    ]
    command += ["--model", "stand-in", "--paper_exact", "--lang", "zh"]
    started = time.monotonic()
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    whole = time.monotonic() - started
    made = manifest.read(folder / "questions.jsonl")
    nodes = [
        [(one["context"], one["question"]) for one in row["questions"]] for row in read_rows(folder / "questions.jsonl")
    ]
    return made["seconds"], whole, nodes, made["counts"]["requests"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--roots", type=int, default=60)
    parser.add_argument("--latency", type=float, default=0.1, help="seconds an answer")
    parser.add_argument("--slots", type=int, default=256, help="requests in flight")
    figures.add_argument(parser)
    args = parser.parse_args()
    rows = roots(args.roots)
    with standin_server(delay=args.latency) as url, tempfile.TemporaryDirectory() as folder:
        growing, whole, ours, requests = our_way(url, rows, args.slots, Path(folder))
        released, theirs = released_way(url, rows)
    nodes = sum(map(len, ours))
    bound = max(1.5 * 6 * args.latency, requests / args.slots * args.latency)
    print(f"{args.roots} roots, {nodes:,} nodes, {requests:,} requests, {args.latency * 1000:.0f} ms an answer")
    print(f"released: {released:.1f} s; ours, {args.slots} slots: {growing:.2f} s ({whole:.1f} s with start and stop)")
    print(f"{released / growing:.0f} x; the same nodes in the same order: {ours == theirs}; bound {bound:.2f} s")
    what = f"trees of {args.roots} roots, {args.latency * 1000:.0f} ms an answer, against the released 8 threads"
    same = "the same nodes in the same order" if ours == theirs else "NOT the same nodes"
    detail = f"{nodes:,} nodes: {released:.1f} s, ours {growing:.2f} s; {same}"
    figures.keep(args.json, "augcon", [figures.figure(what, released / growing, goal=20, detail=detail)])


if __name__ == "__main__":
    main()
