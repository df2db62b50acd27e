"""Rows as JSON text: one object a line, or one array of objects, decoded as they arrive."""

import base64
import codecs
import contextlib
import gzip
import io
import json
import math
import re
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from common.errors import BadInput, BadRow
from common.rows.files import SHOWN_RAW

READ_CHARS = 1 << 20


def scan_text(path: Path, allow_nan: bool) -> Iterator[dict | BadRow]:
    decoder = _RowDecoder(allow_nan)
    with open_text(path) as stream:
        if path.name.endswith(".json") and _is_array(stream):
            yield from _scan_array(stream, str(path), decoder)
        else:
            yield from _scan_lines(stream, str(path), decoder)


def open_text(path: Path) -> IO[bytes]:
    if path.name.endswith(".gz"):
        return gzip.open(path, "rb")
    if path.name.endswith(".zst"):
        return io.BufferedReader(pa.input_stream(str(path), compression="zstd"), READ_CHARS)
    return open(path, "rb")


def _is_array(stream: IO[bytes]) -> bool:
    head = stream.read(READ_CHARS).removeprefix(codecs.BOM_UTF8).lstrip()
    while not head and (more := stream.read(READ_CHARS)):
        head = more.lstrip()
    stream.seek(0)
    return head.startswith(b"[")


_KINDS = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}


class _RowDecoder(json.JSONDecoder):
    """Says in `problem` what JSON leaves open and would be lost or not come back; the text is read to its end."""

    def __init__(self, allow_nan: bool) -> None:
        self.problem: str | None = None
        strict = {} if allow_nan else {"parse_constant": self._no_constant, "parse_float": self._finite}
        super().__init__(object_pairs_hook=self._unique_keys, **strict)

    def raw_decode(self, text: str, idx: int = 0) -> tuple[Any, int]:
        self.problem = None
        return super().raw_decode(text, idx)

    def row(self, value: Any) -> dict:
        if self.problem:
            raise ValueError(self.problem)
        if not isinstance(value, dict):
            found = _KINDS.get(type(value), "a number")
            raise ValueError(f'found {found} where an object like {{"key": "value"}} was expected')
        return value

    def _unique_keys(self, pairs: list[tuple[str, Any]]) -> dict:
        row = dict(pairs)
        if len(row) < len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))
            self.problem = f"key {twice!r} stands twice; expected each key once"
        return row

    def _no_constant(self, name: str) -> None:
        self.problem = f"{name} is not JSON; expected a number or null"

    def _finite(self, text: str) -> float:
        number = float(text)
        if math.isinf(number):
            self.problem = f"{text[:40]} is too large for a number; expected less than 1.8e308"
        return number


def _scan_lines(stream: IO[bytes], path: str, decoder: _RowDecoder) -> Iterator[dict | BadRow]:
    index = 0
    for number, line in enumerate(stream, 1):
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if not line.strip():
            continue
        try:
            yield decoder.row(decoder.decode(line.decode()))
        except UnicodeDecodeError as error:
            problem = f"not UTF-8 at byte {error.start} of the line; expected UTF-8 text"
            yield BadRow(path, index, problem, line[:SHOWN_RAW].decode(errors="backslashreplace"), number)
        except (ValueError, RecursionError) as error:
            raw = line[: 4 * SHOWN_RAW].decode(errors="replace")[:SHOWN_RAW]
            yield BadRow(path, index, _json_problem(error, "one JSON object a line"), raw, number)
        index += 1


def _json_problem(error: Exception, expected: str, start: int = 0) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON ({error.msg.removesuffix(' at')} at character {error.pos - start}); expected {expected}"
    if isinstance(error, RecursionError):
        return "nested too deeply; expected fewer than a thousand brackets in one another"
    if "integer string conversion" in str(error):
        return f"a number of more than {sys.get_int_max_str_digits()} digits; expected a shorter one, or a text"
    return str(error)


