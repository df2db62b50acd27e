"""What stands beside training data that goes to the Hub or to a trainer: a dataset card, and LLaMA-Factory's entry.

    python -m common.dataset_card --method augcon --data_path results/augcon/sft.jsonl

in   the last output of a method; where it comes from is read from the manifests of the runs behind it
out  README.md beside it: languages, size, columns with their types, every step with its rows, model and settings, the
     prompts' hashes; its head makes `load_dataset` on the folder take this file alone. A README.md of yours stays,
     then the card is <name>.README.md. And dataset_info.json, where the entries of other data sets stay
"""

import argparse
import itertools
import json
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.conversations import has_turns
from common.errors import BadInput
from common.history import Run, runs_behind
from common.languages import UNKNOWN, detect_language
from common.program import make_parser, run_main
from common.rows import count_rows, read_rows, refuse_overlap, write_text

ROOT = Path(__file__).resolve().parents[1]
ROWS_READ = 1000  # for the languages and the types of the columns
SHARE = 0.02  # a language that fewer of these rows are in is taken for a mistake
SIZES = {1e3: "n<1K", 1e4: "1K<n<10K", 1e5: "10K<n<100K", 1e6: "100K<n<1M", 1e7: "1M<n<10M", 1e8: "10M<n<100M"}
TYPES = {str: "string", int: "int", float: "float", bool: "bool", list: "list", dict: "object", type(None): "null"}


class Kind(NamedTuple):
    """What METHOD/dataset_card.json says of the data that the method leaves."""

    what: str  # follows the number of rows
    source: str  # whose the texts are
    tags: list[str]
    columns: dict[str, str] = {}  # LLaMA-Factory's: a key of the rows, or the step's flag that named it


def read_kind(method: str) -> Kind:
    return Kind(**json.loads((ROOT / method / "dataset_card.json").read_text(encoding="utf-8")))


def card_path(output: Path) -> Path:
    """README.md; one that is there and is not the card of this data stays, then it is <name>.README.md."""
    path = output.with_name("README.md")
    if path.exists() and f"\n# {output.stem}\n" not in path.read_text(encoding="utf-8", errors="replace"):
        return output.with_name(f"{output.stem}.README.md")
    return path


def info_path(output: Path) -> Path:
    return output.with_name("dataset_info.json")


def card_files(output: Path) -> list[Path]:
    """What write_card will write, before the data is made: a table of data sets that is none is named now."""
    _read_dataset_info(output)
    return [card_path(output), info_path(output)]


def _read_dataset_info(output: Path) -> dict:
    """The entries that LLaMA-Factory's table has."""
    path = info_path(output)
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(entries, dict):
        raise BadInput(f"{path}: is a {type(entries).__name__}; LLaMA-Factory's table of data sets is an object")
    return entries


def write_card(method: str, output: Path, data_file: Path | None = None) -> None:
    """Both files; `data_file` is the one that `load_dataset` shall take, if there is a better one than the output."""
    kind, runs = read_kind(method), runs_behind([output])
    if not runs:
        raise BadInput(f"{output}: has no manifest beside it; a card says where data comes from")
    rows = list(itertools.islice(read_rows(output, allow_nan=True), ROWS_READ))
    entry = _llama_factory(output, rows[0] if rows else {}, kind, runs[-1].manifest.get("arguments", {}))
    entries = _read_dataset_info(output) | {output.stem: entry}
    write_text(info_path(output), json.dumps(entries, ensure_ascii=False, indent=2) + "\n")
    total = runs[-1].manifest.get("rows_written") or count_rows(output)
    loaded = f"{output.name}/*.arrow" if output.is_dir() else (data_file or output).name
    head = ["---", *_head(kind, runs[-1], rows, total, loaded), "---"]
    parts = ["\n".join(head), f"# {output.stem}", f"{total:,} {kind.what}", kind.source]
    parts += ["## Columns", _columns(rows), "## How it was made", _steps(runs)]
    counts = {name: count for name, count in runs[-1].counts.items() if name not in ("in", "done")}
    if counts:
        parts.append("The last step counted: " + ", ".join(f"{name} {count:,}" for name, count in counts.items()) + ".")
    prompts = {name: value for run in runs for name, value in run.manifest.get("prompts", {}).items()}
    if prompts:
        hashes = ", ".join(f"`{name}` {value[:12]}" for name, value in sorted(prompts.items()))
        parts += ["## Prompts", f"SHA-256 of the prompt files: {hashes}"]
    write_text(card_path(output), "\n\n".join(parts) + "\n")


