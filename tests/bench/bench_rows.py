"""Read and write a large jsonl: megabytes a second, and the peak memory of a process that does.

python tests/bench/bench_rows.py [--megabytes 1000]
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without an install

from common.rows import read_rows, write_rows
from tests.bench import figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    figures.add_argument(parser)
    args = parser.parse_args()
    megabytes = args.megabytes
    row = {"id": 0, "text": "Ein Satz, 一句话, una frase. " * 40, "tags": ["a", "b"], "score": 0.5}
    rows = megabytes * 1_000_000 // len(json.dumps(row, ensure_ascii=False).encode())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.jsonl")
        started = time.perf_counter()
        write_rows(path, (row | {"id": number} for number in range(rows)))
        written = time.perf_counter()
        count = sum(1 for _ in read_rows(path))
        read = time.perf_counter()
        size = path.stat().st_size / 1e6
    assert count == rows
    print(f"{rows:,} rows, {size:,.0f} MB")
    print(f"write {size / (written - started):7,.0f} MB/s")
    print(f"read  {size / (read - written):7,.0f} MB/s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:,.0f} MB")
    found = [figures.figure(f"rows of {size:,.0f} MB of jsonl read", size / (read - written), "MB/s")]
    found += [figures.figure("written", size / (written - started), "MB/s", detail=f"peak memory {peak:,.0f} MB")]
    figures.keep(args.json, "common", found)


if __name__ == "__main__":
    main()