_NUMBER = re.compile(r"[-+.\w]*")
_SPACE = re.compile(r"[ \t\r\n]*")
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|["\[{\]}]', re.DOTALL)
_NOT_UTF8 = re.compile("[\udc80-\udcff]")  # what surrogateescape makes of such bytes; JSON itself never holds these


def _scan_array(stream: IO[bytes], path: str, decoder: _RowDecoder) -> Iterator[dict | BadRow]:
    """The elements of one JSON array, decoded as they arrive: memory holds one element and one chunk."""
    read = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="").read
    text, at, line, ended = "", 0, 1, False

    def more() -> None:
        nonlocal text, at, line, ended
        line += text.count("\n", 0, at)
        # Doubling keeps re-reading of one very long element linear.
        chunk = read(max(READ_CHARS, len(text) - at))
        text, at, ended = text[at:] + chunk, 0, not chunk

    def next_mark() -> str:
        nonlocal at
        while True:
            at = _SPACE.match(text, at).end()
            if at < len(text) or ended:
                return text[at : at + 1]
            more()

    def fail(problem: str) -> BadInput:
        return BadInput(f"{path}, line {line + text.count(chr(10), 0, at)} (row {index}): {problem}")

    index = 0
    next_mark()
    at += 1  # the opening bracket
    while (mark := next_mark()) != "]":
        if index:
            if not mark:
                raise fail("the file ends inside the array; is it cut off? expected ]")
            if mark != ",":
                raise fail(f"found {mark}, expected , or ]")
            at += 1
            next_mark()
        while True:
            problem = end = None
            try:
                value, end = decoder.raw_decode(text, at)
            except json.JSONDecodeError as error:
                if ended or not _may_go_on(error, text):
                    raise fail(_json_problem(error, "an array of objects", at)) from None
            except (ValueError, RecursionError) as error:  # this element will not do; those after it may
                problem, end = error, _end_of_element(text, at)
                if ended and end is None:
                    raise fail("the file ends inside the array; is it cut off? expected ]") from None
            if end is not None and (end < len(text) or ended):
                break
            more()
        try:
            if problem:
                raise ValueError(_json_problem(problem, "an object"))
            if not text.isascii() and (wrong := _NOT_UTF8.search(text, at, end)):
                raise ValueError(f"not UTF-8 at character {wrong.start() - at} of the row; expected UTF-8 text")
            yield decoder.row(value)
        except ValueError as error:
            row_line = line + text.count("\n", 0, at)
            yield BadRow(path, index, str(error), text[at : min(end, at + SHOWN_RAW)], row_line)
        at = end
        index += 1
    at += 1
    if next_mark():
        raise fail("more text after the end of the array; expected the end of the file")


def _may_go_on(error: json.JSONDecodeError, text: str) -> bool:
    """Whether the text may be good JSON that is cut short; only then is more of it read."""
    return error.msg.startswith("Unterminated string") or error.pos > len(text) - len("-Infinity, \\ud83d\\ude00")


def _end_of_element(text: str, at: int) -> int | None:
    """Where the element that begins at `at` ends, going by quotes and brackets alone; None if the text ends first."""
    if text[at] not in "[{":
        return _NUMBER.match(text, at).end()
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text, at):
        if token[0] == '"':  # a string that is cut
            return None
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if not depth:
            return token.end()
    return None


def _plain(value: Any) -> Any:
    """What tables hold and JSON does not: times as ISO text, decimals as their digits, bytes as base64."""
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (Decimal, timedelta, uuid.UUID)):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"a {type(value).__name__} has no form in JSON; write .parquet instead")


_ENCODERS = {
    (ascii_only, nan): json.JSONEncoder(ensure_ascii=ascii_only, allow_nan=nan, default=_plain).encode
    for ascii_only in (False, True)
    for nan in (False, True)
}


def dump_row(row: Any, allow_nan: bool = False) -> bytes:
    """One JSON text in UTF-8, no line end. A row with lone surrogates, which UTF-8 lacks, is written in ASCII."""
    try:
        return _ENCODERS[False, allow_nan](row).encode()
    except UnicodeEncodeError:
        return _ENCODERS[True, allow_nan](row).encode()


def _dump_deep_row(row: Any, allow_nan: bool) -> bytes:
    """For a row that was read where fewer calls had been made: what can be read can be written."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(2 * limit)
    try:
        return dump_row(row, allow_nan)
    finally:
        sys.setrecursionlimit(limit)


class TextFile:
    """JSON lines, or with `array` a JSON array with one row a line; `squeeze` wraps the file in a compressor."""

    def __init__(
        self, part: Path, allow_nan: bool, array: bool = False, squeeze: Callable[[IO[bytes]], Any] | None = None
    ) -> None:
        self._raw = open(part, "wb", buffering=1 << 20)
        self._file = squeeze(self._raw) if squeeze else self._raw
        self._allow_nan, self._array, self._first = allow_nan, array, True

    def encode(self, row: dict) -> bytes:
        try:
            return dump_row(row, self._allow_nan)
        except RecursionError:
            return _dump_deep_row(row, self._allow_nan)

    def add(self, line: bytes) -> None:
        if self._array:
            self._file.write((b"[\n" if self._first else b",\n") + line)
            self._first = False
        else:
            self._file.write(line + b"\n")

    def close(self, complete: bool) -> None:
        try:
            if complete and self._array:
                self._file.write(b"[]\n" if self._first else b"\n]\n")
            self._file.close()
            self._raw.close()
        except OSError:
            if complete:
                raise
        finally:
            with contextlib.suppress(OSError):  # a full disk refuses the rest once more; the error above has said so
                self._raw.close()


def gzipped(raw: IO[bytes]) -> gzip.GzipFile:
    return gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6)  # no name, no date: same bytes


def zstd(raw: IO[bytes]) -> pa.CompressedOutputStream:
    return pa.CompressedOutputStream(pa.PythonFile(raw, mode="w"), "zstd")
