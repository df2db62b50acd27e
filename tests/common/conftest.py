"""A server that always answers, and eval/generate.py run against it as people run it."""

import sys

import pytest

from common.rows import read_rows
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
