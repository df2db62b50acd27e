"""The steps run in this process as a user runs them, against the stand-in."""

from pathlib import Path

import pytest

from common.rows import read_rows
from webr import (
    step1_infer_author,
    step2_make_requests,
    step3_make_responses,
    step4_refine_responses,
    step5_postprocess,
    write_report,
)

SAMPLE = Path(__file__).parents[2] / "webr" / "sample" / "pages.jsonl"


def rejected(path: Path) -> list[dict]:
    aside = path.with_name(path.name + ".rejected.jsonl")
    return list(read_rows(aside)) if aside.exists() else []


@pytest.fixture
def run_all(run):
    """All five steps and the report; gives back the rows of the training data."""

    def steps(folder, base_url, *words, pages=SAMPLE, first=("--dedup_pages",), last=()):
        ask = ["--base_url", base_url, *words]
        names = ["authors", "requests", "responses", "refined"]
        paths = [pages, *(folder / f"{name}.jsonl" for name in names)]
        for step, source, target in zip(
            (step1_infer_author, step2_make_requests, step3_make_responses, step4_refine_responses),
            paths,
            paths[1:],
            strict=False,
        ):
            more = first if step is step1_infer_author else ()
            run(step, "--data_path", source, "--save_path", target, *more, *ask)
        output = folder / "data" / "webr.jsonl"
        sides = ["--WI_data_paths", paths[-1], "--WR_data_paths", paths[-1]]
        run(step5_postprocess, *sides, "--save_name", output.with_suffix(""), *last)
        run(write_report, "--data_path", output, "--save_path", folder / "report.html")
        return list(read_rows(output))

    return steps
