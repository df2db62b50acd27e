"""Figures of one form: what each benchmark leaves with --json, and what the READMEs' tables of speed are made of.

    python -m tests.bench.figures results/bench/*.json --save_path tests/bench/figures.json   # one table, one file
    python -m tests.bench.figures tests/bench/figures.json --readme                           # into the READMEs

in   files {"machine": "2 cores of …", "date": "2026-11-25", "runs": [{"of": "webr", "command": "python -m …",
     "figures": [{"what": "MinHash against …", "value": 26, "unit": "x", "goal": 20, "at_most": false, "detail": ""}]}]}
out  a table on stdout; --save_path: one file of the same form; --readme: the tables between
     `<!-- figures of webr -->` and `<!-- end of figures -->`, in webr/README.md ("common" and "gpu": README.md);
     README.zh.md keeps its words and gets the numbers
"""

import argparse
import datetime
import json
import os
import re
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without an install

from common.errors import BadInput
from common.program import make_parser, run_main
from common.report.replication import renumbered
from common.rows import write_text

ROOT = Path(__file__).resolve().parents[2]
IN_MAIN_README = ("common", "gpu")
BLOCK = "<!-- figures of {} -->\n{}<!-- end of figures -->"


def figure(
    what: str, value: float, unit: str = "x", goal: float | None = None, detail: str = "", at_most: bool = False
) -> dict:
    """`goal` is reached from below, or, with `at_most`, kept from above."""
    value = float(f"{value:.4g}")
    return {"what": what, "value": value, "unit": unit, "goal": goal, "at_most": at_most, "detail": detail}


def add_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", help="leave the figures in this file as well")


def keep(path: str | None, of: str, figures: list[dict], machine: str | None = None) -> None:
    """The figures of one run into its --json, if there is one; `of` is the README that shows them."""
    if path is None:
        return
    words = sys.argv[1:]
    at = next(number for number, word in enumerate(words) if word.startswith("--json"))
    words[at : at + (1 if "=" in words[at] else 2)] = []
    command = " ".join(["python -m", f"tests.bench.{Path(sys.argv[0]).stem}", *map(shlex.quote, words)])
    write(Path(path), machine or this_machine(), [{"of": of, "command": command, "figures": figures}])


def write(path: Path, machine: str, runs: list[dict], date: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine, "date": date or datetime.date.today().isoformat(), "runs": runs}
    write_text(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def this_machine() -> str:
    cores = len(os.sched_getaffinity(0))
    named = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return f"{cores} cores{' of ' + ' '.join(named[1].split()) if named else ''}"


def read(paths: Iterable[str]) -> dict:
    """The runs of all files, which must be of one machine."""
    contents = [json.loads(Path(path).read_text(encoding="utf-8")) for path in paths]
    machines = {content["machine"] for content in contents}
    if len(machines) != 1:
        raise BadInput(f"figures of {len(machines)} machines do not stand in one table: {', '.join(sorted(machines))}")
    runs = [run for content in contents for run in content["runs"]]
    return {"machine": machines.pop(), "date": max(content["date"] for content in contents), "runs": runs}


# ---------------------------------------------------------------- tables


def is_reached(one: dict) -> bool:
    return one["goal"] is None or (one["value"] <= one["goal"] if one["at_most"] else one["value"] >= one["goal"])


def shown(value: float, unit: str) -> str:
    places = 0 if value >= 100 or value == int(value) else 1 if value >= 10 else 2
    number = f"{value:,.{places}f}" if value == 0 or value >= 0.01 else f"{value:.1g}"
    return f"{number} {unit}".strip()


def goal_of(one: dict) -> str:
    if one["goal"] is None:
        return ""
    return f"{'at most' if one['at_most'] else 'at least'} {shown(one['goal'], one['unit'])}"


def markdown(content: dict, of: str) -> str:
    """The table of one README."""
    lines = ["| what | figure | goal | command |", "|---|---|---|---|"]
    for run in content["runs"]:
        for number, one in enumerate(run["figures"] if run["of"] == of else []):
            detail = f"; {one['detail']}" if one["detail"] else ""
            command = "the same" if number else f"`{run['command']}`"
            lines.append(
                f"| {one['what']} | **{shown(one['value'], one['unit'])}**{detail} | {goal_of(one)} | {command} |"
            )
    return "\n".join([*lines, "", f"{content['machine']}, {content['date']}.", ""])


def plain(content: dict) -> str:
    figures = [(run["of"], one) for run in content["runs"] for one in run["figures"]]
    rows = [
        (
            of,
            one["what"],
            shown(one["value"], one["unit"]),
            goal_of(one) + ("" if is_reached(one) else ": missed"),
            one["detail"],
        )
        for of, one in figures
    ]
    widths = [max([len(row[place]) for row in rows], default=0) for place in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]).rstrip()
        for row in rows
    )


def readmes_of(of: str) -> list[Path]:
    return sorted((ROOT if of in IN_MAIN_README else ROOT / of).glob("README*.md"))


def with_tables(readme: Path, content: dict) -> str:
    """A README with the tables of these figures in the marked places; a translation keeps its words."""
    text = readme.read_text(encoding="utf-8")
    for of in {run["of"]: None for run in content["runs"]}:
        for old in re.findall(BLOCK.format(of, ".*?"), text, re.S):
            new = BLOCK.format(of, markdown(content, of))
            text = text.replace(old, new if readme.name == "README.md" else renumbered(old, new, readme))
    return text


# ---------------------------------------------------------------- command line


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("files", nargs="+", help="what benchmarks left")
    parser.add_argument("--save_path", type=Path, help="one file of all")
    parser.add_argument("--readme", action="store_true", help="put the tables into the READMEs")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    content = read(args.files)
    print(plain(content))
    missed = [one["what"] for run in content["runs"] for one in run["figures"] if not is_reached(one)]
    print(f"{content['machine']}; goals missed: {len(missed)}")
    if args.save_path:
        write(args.save_path, content["machine"], content["runs"], content["date"])
    for path in {path for run in content["runs"] for path in readmes_of(run["of"])} if args.readme else ():
        write_text(path, with_tables(path, content))


if __name__ == "__main__":
    run_main(main)
