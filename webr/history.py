"""What the runs behind a file say of the whole: how many pages went in, what was paid, whether refusals were kept."""

from collections import Counter
from collections.abc import Sequence

from common.history import runs_behind


def pages_behind(paths: Sequence[str], rows: int) -> int:
    """How many pages went in at the start; without manifests, as many as there are rows now."""
    runs = runs_behind(paths)
    made = {run.path for run in runs}
    first = [run.counts["in"] for run in runs if not made & run.manifest["inputs"].keys()]
    return sum(first) or rows


def kept_refusals(paths: Sequence[str]) -> bool:
    """Whether a step behind these files was told to keep refusals."""
    return any(run.manifest.get("arguments", {}).get("keep_refusals") for run in runs_behind(paths))


def result_of(paths: Sequence[str], rows: Counter[str]) -> dict:
    """What compare_with_paper.py sets beside the paper's figures; `rows` are those of each side."""
    llms = [run.manifest["llm"] for run in runs_behind(paths) if "llm" in run.manifest]
    costs = [llm["cost_of_this_run"] for llm in llms if llm.get("cost_of_this_run") is not None]
    models = sorted({str(llm.get("model")) for llm in llms})
    return {
        "rows": rows.total(),
        "WI_share": rows["WI"] / rows.total(),
        "cost": sum(costs) if costs else None,
        "settings": {"rows": rows.total(), "model": ", ".join(models)},
    }
