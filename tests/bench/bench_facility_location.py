"""Greedy facility location: ours against the naive greedy, the paper's size, and growth without the n x n matrix.

python -m tests.bench.bench_facility_location [--sizes 10400 20000] [--device cpu]
"""

import argparse
import resource
import time
from collections.abc import Callable

from superfiltering.facility_location import facility_location
from tests.bench import figures
from tests.oracles import facility_location as oracle
from tests.oracles.facility_location import unit_vectors


def timed(work: Callable[[], list[int]]) -> tuple[float, list[int]]:
    started = time.perf_counter()
    picked = work()
    return time.perf_counter() - started, picked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10400])
    parser.add_argument("--device", default="cpu")
    figures.add_argument(parser)
    args = parser.parse_args()
    points = unit_vectors(500, 384, 0, clusters=50)
    slow, expected = timed(lambda: oracle.facility_location(points, 100, "euclidean"))
    fast, picked = timed(lambda: facility_location(points, 100, device=args.device))
    assert picked == expected
    print(f"    500 ->    100: naive {slow:.2f} s, ours {fast:.2f} s, {slow / fast:.0f} x, the same rows")
    what = "facility location, 500 rows to 100, against the naive greedy"
    found = [figures.figure(what, slow / fast, detail=f"{slow:.2f} s, ours {fast:.3f} s; the same rows")]
    for size in args.sizes:
        points = unit_vectors(size, 384, 0, clusters=size // 10)
        seconds, picked = timed(lambda: facility_location(points, 1040, device=args.device))  # noqa: B023
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{size:7,} -> {len(picked):6,}: {seconds:.1f} s, peak memory {peak:.2f} GB")
        what = f"facility location, {size:,} rows of 384 numbers to {len(picked):,}"
        found.append(figures.figure(what, seconds, "s", detail=f"{peak:.2f} GB"))
    figures.keep(args.json, "superfiltering", found)


if __name__ == "__main__":
    main()
