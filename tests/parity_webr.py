"""What webr does under --paper_exact, against reference files of the released code. Run by tests/parity.py."""

import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from common.llm import Answer
from common.rows import read_rows
from webr import step5_postprocess
from webr.answers import POINTS, Asking, usable_text
from webr.clean_up import clean_request, clean_response
from webr.flavours import FLAVOURS
from webr.sections import take_section
from webr.training_rows import fault_of, final_response

Rows = Iterable[tuple[bool, str]]


class Fixed:
    """A draw that is known before: the first `count` of `most` sections, or (0) all of them."""

    def __init__(self, count: int, most: int = 1) -> None:
        self.count, self.most = count, most

    def random(self) -> float:
        return 0.2 if self.count else 0.8

    def randint(self, least: int, most: int) -> int:
        assert (least, most) == (1, self.most)
        return self.count


def sections(path: Path) -> Rows:
    """Each page whole and cut at each place."""
    for row in read_rows(path):
        whole = take_section(row["page"], Fixed(0), paper_exact=True)
        most = len(row["first"])
        cut = [take_section(row["page"], Fixed(count, most), paper_exact=True) for count in range(1, most + 1)]
        if not most:  # one section, never cut
            cut = [] if take_section(row["page"], Fixed(1), paper_exact=True) == whole else ["cut"]
        yield (
            whole == row["all"] and cut == row["first"],
            f"{whole!r}, {cut!r}; expected {row['all']!r}, {row['first']!r}",
        )


def answers(path: Path) -> Rows:
    """What steps 2 and 3 store in both flavours, whether step 5 keeps it, and the response in the training data."""
    for row in read_rows(path):
        found, expected = {}, {}
        for name, flavour in FLAVOURS.items():
            asking = Asking(flavour, None, False, False, False, released=frozenset(POINTS), guards=None)
            stored = {
                key: usable_text(None, asking, Answer([row[f"{key}_raw"]], ["stop"]), clean, no_guard)
                for key, clean in (("request", clean_request), ("response", clean_response))
            }
            kept = fault_of(stored, row["side"], None, POINTS) is None
            response = final_response(stored, row["side"], POINTS) if kept else None
            found[name] = [stored["request"], stored["response"], kept, response]
            wanted = [row["request_local"], row["response_local"]]
            if name == "api":
                wanted = [row["request_raw"], row["response_raw"]]
            post = row[f"post_{name}"]
            expected[name] = [*wanted, post["kept"], post["final_response"]]
        yield found == expected, f"{found}; expected {expected}"


def no_guard(*_: object) -> None:
    raise AssertionError("--paper_exact has no guards")


def near_duplicates(path: Path) -> Rows:
    expected = json.loads(path.with_name(path.stem + "_expected.json").read_text(encoding="utf-8"))
    yield from kept_rows(path, expected["tokenizer"], [expected["kept"]])


def filtered(path: Path) -> Rows:
    expected = json.loads(path.read_text(encoding="utf-8"))
    source = path.with_name("webr_requests.json")
    yield from kept_rows(source, "tiny_gpt2", [expected["after_pattern_filter"], expected["after_minhash"]])


def kept_rows(source: Path, tokenizer: str, expected: list[list[int]]) -> Rows:
    """Step 5 on the rows of a file as web as instruction: which are left after the filter (if that is given), and after
    the near-duplicates."""
    rows = json.loads(source.read_text(encoding="utf-8"))
    gone = rejected_by_step5(source, find_beside(source, tokenizer))
    left = [
        [number for number in range(len(rows)) if gone.get(number) in (None, "near-duplicate request")],
        [number for number in range(len(rows)) if number not in gone],
    ][-len(expected) :]
    for found, wanted in zip(left, map(set, expected), strict=True):
        kept = set(found)
        for number in range(len(rows)):
            yield (number in kept) == (number in wanted), f"row {number} is {'kept' if number in kept else 'dropped'}"


def rejected_by_step5(source: Path, tokenizer: Path) -> dict[int, str]:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "out.jsonl")
        words = ["--WI_data_paths", source, "--save_name", output.with_suffix(""), "--paper_exact"]
        run(step5_postprocess.main, *words, "--tokenizer_model_name", tokenizer)
        aside = output.with_name("out.jsonl.rejected.jsonl")
        return {entry["index"]: entry["reason"] for entry in read_rows(aside)} if aside.exists() else {}


def find_beside(source: Path, name: str) -> Path:
    """A model's folder beside the file, or beside its folder."""
    places: Iterator[Path] = (folder / name for folder in source.resolve().parents)
    return next((place for place in places if place.is_dir()), Path(name))


def run(main: Callable[[], None], *words: object) -> None:
    before = sys.argv
    sys.argv = ["step", *map(str, words)]
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            main()
    finally:
        sys.argv = before


CHECKS = {
    "webr_sections_hard_expected.jsonl": sections,
    "webr_answers_hard_expected.jsonl": answers,
    "webr_dedup_hard.json": near_duplicates,
    "webr_expected.json": filtered,
}
COMPANIONS = ("webr_dedup_hard_expected.json", "webr_requests.json", "tiny_gpt2/*")
