"""What every step promises, in one block.

    with Step([args.data_path], args.save_path, **step_options(args)) as step:
        map_rows(step, lambda row: {"text": need(row, "question").strip()})

Each input row ends once: in the output, in input order, or in `<output>.rejected.jsonl` with its index and reason.
The output appears whole when the block ends well, with `<output>.manifest.json`, and one summary line on stderr.
"""

import argparse
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from common import manifest
from common.errors import BadInput, BadRow, BadValue, CommonError, Reject, UnwritableRow
from common.program import progress
from common.redaction import hide_known, redact
from common.rows import RowWriter, check_target, count_rows, input_files, locked, refuse_overlap, scan_rows, schema_of


def need(row: dict, key: str, kind: type | tuple[type, ...] = str) -> Any:
    """`row[key]`, which must be there and of that type."""
    if key not in row:
        raise BadValue(f"no key {key!r}; the row has {', '.join(map(repr, row)) or 'no keys'}")
    if not isinstance(row[key], kind):
        names = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
        raise BadValue(f"{key!r} is a {type(row[key]).__name__}, expected {names}")
    return row[key]


def add_step_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("rows")
    group.add_argument("--split", help="split to read when the input is a dataset folder with several")
    group.add_argument(
        "--on_bad_row",
        choices=["stop", "skip"],
        default="stop",
        help="a row that cannot be used: stop and name it, or set it aside in <output>.rejected.jsonl",
    )


def step_options(args: argparse.Namespace) -> dict[str, Any]:
    """What the command line says to a Step; its manifest names all arguments."""
    return {"on_bad_row": args.on_bad_row, "split": args.split, "settings": vars(args)}


def map_rows(step: "Step", function: Callable[[dict], dict | list[dict]]) -> None:
    """Write what `function` makes of each row: one row, several or none. Reject sets the row aside with its reason."""
    for index, row, output in step.values(function):
        step.write_or_reject(index, output if isinstance(output, list) else [output], row)


class Step:
    """`settings` go into the manifest. `reads` and `writes` are files beyond the rows: what is read as well (a prompt),
    and what is written beside the output. Nothing that is written may be, hold or lie in what is read."""

    def __init__(
        self,
        inputs: Sequence[str | Path],
        output: str | Path,
        *,
        settings: Mapping[str, Any] = {},
        on_bad_row: str = "stop",
        split: str | None = None,
        allow_nan: bool = False,
        reads: Sequence[str | Path] = (),
        writes: Sequence[str | Path] = (),
    ) -> None:
        self.inputs, self.output = list(inputs), Path(output)
        self.counts: Counter[str] = Counter()
        self.facts: dict[str, Any] = {"arguments": _plain(settings)}
        self._on_bad_row, self._split, self._allow_nan = on_bad_row, split, allow_nan
        # Listed once: a glob must not find the output later.
        self._files = [input_files(path) for path in inputs]
        self._all_files = [file for files in self._files for file in files]
        self._reads, self._writes = list(reads), list(map(Path, writes))
        self._first_rows: list[tuple[int, Path]] = []  # of each file of the first input that was begun

    def __enter__(self) -> "Step":
        self._started = time.time()
        # From one table to another the columns keep their types.
        self._writer = RowWriter(self.output, self._allow_nan, schema_of(self.inputs[0], self._split))
        real = self._writer.path
        rejected = real.with_name(real.name + ".rejected.jsonl")
        self._rejected = RowWriter(rejected, allow_nan=True)
        refuse_overlap(
            [*self._all_files, *self._reads], [self.output, rejected, manifest.path_of(self.output), *self._writes]
        )
        for path in (manifest.path_of(self.output), *self._writes):
            check_target(path)
        self._stamps = manifest.stamps(self._all_files)
        with contextlib.ExitStack() as opening:  # closes again what is open if the next cannot be opened
            opening.enter_context(locked(self.output))
            opening.push(self._finish)
            opening.enter_context(self._writer)
            self._rejected.__enter__()
            opening.push(self._close_rejected)
            self._open = opening.pop_all()
        return self

    def rows(self) -> Iterator[tuple[int, dict]]:
        """(index, row) of the first input. Bad rows stop the step or are set aside, as `--on_bad_row` says."""
        for index, row in self.scan():
            if isinstance(row, BadRow):
                self.reject(*self.bad_row(index, row, row))
            else:
                yield index, row

    def values(self, function: Callable[[dict], Any]) -> Iterator[tuple[int, dict, Any]]:
        """(index, row, function(row)); rows for which it raises Reject are set aside, BadValue counts as a bad row."""
        for index, row in progress(self.rows(), total=self.total(), desc=self.output.name, unit="row"):
            try:
                value = function(row)
            except BadValue as why:
                self.reject(*self.bad_row(index, why, row))
            except Reject as why:
                self.reject(index, why.reason, row, getattr(why, "answer", None))
            else:
                yield index, row, value

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
        if self._on_bad_row == "stop":
            path, at, line = (why.path, why.index, why.line) if isinstance(why, BadRow) else (*self._place(index), None)
            raise BadRow(str(path), at, f"{problem} (--on_bad_row skip sets it aside)", line=line)
        return index, f"bad row: {problem}", row.raw if isinstance(row, BadRow) else row

    def _place(self, index: int) -> tuple[str | Path, int]:
        """The file of a row of the first input, and its number there."""
        first, file = next((begun for begun in reversed(self._first_rows) if begun[0] <= index), (0, self.inputs[0]))
        return file, index - first

    def write(self, *rows: dict) -> None:
        """The output of one input row: one row, several, or none."""
        self._writer.write(*rows)
        self.counts["done"] += 1

    def write_or_reject(self, index: int, rows: list[dict], row: Any) -> None:
        """The same, but a row that the output's format cannot hold is set aside."""
        try:
            self.write(*rows)
        except UnwritableRow as why:
            self.reject(index, why.reason, row)

    def reject(self, index: int, reason: str, row: Any = None, answer: str | None = None) -> None:
        self.counts["rejected"] += 1
        entry = {"index": index, "reason": redact(reason), "row": row}
        self._rejected.write(entry if answer is None else entry | {"answer": hide_known(answer)})

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Backwards: the rejected file, the output, the manifest, the lock. When the output is there, all is."""
        try:
            if kind is None:
                self._check()
        except BaseException:
            self._open.__exit__(*sys.exc_info())
            raise
        self._open.__exit__(kind, error, trace)

    def _check(self) -> None:
        if self.counts["in"] != self.counts["done"] + self.counts["rejected"]:
            raise CommonError(f"{self.output}: the rows do not add up, nothing is written: {dict(self.counts)}")
        self._hashes = manifest.hash_inputs(self._all_files, self._stamps)

    def _close_rejected(self, kind: type[BaseException] | None, *_: object) -> None:
        self._rejected.close(keep=kind is None and self._rejected.count > 0)
        if kind is None and not self._rejected.count:
            self._rejected.path.unlink(missing_ok=True)  # of an earlier run

    def _finish(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            return
        seconds = time.time() - self._started
        outputs = [self._writer.path, *([self._rejected.path] if self._rejected.count else [])]
        self.facts["rows_written"] = self._writer.count
        manifest.write(
            self.output,
            **manifest.about_this_process(),
            **self.facts,
            inputs=self._hashes,
            outputs={str(path): manifest.hash_file(path) for path in outputs},
            globs=self.inputs,
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


def _plain(settings: Mapping[str, Any]) -> dict:
    kinds = (str, int, float, list, dict, type(None))
    return {name: value for name, value in settings.items() if isinstance(value, kinds)}
