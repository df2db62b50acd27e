"""The house as CONTRIBUTING.md draws it: who may import whom, how long things are, and that a method is one folder."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.common.test_launchers import free_port
from tests.test_documents import TRACKED

ROOT = Path(__file__).parent.parent
SOURCES = [name for name in TRACKED if name.endswith(".py") and not name.startswith("tests/")]
METHODS = sorted(path.parent.name for path in ROOT.glob("*/needs.json") if path.parent.name != "eval")
# Inside common/: a module imports only from its own floor and those below it.
FLOORS = [
    ["errors", "redaction", "languages", "prompts"],
    ["program"],
    ["rows"],
    ["manifest", "model_identity"],
    ["step", "shards", "report", "history"],
    ["conversations"],
    ["llm", "training", "doctor", "dataset_card"],
]
STEP = re.compile(r"step\d")
LONGEST_FILE, LONGEST_STEP, LONGEST_MAIN = 350, 150, 30
# Where one is longer, and why that reads better.
LONGER = {
    "augcon/step1_generate_questions.py": "the released config.py's constants are its flags: 27 of them",
    "augcon/step2_train_scorer.py": "TRL's arguments, the released loss beside the paper's",
    "augcon/step3_rank_and_filter.py": "both rules of the filter, and the released one",
    "augcon/step4_answer.py": "demonstrations first, then answers",
    "edu_filter/step2_train_head.py": "the released launcher's 29 flags",
    "edu_filter/step3_score_corpus.py": "a shard's function and the program around it",
    "edu_filter/step6_plot_labels.py": "the figures are the step",
    "webr/step5_postprocess.py": "cleaning, selection and the files beside the data are one decision",
}


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


MODULES = {module_name(path): path for path in SOURCES}


@cache
def imports_of(module: str) -> frozenset[str]:
    """The modules of this repository that it imports, late imports included."""
    tree = ast.parse((ROOT / MODULES[module]).read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else node.module)
    return frozenset(found & MODULES.keys())


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_layer_is_skipped_upwards(module):
    folder, _, name = module.partition(".")
    for imported in imports_of(module):
        other = imported.partition(".")[0]
        assert other in {"common", folder}, f"{module} imports {imported}"
        both_steps = STEP.match(name) and STEP.match(imported.partition(".")[2])
        assert not both_steps, f"{module} imports the step {imported}"


def floor_of(module: str) -> int:
    part = module.split(".")[1]
    return next(number for number, names in enumerate(FLOORS) if part in names)


@pytest.mark.parametrize("module", sorted(module for module in MODULES if module.startswith("common.")))
def test_common_has_floors(module):
    for imported in imports_of(module):
        if imported != "common":
            assert floor_of(imported) <= floor_of(module), f"{module} imports {imported} from a floor above"


def test_there_is_no_circle_of_modules():
    done: set[str] = set()

    def walk(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join([*way[way.index(module) :], module])
        if module not in done:
            for imported in imports_of(module):
                walk(imported, (*way, module))
            done.add(module)

    for module in MODULES:
        walk(module, ())


@pytest.mark.parametrize("name", SOURCES)
def test_files_steps_and_mains_stay_short(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    longest = LONGEST_STEP if STEP.match(Path(name).name) else LONGEST_FILE
    assert text.count("\n") <= longest or name in LONGER, f"{text.count(chr(10))} lines"
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name == "main":
            assert node.end_lineno - node.lineno < LONGEST_MAIN or name in LONGER


def test_the_methods_have_what_a_method_has():
    assert METHODS == ["augcon", "edu_filter", "superfiltering", "web_to_sft", "webr"]
    for method in METHODS:
        for name in (
            "README.md",
            "run_all.sh",
            "needs.json",
            "standin.py",
            "sample",
            "paper_figures.json",
            "dataset_card.json",
        ):
            if name == "standin.py" and not json.loads((ROOT / method / "needs.json").read_text()).get("context"):
                continue  # asks no model
            assert (ROOT / method / name).exists(), f"{method}/{name} is missing"


# ---------------------------------------------------------------- a sixth method

TOY = {
    "toy/__init__.py": "",
    "toy/step1_ask.py": '''
"""Ask what each word means.

    python toy/step1_ask.py --data_path toy/sample/words.jsonl --save_path out/meanings.jsonl

