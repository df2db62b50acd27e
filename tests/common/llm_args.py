"""The flags of a step that asks a model, for tests that call its functions themselves."""

import argparse

from common.llm import add_llm_arguments
from common.rows import write_rows
from common.step import add_step_arguments


def llm_args(folder, **defaults):
    parser = argparse.ArgumentParser()
    add_llm_arguments(parser, **defaults)
    add_step_arguments(parser)
    write_rows(folder / "in.jsonl", [{"question": "q"}])
    return parser.parse_args([])
