"""What every step promises, in one block.

    with Step(args, inputs=[args.data_path], output=args.save_path) as step:
        for index, row in step.rows():
            step.write({...}) or step.reject(index, "why", row)

Each input row ends once: in the output, in input order, or in `<output>.rejected.jsonl` with its index and reason.
The output appears whole when the block ends well, with `<output>.manifest.json`, and one summary line on stderr.
"""

import argparse
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from common import manifest
from common.errors import BadInput, BadRow, CommonError, Reject
from common.rows import RowWriter, count_rows, input_files, scan_rows

INTERRUPTED = 130


class BadValue(Reject):
    """A row of the input lacks what the step needs; `--on_bad_row` says what happens then."""


def need(row: dict, key: str, kind: type | tuple[type, ...] = str) -> Any:
    """`row[key]`, which must be there and of that type."""
    if key not in row:
        raise BadValue(f"no key {key!r}; the row has {', '.join(map(repr, row)) or 'no keys'}")
    if not isinstance(row[key], kind):
        raise BadValue(f"{key!r} is a {type(row[key]).__name__}, expected {getattr(kind, '__name__', kind)}")
    return row[key]


def add_step_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("rows")
    group.add_argument("--split", help="split to read when the input is a dataset folder with several")
    group.add_argument(
        "--on_bad_row",
        choices=["stop", "skip"],
        default="stop",
        help="a row that cannot be used: stop and name it, or set it aside in <output>.rejected.jsonl (default: stop)",
    )


class Step:
    def __init__(self, args: argparse.Namespace, inputs: list[str | Path], output: str | Path, allow_nan: bool = False):
        self.args, self.inputs, self.output = args, inputs, Path(output)
        self.counts: Counter[str] = Counter()
        self.facts: dict[str, Any] = {"arguments": _plain_arguments(args)}
        self._allow_nan, self._split = allow_nan, getattr(args, "split", None)
        self._writer = RowWriter(output, allow_nan)
        real = self._writer.path
        self._rejected = RowWriter(real.with_name(real.name + ".rejected.jsonl"), allow_nan=True)
        # Listed once: a glob must not find the output later.
        self._files = [input_files(path) for path in inputs]
        self._first_rows: list[tuple[int, Path]] = []  # of each file of the first input that was begun
        for file in (file for files in self._files for file in files):
            if Path(os.path.realpath(file)) == real:
                raise BadInput(f"{file}: is both input and output; choose another output")

    def __enter__(self) -> "Step":
        self._started = time.time()
        self._writer.__enter__()
        try:
            self._rejected.__enter__()
        except BaseException:
            self._writer.close(keep=False)
            raise
        return self

    def rows(self) -> Iterator[tuple[int, dict]]:
        """(index, row) of the first input. Bad rows stop the step or are set aside, as `--on_bad_row` says."""
        for index, row in self.scan():
            if isinstance(row, BadRow):
                self.reject(*self.bad_row(index, row, row))
            else:
                yield index, row

    def scan(self) -> Iterator[tuple[int, dict | BadRow]]:
        """(index, row) of the first input, bad rows included."""
        index = 0
        for file in self._files[0]:
            self._first_rows.append((index, file))
            for row in scan_rows(file, self._split, self._allow_nan):
                self.counts["in"] += 1
                yield index, row
                index += 1
        if not self.counts["in"]:
            raise BadInput(f"{self.inputs[0]}: has no rows")

    def total(self) -> int | None:
        """How many rows there are, for a progress bar that somebody watches."""
        return sum(count_rows(file, self._split) for file in self._files[0]) if sys.stderr.isatty() else None

    def bad_row(self, index: int, why: BadRow | BadValue, row: Any) -> tuple[int, str, Any]:
        """Stop, or the arguments for `reject`: what `--on_bad_row` says."""
        problem = why.problem if isinstance(why, BadRow) else why.reason
        if getattr(self.args, "on_bad_row", "stop") == "stop":
            path, at, line = (why.path, why.index, why.line) if isinstance(why, BadRow) else (*self._place(index), None)
            raise BadRow(str(path), at, f"{problem} (--on_bad_row skip sets it aside)", line=line)
        return index, f"bad row: {problem}", row.raw if isinstance(row, BadRow) else row

    def _place(self, index: int) -> tuple[str | Path, int]:
        """The file of a row of the first input, and its number there."""
        first, file = next((begun for begun in reversed(self._first_rows) if begun[0] <= index), (0, self.inputs[0]))
        return file, index - first

    def write(self, *rows: dict) -> None:
        """The output of one input row: one row, several, or none."""
        self.counts["done"] += 1
        for row in rows:
            self._writer.write(row)

    def reject(self, index: int, reason: str, row: Any = None, answer: str | None = None) -> None:
        self.counts["rejected"] += 1
        entry = {"index": index, "reason": reason, "row": row}
        self._rejected.write(entry if answer is None else entry | {"answer": answer})

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        balanced = self.counts["in"] == self.counts["done"] + self.counts["rejected"]
        whole = kind is None and balanced
        # The rejected file first: when the output is there, everything that belongs to it is.
        rejected = whole and self._rejected.count > 0
        try:
            self._rejected.close(keep=rejected)
            if whole and not rejected:
                self._rejected.path.unlink(missing_ok=True)  # of an earlier run
        except BaseException:
            self._writer.close(keep=False)
            raise
        self._writer.close(keep=whole)
        if kind is None and not balanced:
            raise CommonError(f"{self.output}: the rows do not add up, nothing is written: {dict(self.counts)}")
        if whole:
            self._finish([self._writer.path, *([self._rejected.path] if rejected else [])])

    def _finish(self, outputs: list[Path]) -> None:
        seconds = time.time() - self._started
        self.facts["rows_written"] = self._writer.count
        manifest.write(
            self.output,
            **manifest.about_this_process(),
            **self.facts,
            inputs=manifest.hash_inputs([file for files in self._files for file in files]),
            outputs={str(path): manifest.hash_file(path) for path in outputs},
            counts=dict(self.counts),
            started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._started)),
            seconds=round(seconds, 3),
        )
        print(self._summary(seconds), file=sys.stderr)

    def _summary(self, seconds: float) -> str:
        counts = ", ".join(f"{count:,} {name}" for name, count in self.counts.items() if name not in ("in", "done"))
        line = f"{self.output}: {self.counts['in']:,} rows in, {self.counts['done']:,} done"
        if self._writer.count != self.counts["done"]:
            line += f" ({self._writer.count:,} rows written)"
        if self._rejected.count:
            counts += f" (see {self._rejected.path.name})"
        return f"{line}{', ' if counts else ''}{counts}, {seconds:.1f} s"


def _plain_arguments(args: argparse.Namespace) -> dict:
    kinds = (str, int, float, list, dict, type(None))
    return {name: value for name, value in vars(args).items() if isinstance(value, kinds)}


def progress(items: Any = None, **options: Any) -> tqdm:
    """A tqdm bar where somebody watches; nothing in a log file."""
    return tqdm(items, disable=not sys.stderr.isatty(), dynamic_ncols=True, **options)


def run_main(main: Callable[[], None]) -> None:
    """Run a step's main: an error of ours is one sentence and an exit code, anything else a traceback."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        main()
    except CommonError as error:
        print(f"{Path(sys.argv[0]).name}: {manifest.redact(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print(f"{Path(sys.argv[0]).name}: interrupted; the same command goes on", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _stop(signum: int, frame: object) -> None:
    raise KeyboardInterrupt
