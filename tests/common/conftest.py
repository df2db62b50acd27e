"""A server that always answers, and eval/generate.py run against it as people run it."""

import json
import sys

import pytest

from common.rows import read_rows, write_rows
from eval import generate
from tests.common.scripted_server import ok, scripted_server


@pytest.fixture(scope="module")
def url():
    with scripted_server(lambda body, _: ok("fine")) as server:
        yield server.url


@pytest.fixture
def run(tmp_path, monkeypatch, url):
    def generate_answers(data_path, *flags, output=tmp_path / "out.jsonl", base_url=url):
        arguments = ["--data_path", data_path, "--save_path", output, "--base_url", base_url, "--model", "m", *flags]
        monkeypatch.setattr(sys, "argv", ["generate.py", *map(str, arguments)])
        generate.main()
        return [row.get("prompt") for row in read_rows(output)]

    return generate_answers


@pytest.fixture
def ask(tmp_path, monkeypatch, quick_retries):
    """Run eval/generate.py on questions; gives back the output rows."""

    def run(questions, url, *flags, output="out.jsonl"):
        rows = [{"id": number, "prompt": question} for number, question in enumerate(questions)]
        write_rows(tmp_path / "in.jsonl", rows)
        save_path = tmp_path / output
        arguments = ["--data_path", tmp_path / "in.jsonl", "--save_path", save_path, "--base_url", url, *flags]
        monkeypatch.setattr(sys, "argv", ["generate.py", *map(str, arguments)])
        generate.main()
        return list(read_rows(save_path))

    run.folder = tmp_path
    run.rejected = lambda: list(read_rows(tmp_path / "out.jsonl.rejected.jsonl"))
    run.manifest = lambda: json.loads((tmp_path / "out.jsonl.manifest.json").read_text())
    return run
