"""What stands beside the training data: a card for people and the Hub, and LLaMA-Factory's entry."""

import json
from pathlib import Path

from common.rows import write_text
from webr.history import Run, runs_behind


def write_card(output: Path) -> None:
    """README.md; its head makes `load_dataset` on the folder take the parquet file alone. A README.md that is there and
    is not the card of this data stays; then the card is <name>.README.md."""
    runs = runs_behind([output])
    made = runs[-1].manifest
    parquet = output.with_suffix(".parquet").name
    languages = "\n".join(f"- {lang}" for lang in sorted(made["languages"]) if lang != "und")
    head = f"---\n{f'language:{chr(10)}{languages}{chr(10)}' if languages else ''}task_categories:\n- text-generation\n"
    head += (
        f"tags:\n- synthetic\n- instruction-tuning\nconfigs:\n- config_name: default\n  data_files: {parquet}\n---\n"
    )
    counts = made["counts"]
    text = (
        f"{head}\n# {output.stem}\n\n{made['rows_written']:,} conversations of two turns, synthesised from web pages"
        " with WebR (Jiang et al., Findings of ACL 2025, arXiv 2504.15573).\n\n"
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
    path = output.with_name("README.md")
    if path.exists() and f"\n# {output.stem}\n" not in path.read_text(encoding="utf-8", errors="replace"):
        path = output.with_name(f"{output.stem}.README.md")
    write_text(path, text.rstrip() + "\n")


def _table(runs: list[Run]) -> str:
    lines = ["| step | rows in | rows out | model | settings |", "|---|---|---|---|---|"]
    for run in runs:
        llm = run.manifest.get("llm", {})
        settings = ", ".join(f"{name} {value}" for name, value in sorted(llm.get("options", {}).items()))
        lines.append(
            f"| {Path(run.manifest['command'][0]).stem} | {run.counts['in']:,} | {run.manifest['rows_written']:,}"
            f" | {llm.get('model') or ''} | {settings} |"
        )
    return "\n".join(lines)


def write_dataset_info(output: Path) -> None:
    """LLaMA-Factory's dataset_info.json: our entry among those that are there."""
    path = output.with_name("dataset_info.json")
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        entries = {}
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    entries[output.stem] = {
        "file_name": output.name,
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": tags,
    }
    write_text(path, json.dumps(entries, ensure_ascii=False, indent=2) + "\n")
