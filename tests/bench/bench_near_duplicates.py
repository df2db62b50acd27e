"""Near-duplicate removal: ours against datasketch row by row, same run, same rows; then growth of time and memory.

    python tests/bench/bench_near_duplicates.py                    # 20 seconds; --rows 1000000: 1 minute

One core. A second of ours includes hashing every token id once, which a larger run hardly feels.
"""

import argparse
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.bench import figures
from tests.oracles import near_duplicates as oracle
from webr.near_duplicates import find_near_duplicates


def requests(count: int, tokens: int = 60, repeated: float = 0.2, seed: int = 0) -> Iterator[list[int]]:
    """Token n is drawn in proportion to 1/n, as words are; one row in five is an earlier one, partly changed."""
    random = np.random.default_rng(seed)
    earlier: list[np.ndarray] = []
    for _ in range(count):
        row = (3 * (128_000 / 3) ** random.random(tokens)).astype(int)
        if earlier and random.random() < repeated:
            kept = random.random(tokens) > random.random() / 4
            row = np.where(kept, earlier[random.integers(len(earlier))], row)
        elif len(earlier) < 10_000:
            earlier.append(row)
        yield row.tolist()


def seconds(run: object, *args: object, **options: object) -> tuple[float, list[int]]:
    started = time.process_time()
    result = run(*args, **options)
    return time.process_time() - started, list(result)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    figures.add_argument(parser)
    args = parser.parse_args()

    rows = list(requests(10_000))
    slow, expected = seconds(oracle.as_released, rows)
    fast, found = seconds(find_near_duplicates, rows, paper_exact=True)
    print(f"10,000 rows, as released: {slow:.2f} s row by row, {fast:.3f} s ours", end="")
    print(f": {slow / fast:.0f} x, same: {found == expected}")
    what = "MinHash as released, 10,000 requests of 60 tokens, against datasketch row by row"
    detail = (
        f"{slow:.1f} s, ours {fast:.2f} s of one core; {'the same' if found == expected else 'NOT the same'} rows kept"
    )
    kept = [figures.figure(what, slow / fast, goal=20, detail=detail)]
    fast, found = seconds(find_near_duplicates, rows)
    print(f"10,000 rows, verified and greedy: {fast:.3f} s: {slow / fast:.0f} x, same: {found == oracle.greedy(rows)}")

    for count in (args.rows // 4, args.rows // 2, args.rows):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        making, _ = seconds(lambda count=count: sum(map(len, requests(count))) * [])
        taken, found = seconds(find_near_duplicates, requests(count))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rate = count / (taken - making)
        print(
            f"{count:,} rows: {rate:,.0f} a second and core, {sum(row >= 0 for row in found):,} repeated, "
            f"peak {peak / 1024:.0f} MB (+{(peak - before) / 1024:.0f} MB)"
        )
    kept.append(figures.figure(f"the same by default, of {count:,} requests", rate, "a second and core", goal=10_000))
    figures.keep(args.json, "webr", kept)


if __name__ == "__main__":
    main()