in   {"word": "house"}
out  the same row with "meaning"
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.llm import Answer, Request, add_llm_arguments, ask_rows, llm_options
from common.program import make_parser, run_main
from common.step import Step, add_step_arguments, need, step_options


def make_request(row: dict) -> Request:
    return Request(messages=[{"role": "user", "content": f"TOY WORD: {need(row, 'word')}"}])


def use_answer(row: dict, answer: Answer) -> dict:
    return row | {"meaning": answer.text}


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="words")
    parser.add_argument("--save_path", required=True, help="words with meanings")
    add_step_arguments(parser)
    add_llm_arguments(parser, temperature=0.0)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with Step([args.data_path], args.save_path, **step_options(args)) as step:
        ask_rows(step, llm_options(args), make_request, use_answer)


if __name__ == "__main__":
    run_main(main)
''',
    "toy/run_all.sh": """#!/usr/bin/env bash
# Toy: what words mean.
#   bash toy/run_all.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

DATA=${DATA:-toy/sample/words.jsonl}
OUT=${OUT:-results/toy}
MODEL=${MODEL:-some/model}

start_server --model "$MODEL"
run python toy/step1_ask.py --data_path "$DATA" --save_path "$OUT/meanings.jsonl" --model "$MODEL" "$@"
""",
    "toy/needs.json": json.dumps({"rows": [["word"]], "packages": ["aiohttp", "tqdm"], "context": 64, "gpus": "none"}),
    "toy/standin.py": '''
"""How the stand-in answers this method's prompts."""

import random


def define(prompt, rng: random.Random) -> str | None:
    return "a thing" if "TOY WORD" in prompt.user else None


MARK_RULES = [define]
''',
    "toy/sample/words.jsonl": '{"word": "house"}\n{"word": "房子"}\n',
    "toy/README.md": """
# Toy

```bash
python toy/step1_ask.py --data_path toy/sample/words.jsonl --save_path o.jsonl
```
""",
}


@pytest.fixture(scope="module")
def house_with_a_sixth_method(tmp_path_factory):
    """common/, the tests of the house, and the new folder: nothing else is touched."""
    house = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "common", house / "common", ignore=shutil.ignore_patterns("__pycache__"))
    (house / "tests").mkdir()
    for name in ("__init__.py", "forked.py", "test_documents.py"):
        shutil.copy(ROOT / "tests" / name, house / "tests" / name)
    for name, text in TOY.items():
        (house / name).parent.mkdir(parents=True, exist_ok=True)
        (house / name).write_text(text.lstrip("\n"), encoding="utf-8")
    return house


def run_in(house: Path, *command: str, **more: str) -> subprocess.CompletedProcess:
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "OPENAI_BASE_URL")} | more
    return subprocess.run(command, cwd=house, env=env, capture_output=True, text=True, timeout=120)


def test_a_sixth_method_runs_by_its_launcher_on_the_stand_in(house_with_a_sixth_method):
    house = house_with_a_sixth_method
    serve = ["bash", "common/llm/serve.sh", "--engine", "standin", "--port", str(free_port()), "--"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = run_in(house, *serve, "bash", "toy/run_all.sh", MODEL="stand-in", PATH=path)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (house / "results/toy/meanings.jsonl").read_text().splitlines()]
    assert rows == [{"word": "house", "meaning": "a thing"}, {"word": "房子", "meaning": "a thing"}]


def test_the_doctor_knows_the_sixth_method(house_with_a_sixth_method):
    command = [sys.executable, "common/doctor.py", "--method", "toy", "--data_path", "toy/sample/words.jsonl"]
    done = run_in(house_with_a_sixth_method, *command)
    assert "toy: data" in done.stdout and "rows have word" in done.stdout, done.stderr


def test_the_documents_of_the_sixth_method_are_checked(house_with_a_sixth_method):
    house = house_with_a_sixth_method
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_documents.py", "-k", "toy"]
    assert run_in(house, *command).returncode == 0
    readme = house / "toy/README.md"
    readme.write_text(readme.read_text().replace("--save_path", "--no_such_flag"))
    wrong = run_in(house, *command)
    assert wrong.returncode == 1 and "--no_such_flag" in wrong.stdout
