"""Put the figures of several seeds into one table with their spread: the end of each METHOD/replicate_small.sh.

    python common/report/replication.py --method superfiltering --seeds 1 2 --figures seed1.json seed2.json \
        --save_path replicate_small.json --orders "accuracy: random < IFD"

in   a file for each seed: {"random": {"accuracy": 0.28}, "IFD": {"accuracy": 0.31}}, a row and its columns
out  the table, and how many seeds each order holds in, on stdout; the same as JSON: {"command": …, "machine": …,
     "seconds": …, "cpu_seconds": …, "seeds": […], "rows": [{"what", "figure", "values", "mean", "spread"}, …],
     "orders": [{"order", "seeds"}, …]}
--record leaves both where they are kept: METHOD/replicate_small.json, and between two marks in METHOD/README.md.
"""

import argparse
import json
import os
import platform
import re
import statistics
import sys
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without an install

from common.errors import BadInput
from common.program import make_parser, run_main
from common.rows import refuse_overlap, write_text

BEGIN, END = "<!-- replicate_small -->", "<!-- /replicate_small -->"
BETWEEN = re.compile(f"(?<={BEGIN}\n).*(?=\n{END})", re.S)
NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*")
Figures = dict[str, dict[str, float]]


# ---------------------------------------------------------------- figures


def read_figures(path: str) -> Figures:
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        return {what: {name: float(value) for name, value in row.items()} for what, row in found.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: expected the figures of a seed, such as {{row: {{column: 0.5}}}}: {error}") from None


def summary(runs: list[Figures]) -> list[dict]:
    """A row for each figure: its values by seed, their mean and their standard deviation."""
    rows = []
    for what, columns in runs[0].items():
        for figure in columns:
            try:
                values = [run[what][figure] for run in runs]
            except KeyError:
                raise BadInput(f"{what}, {figure}: not every seed has it") from None
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            rows.append(
                {"what": what, "figure": figure, "values": values, "mean": statistics.mean(values), "spread": spread}
            )
    return rows


def holds_in(order: str, runs: list[Figures]) -> int:
    """In how many seeds "figure: a < b < c" is so."""
    figure, _, chain = order.partition(": ")
    words = re.split(r" ([<>]) ", chain)
    try:
        held = [
            all(
                run[left][figure] < run[right][figure] if sign == "<" else run[left][figure] > run[right][figure]
                for (left, right), sign in zip(pairwise(words[::2]), words[1::2], strict=True)
            )
            for run in runs
        ]
    except KeyError as missing:
        raise BadInput(f"--orders {order!r}: there is no {missing}; write 'figure: row < row'") from None
    return sum(held)


def close(recorded: dict, found: dict) -> bool:
    """Whether another run of the script says the same of a figure: within three spreads, or 5 % (0.05 of a share)."""
    tolerance = max(0.05 * max(1.0, abs(recorded["mean"])), 3 * recorded["spread"])
    return abs(recorded["mean"] - found["mean"]) <= tolerance


# ---------------------------------------------------------------- the table


def as_text(row: dict) -> str:
    size = max(abs(row["mean"]), row["spread"])
    digits = 3 if size < 10 else 1 if size < 1000 else 0
    return f"{row['mean']:.{digits}f} ± {row['spread']:.{digits}f}"


def table(record: dict) -> str:
    """Markdown, as it stands in the README."""
    cells = {(row["what"], row["figure"]): as_text(row) for row in record["rows"]}
    whats, figures = (list(dict.fromkeys(key[part] for key in cells)) for part in (0, 1))
    lines = [f"| | {' | '.join(figures)} |", "|---" * (len(figures) + 1) + "|"]
    lines += [f"| {what} | {' | '.join(cells.get((what, figure), '–') for figure in figures)} |" for what in whats]
    seeds = len(record["seeds"])
    computed = f" ({record['cpu_seconds']} s of one core)" if record.get("cpu_seconds") else ""
    took = f"{record['seconds']} s{computed} on {record['machine']}"
    lines += ["", f"Mean ± standard deviation of {seeds} seeds; {took}.", ""]
    lines += [f"- {order['order']}: in {order['seeds']} of {seeds} seeds" for order in record["orders"]]
    return "\n".join(lines).strip()


def machine() -> str:
    try:
        cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)
        return f"{len(os.sched_getaffinity(0))} cores, {cpu[1]}"
    except (OSError, TypeError, AttributeError):  # not Linux, or not of a known kind
        return f"{os.cpu_count()} cores, {platform.machine()}"


def cpu_seconds() -> float | None:
    """Seconds of one core that the script's commands have taken so far: what another machine's load does not change."""
    try:
        fields = Path(f"/proc/{os.getppid()}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return round(sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK"), 1)  # cutime, cstime
    except OSError:  # not Linux
        return None


def renumbered(translated: str, text: str, readme: Path) -> str:
    """A text in another language keeps its words and gets the numbers of this one, in their order."""
    numbers = NUMBER.findall(text)
    if len(numbers) != len(NUMBER.findall(translated)):
        raise BadInput(f"{readme}: its table has another shape; translate that of {readme.parent}/README.md anew")
    left = iter(numbers)
    return NUMBER.sub(lambda _: next(left), translated)


def put_into(readme: Path, text: str) -> None:
    old = readme.read_text(encoding="utf-8")
    block = BETWEEN.search(old)
    if block is None:
        raise BadInput(f"{readme}: there is no {BEGIN} with {END} under it, where the table is to stand")
    if readme.name != "README.md":
        text = renumbered(block[0], text, readme)
    write_text(readme, old[: block.start()] + text + old[block.end() :])


# ---------------------------------------------------------------- program


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--method", required=True, help="folder of the method whose script this is")
    parser.add_argument("--figures", nargs="+", required=True, help="a file for each seed")
    parser.add_argument("--seeds", nargs="+", type=int, required=True, help="the seeds, in the same order")
    parser.add_argument("--save_path", required=True, help="the record (.json)")
    parser.add_argument("--orders", nargs="*", default=[], metavar="ORDER", help="claims: 'figure: row < row'")
    parser.add_argument("--seconds", type=int, default=0, help="what the whole run took")
    parser.add_argument("--record", action="store_true", help="keep record and table beside the script too")
    args = parser.parse_args()
    if len(args.seeds) != len(args.figures):
        parser.error("--figures: one file for each of --seeds")
    return args


def main() -> None:
    args = parse_args()
    refuse_overlap(args.figures, [args.save_path])
    runs = [read_figures(path) for path in args.figures]
    record = {
        "command": f"bash {Path(args.method).name}/replicate_small.sh",
        "machine": machine(),
        "seconds": args.seconds,
        "cpu_seconds": cpu_seconds(),
        "seeds": args.seeds,
        "rows": summary(runs),
        "orders": [{"order": order, "seeds": holds_in(order, runs)} for order in args.orders],
    }
    text, folder = json.dumps(record, ensure_ascii=False, indent=1) + "\n", Path(args.method)
    print(table(record))
    Path(args.save_path).parent.mkdir(parents=True, exist_ok=True)
    write_text(Path(args.save_path), text)
    if args.record:
        for readme in sorted(folder.glob("README*.md"), key=lambda path: path.name != "README.md"):
            put_into(readme, table(record))
        write_text(folder / "replicate_small.json", text)


if __name__ == "__main__":
    run_main(main)
