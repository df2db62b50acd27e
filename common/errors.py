"""The errors a program can end with, and those that end only a row. Each message says what, where, and what to do.

CommonError            1   anything below; `program.run_main` prints it and exits with its code
  BadInput             1   a file or row is not what was expected
    BadRow             1   one row of a file; a step told `--on_bad_row skip` sets it aside instead
  OutputInUse          1   another run is writing this output
  UnwritableRow        1   a row that this output format cannot hold; a step can set it aside for `reason`
  ServerDown          75   no server answered for too long; everything is kept, run again to go on
  QuotaSpent          75   the account has no money or quota left; everything is kept, run again to go on
  ServerRefused        1   the server will not serve this run at all: key, model name, address
  Paused              75   the run ends early because it was told to; the same command goes on
Reject                     not an end: this row, or this answer, will not do, and why
  BadValue                 the row lacks what the step needs; `--on_bad_row` says what happens then
  AnswerRejected           an answer will not do; it is kept beside the reason
"""


class CommonError(Exception):
    exit_code = 1


class BadInput(CommonError):
    pass


class BadRow(BadInput):
    """Row `index` of `path` (counted from 0, bad rows included) is unusable; `raw` is its text, cut to a page."""

    def __init__(self, path: str, index: int, problem: str, raw: str = "", line: int | None = None) -> None:
        self.path, self.index, self.problem, self.raw, self.line = path, index, problem, raw, line
        place = f"{path}, row {index}" if line is None else f"{path}, line {line} (row {index})"
        super().__init__(f"{place}: {problem}")

    def __reduce__(self) -> tuple:  # so that it comes back whole from a worker process
        return BadRow, (self.path, self.index, self.problem, self.raw, self.line)


class OutputInUse(CommonError):
    pass


class UnwritableRow(CommonError):
    """Row `index` of the output (counted from 0) cannot be held by its format, because `reason`."""

    def __init__(self, path: str, index: int, reason: str) -> None:
        self.path, self.index, self.reason = path, index, reason
        super().__init__(f"{path}: row {index} cannot be written: {reason}")

    def __reduce__(self) -> tuple:
        return UnwritableRow, (self.path, self.index, self.reason)


class ServerDown(CommonError):
    exit_code = 75  # EX_TEMPFAIL: the same command goes on


class QuotaSpent(CommonError):
    exit_code = 75


class ServerRefused(CommonError):
    pass


class Paused(CommonError):
    exit_code = 75


class Reject(Exception):
    """Raised by a step's own functions: this row or answer is not good, because `reason`."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class BadValue(Reject):
    pass


class AnswerRejected(Reject):
    def __init__(self, reason: str, answer: str) -> None:
        super().__init__(reason)
        self.answer = answer
