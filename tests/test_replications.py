"""The replications at small scale: the README's table is that of the record, the record that of the script."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import BadInput
from common.report import replication
from tests.in_process import run_program

ROOT = Path(__file__).parent.parent
RECORDS = sorted(ROOT.glob("*/replicate_small.json"))
by_method = pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.parent.name)


def recorded(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def run_script(path: Path, **more: str) -> subprocess.CompletedProcess:
    script = path.with_suffix(".sh").relative_to(ROOT)
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "VIRTUAL_ENV": sys.prefix} | more
    return subprocess.run(["bash", script], cwd=ROOT, env=env, capture_output=True, text=True)


# ---------------------------------------------------------------- what is kept in the repository


@by_method
def test_the_record_has_three_seeds_or_more_and_says_what_follows_from_them(path):
    record = recorded(path)
    assert len(set(record["seeds"])) >= 3
    assert 0 < min(record["seconds"], record.get("cpu_seconds") or 600) < 600  # the machine may have had other work
    runs = [
        {what: {row["figure"]: row["values"][seed] for row in record["rows"] if row["what"] == what} for what in whats}
        for whats in [dict.fromkeys(row["what"] for row in record["rows"])]
        for seed in range(len(record["seeds"]))
    ]
    assert replication.summary(runs) == record["rows"]
    assert [replication.holds_in(order["order"], runs) for order in record["orders"]] == [
        order["seeds"] for order in record["orders"]
    ]


@by_method
def test_the_readmes_table_is_that_of_the_record(path):
    table = replication.table(recorded(path))
    for readme in path.parent.glob("README*.md"):
        block = replication.BETWEEN.search(readme.read_text(encoding="utf-8"))
        assert block, f"{readme} has no table of {path.name}"
        if readme.name == "README.md":
            assert block[0] == table
        assert replication.NUMBER.findall(block[0]) == replication.NUMBER.findall(table)


@by_method
def test_the_script_would_make_that_record(path):
    shown = run_script(path, DRY_RUN="1")
    assert shown.returncode == 0, shown.stderr
    last = shown.stdout.strip().splitlines()[-1]
    assert f"replication.py --method {path.parent.name} " in last
    seeds = re.search(r"--seeds ([\d ]+)", last)
    assert [int(seed) for seed in seeds[1].split()] == recorded(path)["seeds"]
    for order in recorded(path)["orders"]:
        assert re.sub(r"\W", "", order["order"]) in re.sub(r"\W", "", last)


@pytest.mark.peers
@by_method
def test_the_script_run_again_gives_that_table(path, tmp_path):
    done = run_script(path, OUT=str(tmp_path))
    assert done.returncode == 0, done.stderr[-4000:]
    again = {(row["what"], row["figure"]): row for row in recorded(tmp_path / "replicate_small.json")["rows"]}
    rows = recorded(path)["rows"]
    assert len(again) == len(rows)
    far = [row for row in rows if not replication.close(row, again[row["what"], row["figure"]])]
    assert not far, [(row, again[row["what"], row["figure"]]) for row in far]


# ---------------------------------------------------------------- the module


@pytest.fixture
def folder(tmp_path):
    """A method with two READMEs, and the figures of three seeds."""
    method = tmp_path / "method"
    method.mkdir()
    for name, block in (("README.md", "old"), ("README.zh.md", "（1 ± 2，3 ± 4），（5 ± 6），7 个，8 秒（0.5），9 核")):
        (method / name).write_text(f"# M\n\n{replication.BEGIN}\n{block}\n{replication.END}\n\nend\n", encoding="utf-8")
    for seed, (random, ours) in enumerate([(0.5, 0.6), (0.4, 0.7), (0.6, 0.5)]):
        figures = {"random": {"right": random, "rows": 1200}, "ours": {"right": ours}}
        (tmp_path / f"seed{seed}.json").write_text(json.dumps(figures))
    return tmp_path


def replicate(folder: Path, *more: str) -> str:
    files = sorted(map(str, folder.glob("seed*.json")))
    arguments = ["--method", folder / "method", "--seeds", *range(len(files)), "--figures", *files]
    return run_program(replication, *arguments, "--save_path", folder / "out" / "record.json", *more)


def test_mean_spread_and_orders(folder):
    printed = replicate(folder, "--orders", "right: random < ours", "right: ours > random", "--seconds", "7")
    record = recorded(folder / "out" / "record.json")
    assert printed == replication.table(record) + "\n"
    assert "| random | 0.500 ± 0.100 | 1200 ± 0 |\n| ours | 0.600 ± 0.100 | – |\n" in printed
    assert record["rows"][0]["values"] == [0.5, 0.4, 0.6]
    assert [order["seeds"] for order in record["orders"]] == [2, 2]
    assert record["command"] == "bash method/replicate_small.sh"


def test_recording_writes_the_table_into_the_readme_and_the_numbers_into_its_translation(folder, monkeypatch):
    monkeypatch.setattr(replication, "machine", lambda: "9 cores")
    monkeypatch.setattr(replication, "cpu_seconds", lambda: 1.5)
    printed = replicate(folder, "--record", "--seconds", "7")
    readme, chinese = ((folder / "method" / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh.md"))
    assert printed.strip() in readme and readme.startswith("# M\n") and readme.endswith("\n\nend\n")
    assert "（0.500 ± 0.100，1200 ± 0），（0.600 ± 0.100），3 个，7 秒（1.5），9 核" in chinese
    assert recorded(folder / "method" / "replicate_small.json")["seconds"] == 7


def test_what_does_not_fit_is_named(folder):
    (folder / "method" / "README.zh.md").write_text(f"{replication.BEGIN}\n1\n{replication.END}\n", encoding="utf-8")
    with pytest.raises(BadInput, match="another shape"):
        replicate(folder, "--record")
    with pytest.raises(BadInput, match="there is no 'theirs'"):
        replicate(folder, "--orders", "right: theirs < ours")
    (folder / "seed1.json").write_text('{"random": {"right": 0.5, "rows": 3}}')
    with pytest.raises(BadInput, match="ours, right: not every seed has it"):
        replicate(folder)
    (folder / "seed1.json").write_text('{"random": 0.5}')
    with pytest.raises(BadInput, match="seed1.json: expected the figures of a seed"):
        replicate(folder)


@pytest.mark.parametrize(
    ("mean", "spread", "found", "same"),
    [
        (0.5, 0.0, 0.54, True),
        (0.5, 0.0, 0.56, False),
        (0.5, 0.1, 0.79, True),
        (200, 0, 209, True),
        (200, 0, 212, False),
    ],
)
def test_what_counts_as_the_same(mean, spread, found, same):
    assert replication.close({"mean": mean, "spread": spread}, {"mean": found, "spread": 0}) is same
