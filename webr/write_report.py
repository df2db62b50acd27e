"""One HTML page on a whole WebR run: where the pages went and why, lengths, tokens, near-duplicates, samples.

    python webr/write_report.py --data_path out/webr/webr.jsonl --save_path out/webr/report.html

in   the output of step 5; the steps before it are found through the manifests beside their outputs
out  one file that opens from disk, without network or scripts
"""

import argparse
import heapq
import random
import re
import sys
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common import report
from common.errors import BadInput
from common.history import Run, runs_behind
from common.program import make_parser, run_main
from common.rows import read_rows, refuse_overlap
from webr.guards import copied_share
from webr.history import pages_behind
from webr.near_duplicates import word_ids

REASONS = 12  # named a stage; the rest are added up
NAMES = {
    "step1_infer_author": "author inferred",
    "step2_make_requests": "request made",
    "step3_make_responses": "response made",
    "step4_refine_responses": "response refined",
    "step5_postprocess": "training data",
}


def stages(runs: list[Run]) -> list[report.Stage]:
    first = [report.Stage("pages", runs[0].counts["in"])]
    return first + [report.Stage(stage_name(run), run.counts["done"], reasons(run)) for run in runs]


def stage_name(run: Run) -> str:
    step = Path(run.manifest["command"][0]).stem
    return NAMES.get(step, step)


def reasons(run: Run) -> Counter[str]:
    """Reasons with their count; numbers in them (of a row, of a page) are left out, so that like ones add up."""
    counted = Counter(re.sub(r"(of (?:page|row)) \d+", r"\1", row["reason"])[:120] for row in rejected_rows(run))
    rare = counted.most_common()[REASONS:]
    named = Counter(dict(counted.most_common(REASONS)))
    return named + Counter({f"{len(rare)} other reasons": sum(count for _, count in rare)}) if rare else named


def guard_rows(runs: list[Run]) -> list[list]:
    return [[stage_name(run), guard, count] for run in runs for guard, count in sorted(run.guards.items())]


def rejected_rows(run: Run) -> Iterator[dict]:
    if run.rejected:
        yield from read_rows(run.rejected, allow_nan=True)


def costs(runs: list[Run]) -> str:
    header = ["step", "model", "requests", "answers from the store", "tokens in", "tokens out", "cost", "seconds"]
    rows = []
    for run in runs:
        llm, counts = run.manifest.get("llm", {}), run.counts
        numbers = [counts.get(name, 0) for name in ("requests", "from the store", "tokens in", "tokens out")]
        cost = llm.get("cost_of_this_run")
        price = "–" if cost is None else f"{cost:,.4f}"
        rows.append([stage_name(run), llm.get("model") or "–", *numbers, price, run.manifest["seconds"]])
    return report.table(header, rows)


class Output:
    """What the report shows of the training data, gathered in one pass: lengths of all, texts of a few."""

    def __init__(self, path: str, count: int, shown: int, draw: random.Random) -> None:
        wanted = set(draw.sample(range(count), min(shown, count)))
        self.request_lengths, self.response_lengths = array("l"), array("l")
        self.copied = array("d")
        self.random: list[dict] = []
        self.extremes: dict[str, list[tuple[float, int, dict]]] = {name: [] for name in EXTREMES}
        for index, row in enumerate(read_rows(path)):
            request, response = (turn["content"] for turn in row["messages"])
            copied = copied_share(response, request)
            self.request_lengths.append(len(request))
            self.response_lengths.append(len(response))
            self.copied.append(copied)
            card = {"#row": str(index), "#copied": f"{copied:.0%}", "user": request, "assistant": response}
            if index in wanted:
                self.random.append(card)
            for name, rank in EXTREMES.items():
                ranked = (rank(request, response, copied), -index, card)
                heapq.heappush(self.extremes[name], ranked)
                if len(self.extremes[name]) > EACH_EXTREME:
                    heapq.heappop(self.extremes[name])

    def extreme_cards(self) -> list[dict]:
        return [{"#": name} | card for name, kept in self.extremes.items() for _, _, card in sorted(kept, key=rank_of)]


def rank_of(kept: tuple[float, int, dict]) -> tuple[float, int]:
    return -kept[0], -kept[1]