def _llama_factory(output: Path, row: dict, kind: Kind, arguments: dict) -> dict:
    entry = {"file_name": output.name}
    if has_turns(row):
        key = "messages" if "messages" in row else "conversations"
        entry |= {"formatting": "sharegpt", "columns": {"messages": key}}
        if row[key] and "role" in row[key][0]:
            tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
            entry["tags"] = tags
        return entry
    keys = {role: key if key in row else arguments.get(key) for role, key in kind.columns.items()}
    return entry | {"columns": {role: key for role, key in keys.items() if key in row}}


def _head(kind: Kind, last: Run, rows: list[dict], total: int, data_file: str) -> list[str]:
    # The codes come from the data: what is no code of a language must not become lines of the head.
    found = last.manifest.get("languages") or _languages(rows)
    languages = sorted(lang for lang in found if lang != UNKNOWN and re.fullmatch("[a-z]{2,8}(-[a-z]+)?", lang))
    size = next((name for limit, name in SIZES.items() if total < limit), "n>100M")
    return [
        *(["language:", *(f"- {lang}" for lang in languages)] if languages else []),
        *["task_categories:", "- text-generation", "tags:", *(f"- {tag}" for tag in kind.tags)],
        *["size_categories:", f"- {size}", "configs:", "- config_name: default"],
        f"  data_files: {json.dumps(data_file)}",
    ]


def _languages(rows: list[dict]) -> list[str]:
    texts = (json.dumps([value for value in row.values() if value], ensure_ascii=False) for row in rows)
    counted = Counter(detect_language(text[:2000]) for text in texts)
    return [lang for lang, count in counted.items() if count >= SHARE * len(rows)]


def _columns(rows: list[dict]) -> str:
    types: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for key, value in row.items():
            types[key].add(TYPES.get(type(value), type(value).__name__))
    lines = ["| column | type |", "|---|---|"]
    return "\n".join(lines + [f"| `{_plain(key)}` | {', '.join(sorted(kinds))} |" for key, kinds in types.items()])


def _steps(runs: list[Run]) -> str:
    lines = ["| step | rows in | rows out | model | settings |", "|---|---|---|---|---|"]
    for run in runs:
        llm = run.manifest.get("llm", {})
        settings = ", ".join(f"{name} {value}" for name, value in sorted(llm.get("options", {}).items()))
        step, model = Path(run.manifest["command"][0]).stem, llm.get("model") or ""
        numbers = f"{run.counts.get('in', 0):,} | {run.manifest.get('rows_written', 0):,}"
        lines.append(f"| {step} | {numbers} | {_plain(model)} | {_plain(settings)} |")
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Names come from servers and data: no markup, no new row of the table."""
    return re.sub(r"[<>|`\s]+", " ", text)


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    methods = sorted(path.parent.name for path in ROOT.glob("*/dataset_card.json"))
    parser.add_argument("--method", required=True, choices=methods, help="the method that made the data")
    parser.add_argument("--data_path", required=True, help="its last output")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    output = Path(args.data_path)
    writes = card_files(output)
    refuse_overlap([output], writes)
    write_card(args.method, output)
    print(f"{' and '.join(map(str, writes))}: written")


if __name__ == "__main__":
    run_main(main)
