"""The benchmarks of a GPU run as a whole in small sizes; the READMEs' tables of speed are those of the kept figures."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.bench import figures, gpu
from tests.in_process import run_program

ROOT = Path(__file__).parent.parent
KEPT = json.loads((ROOT / "tests/bench/figures.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("part", gpu.PARTS)
def test_each_part_of_the_gpu_script_runs_on_a_cpu(part, tmp_path):
    run_program(gpu, part, "--folder", tmp_path, "--small", "--json", tmp_path / "found.json")
    (run,) = figures.read([tmp_path / "found.json"])["runs"]
    assert run["of"] == "gpu" and run["figures"]
    for one in run["figures"]:  # speed is of no account here, what is computed is
        assert one["value"] >= 0 and (figures.is_reached(one) or one["unit"] in ("x", "s", "M/s")), one


def test_the_gpu_script_names_every_part_and_what_could_not_be_measured():
    shown = subprocess.run(
        ["bash", "tests/bench/gpu.sh", "--small"], cwd=ROOT, env={"DRY_RUN": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert re.findall(r"-m tests\.bench\.gpu (\w+)", shown.stdout) == list(gpu.PARTS)


def test_every_benchmark_of_the_table_leaves_its_figures():
    named = re.findall(r"^bench (\w+)", (ROOT / "tests/bench/all.sh").read_text(encoding="utf-8"), re.M)
    assert len(named) == len(set(named)) > 10
    for name in named:
        source = (ROOT / f"tests/bench/bench_{name}.py").read_text(encoding="utf-8")
        assert "figures.add_argument(parser)" in source and "figures.keep(args.json" in source, name


def test_the_readmes_show_the_kept_figures():
    for of in {run["of"] for run in KEPT["runs"]}:
        readmes = figures.readmes_of(of)
        for readme in readmes:
            text = readme.read_text(encoding="utf-8")
            assert figures.with_tables(readme, KEPT) == text, f"python -m tests.bench.figures … --readme: {of}"
        text = readmes[0].read_text(encoding="utf-8")
        assert figures.BLOCK.format(of, figures.markdown(KEPT, of)) in text, f"{of}: no place is marked for its figures"


def test_a_goal_is_met_from_below_or_kept_from_above(tmp_path):
    found = [
        figures.figure("rate", 19.96, goal=20),
        figures.figure("time", 14.2, "s", goal=15, at_most=True),
        figures.figure("rows", 12345.6, "/s"),
    ]
    figures.write(tmp_path / "a.json", "a machine", [{"of": "webr", "command": "python x.py", "figures": found}], "now")
    said = run_program(figures, tmp_path / "a.json", "--save_path", tmp_path / "all.json")
    assert "goals missed: 1" in said and "at least 20 x: missed" in said and "at most 15 s" in said
    assert (tmp_path / "all.json").read_bytes() == (tmp_path / "a.json").read_bytes()
    english, chinese = tmp_path / "README.md", tmp_path / "README.zh.md"
    for readme, old in ((english, "old"), (chinese, "1 倍（至少 2 倍），3 秒（至多 4 秒），5 行，6-7-8")):
        readme.write_text(f"before\n{figures.BLOCK.format('webr', old)}\nafter\n", encoding="utf-8")
    content = figures.read([tmp_path / "a.json"]) | {"machine": "a machine", "date": "2026-11-25"}
    made = figures.with_tables(english, content)
    assert made.startswith("before\n") and made.endswith("\nafter\n") and "old" not in made
    assert "| rows | **12,350 /s** |  | the same |" in made
    assert "20.0 倍（至少 20 倍），14.2 秒（至多 15 秒），12,350 行，2026-11-25" in figures.with_tables(
        chinese, content
    )
    english.write_text(made, encoding="utf-8")
    assert figures.with_tables(english, content) == made


def test_figures_of_two_machines_do_not_stand_in_one_table(tmp_path):
    for name in "ab":
        figures.write(tmp_path / f"{name}.json", name, [])
    with pytest.raises(figures.BadInput, match="2 machines"):
        figures.read([str(tmp_path / "a.json"), str(tmp_path / "b.json")])
