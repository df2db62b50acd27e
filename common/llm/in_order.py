"""Outcomes come as answers come; they are written in the order of the rows."""

import json
import tempfile

from common.step import Step

KEPT_IN_MEMORY = 20_000  # finished rows that wait for a slower one before them; more wait on disk


class InOrder:
    """Hands outcomes to the step in row order. Those that wait for a slower row before them wait in memory, and
    beyond KEPT_IN_MEMORY of them in an unnamed file."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._next = 0
        self._waiting: dict[int, dict] = {}
        self._on_disk: dict[int, tuple[int, int]] = {}
        self._file = None

    def put(self, index: int, outcome: dict) -> None:
        if index != self._next:
            self._keep(index, outcome)
            return
        while outcome is not None:
            if "rows" in outcome:
                self._step.write_or_reject(self._next, outcome["rows"], outcome["row"])
            else:
                self._step.reject(*outcome["reject"])
            self._next += 1
            outcome = self._take(self._next)

    def _keep(self, index: int, outcome: dict) -> None:
        if len(self._waiting) >= KEPT_IN_MEMORY:
            try:
                line = json.dumps(outcome).encode()
            except TypeError:
                pass  # holds what JSON cannot (dates, bytes of a parquet row): stays in memory
            else:
                self._file = self._file or tempfile.TemporaryFile()
                self._on_disk[index] = (self._file.seek(0, 2), self._file.write(line))
                return
        self._waiting[index] = outcome

    def _take(self, index: int) -> dict | None:
        if index in self._on_disk:
            place, size = self._on_disk.pop(index)
            self._file.seek(place)
            return json.loads(self._file.read(size))
        return self._waiting.pop(index, None)
