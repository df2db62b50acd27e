"""The answer store at size: look-ups and writes a second with a million answers in it.

python tests/bench/bench_store.py [--answers 1000000]
"""

import argparse
import asyncio
import hashlib
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without an install

from common.llm.store import AnswerStore
from tests.bench import figures

ANSWER = {"text": "An answer of ordinary length. " * 20, "finish_reason": "stop", "in": 100, "out": 120}
AT_ONCE = 256  # answers that wait for the same commit, as with 256 requests in flight


def key(number: int) -> bytes:
    return hashlib.blake2b(number.to_bytes(8, "big"), digest_size=16).digest()


async def put_all(store: AnswerStore, numbers: range) -> float:
    started = time.perf_counter()
    for first in numbers[::AT_ONCE]:
        await asyncio.gather(*(store.put([(key(number), ANSWER)]) for number in range(first, first + AT_ONCE)))
    return len(numbers) / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=1_000_000)
    figures.add_argument(parser)
    args = parser.parse_args()
    count = args.answers
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "answers.sqlite")
        store = AnswerStore(path)
        filling = asyncio.run(put_all(store, range(0, count, 1)))
        last = asyncio.run(put_all(store, range(count, count + 100 * AT_ONCE)))
        store.close()
        store = AnswerStore(path)
        step = 7919  # prime: jumps over the whole store
        started = time.perf_counter()
        found = sum(store.get(key(number * step % count)) is not None for number in range(100_000))
        looking = 100_000 / (time.perf_counter() - started)
        started = time.perf_counter()
        missing = sum(store.get(key(2 * count + number)) is None for number in range(100_000))
        missing_rate = 100_000 / (time.perf_counter() - started)
        store.close()
        size = path.stat().st_size / 2**20
    assert found == missing == 100_000
    print(f"{count:,} answers, {size:,.0f} MB")
    print(f"write   {filling:9,.0f} rows/s while filling, {last:,.0f} at the end")
    print(f"look up {looking:9,.0f} rows/s found, {missing_rate:,.0f} not there")
    what = f"answers looked up in a store of {count:,}"
    found = [figures.figure(what, looking, "/s", detail=f"{size:,.0f} MB"), figures.figure("written", last, "/s")]
    figures.keep(args.json, "common", found)


if __name__ == "__main__":
    main()