EACH_EXTREME = 2
EXTREMES = {
    "longest response": lambda request, response, copied: len(response),
    "shortest response": lambda request, response, copied: -len(response),
    "longest user turn": lambda request, response, copied: len(request),
    "most copied from the user turn": lambda request, response, copied: copied,
}


def duplicate_cards(rejected: Iterator[dict], shown: int, draw: random.Random) -> list[dict]:
    """Requests that went, beside the one that each repeats; a fair draw of them."""
    cards = []
    pairs = (entry for entry in rejected if entry["reason"] == "near-duplicate request")
    for entry in report.fair_draw(pairs, shown, draw):
        row = entry["row"]
        one, other = set(word_ids(row["request"])), set(word_ids(row["repeated_request"]))
        card = {
            "#row": str(entry["index"]),
            "#repeats row": str(row["repeats"]),
            "#words in both": f"{len(one & other) / max(1, len(one | other)):.0%}",
            "set aside": row["request"],
            "repeats": row["repeated_request"],
        }
        cards.append(card)
    return cards


def other_cards(rejected: Iterator[dict], shown: int) -> list[dict]:
    """The first rows of each other reason."""
    seen: Counter[str] = Counter()
    cards = []
    for entry in rejected:
        row, reason = entry["row"], entry["reason"]
        seen[reason] += 1
        if reason in ("near-duplicate request", "not needed") or seen[reason] > 1 or len(cards) == shown:
            continue
        texts = {name: row[name] for name in ("request", "response", "raw") if isinstance(row.get(name), str)}
        cards.append({"#row": str(entry["index"]), "#": reason} | texts)
    return cards


def build(data_path: str, shown: int, seed: int) -> tuple[str, list[str]]:
    runs = runs_behind([data_path])
    if not runs:
        raise BadInput(f"{data_path}: no manifest beside it; give the output of step5_postprocess.py")
    last, draw = runs[-1], random.Random(seed)
    output = Output(data_path, last.manifest["rows_written"], shown, draw)
    rows = last.manifest["rows_written"]
    pages = pages_behind([data_path], rows)
    tokens = sum(run.counts.get("tokens out", 0) for run in runs)
    models = sorted({run.manifest["llm"]["model"] for run in runs if run.manifest.get("llm", {}).get("model")})
    tiles = {
        "pages": f"{pages:,}",
        "conversations": f"{rows:,}",
        "pages a conversation": f"{pages / rows:.2f}" if rows else "–",
        "answer tokens": f"{tokens:,}",
        "model": ", ".join(models) or "–",
    }
    return f"{pages:,} pages, {rows:,} conversations", [
        report.section("At a glance", report.tiles(tiles)),
        report.section(
            "Where the pages went", report.funnel(stages(runs)), note="Left after each step; why rows went."
        ),
        report.section(
            "What came out",
            report.bars(last.manifest.get("kinds", {})),
            report.bars(last.manifest.get("languages", {})),
            note="Web as instruction (WI) or as response (WR), about all of a page or a part; by language.",
        ),
        report.section(
            "Lengths",
            report.side_by_side(
                report.histogram("User turn", output.request_lengths, "characters"),
                report.histogram("Response", output.response_lengths, "characters"),
                report.histogram("Copied", [100 * share for share in output.copied], "% of the response's 8-grams"),
            ),
        ),
        report.section(
            "Guards",
            report.table(["step", "guard", "answers turned down"], guard_rows(runs)),
            note="An answer that is turned down is asked for again; rows that never got a good one are counted above.",
        ),
        report.section("Tokens and cost", costs(runs), note="Requests and cost: of the run that finished the file."),
        report.section("Near-duplicate requests", report.samples(duplicate_cards(rejected_rows(last), shown, draw))),
        report.section("Rows at random", report.samples(output.random)),
        report.section("Extreme rows", report.samples(output.extreme_cards())),
        report.section("One row of each other reason", report.samples(other_cards(rejected_rows(last), shown))),
    ]


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="the .jsonl of step 5")
    parser.add_argument("--save_path", required=True, help="the report, .html")
    parser.add_argument("--shown", type=int, default=12, help="rows shown in each section")
    parser.add_argument("--seed", type=int, default=0, help="of the rows shown")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    refuse_overlap([args.data_path], [args.save_path])
    report.write_report(args.save_path, "WebR", *build(args.data_path, args.shown, args.seed))


if __name__ == "__main__":
    run_main(main)
