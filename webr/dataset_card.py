"""What stands beside the training data: a card for people and the Hub, and LLaMA-Factory's entry."""

import json
import re
from pathlib import Path

from common import manifest
from common.errors import BadInput
from common.rows import write_text
from webr.history import Run, runs_behind


def files_beside(output: Path) -> list[Path]:
    """The parquet file, LLaMA-Factory's table and the card; an error if one is there that no run of this step wrote."""
    parquet = output.with_suffix(".parquet")
    if parquet.exists() and not manifest.path_of(output).exists():
        raise BadInput(f"{parquet}: is there, and not from this step; move it, or choose another --save_name")
    return [parquet, output.with_name("dataset_info.json"), card_path(output)]


def card_path(output: Path) -> Path:
    """README.md; one that is there and is not the card of this data stays, then it is <name>.README.md."""
    path = output.with_name("README.md")
    if path.exists() and f"\n# {output.stem}\n" not in path.read_text(encoding="utf-8", errors="replace"):
        return output.with_name(f"{output.stem}.README.md")
    return path


def write_card(output: Path) -> None:
    """Its head makes `load_dataset` on the folder take the parquet file alone."""
    runs = runs_behind([output])
    made = runs[-1].manifest
    # The codes come from the data: what is no code of a language must not become lines of the head.
    languages = sorted(
        lang for lang in made["languages"] if lang != "und" and re.fullmatch("[a-z]{2,8}(-[a-z]+)?", lang)
    )
    head = ["---", *(["language:", *(f"- {lang}" for lang in languages)] if languages else [])]
    head += ["task_categories:", "- text-generation", "tags:", "- synthetic", "- instruction-tuning", "configs:"]
    head += ["- config_name: default", f"  data_files: {json.dumps(output.with_suffix('.parquet').name)}", "---"]
    counts = made["counts"]
    text = (
        "\n".join(head)
        + f"\n\n# {output.stem}\n\n{made['rows_written']:,} conversations of two turns, synthesised from"
        " web pages with WebR (Jiang et al., Findings of ACL 2025, arXiv 2504.15573).\n\n"
        f"{counts.get('WI rows', 0):,} have the page in the instruction,"
        f" {counts.get('WR rows', 0):,} a response made from it."
        " Columns: `prompt_id`, `messages`.\n\n"
        "The texts of pages stand in the data as they were; their licences are those of the pages.\n\n"
        f"## How it was made\n\n{_table(runs)}\n"
    )
    prompts = {name: value for run in runs for name, value in run.manifest.get("prompts", {}).items()}
    if prompts:
        text += "\n## Prompts\n\nSHA-256 of the prompt files: " + ", ".join(
            f"`{name}` {value[:12]}" for name, value in sorted(prompts.items())
        )
    write_text(card_path(output), text.rstrip() + "\n")


def _table(runs: list[Run]) -> str:
    lines = ["| step | rows in | rows out | model | settings |", "|---|---|---|---|---|"]
    for run in runs:
        llm = run.manifest.get("llm", {})
        settings = ", ".join(f"{name} {value}" for name, value in sorted(llm.get("options", {}).items()))
        lines.append(
            f"| {Path(run.manifest['command'][0]).stem} | {run.counts['in']:,} | {run.manifest['rows_written']:,}"
            f" | {_plain(llm.get('model') or '')} | {_plain(settings)} |"
        )
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Names come from servers: no markup, no new row of the table."""
    return re.sub(r"[<>|\s]+", " ", text)


def read_dataset_info(output: Path) -> dict:
    """The entries that LLaMA-Factory's table has. Read before the data is made, so that a bad one costs nothing."""
    path = output.with_name("dataset_info.json")
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(entries, dict):
        raise BadInput(f"{path}: is a {type(entries).__name__}; LLaMA-Factory's table of data sets is an object")
    return entries


def write_dataset_info(output: Path, entries: dict) -> None:
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    entry = {"file_name": output.name, "formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": tags}
    table = json.dumps(entries | {output.stem: entry}, ensure_ascii=False, indent=2)
    write_text(output.with_name("dataset_info.json"), table + "\n")
