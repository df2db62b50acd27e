"""A method's folder and common/, copied into an empty directory, are enough; common/ alone is, too."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
METHODS = sorted(path.parent.name for path in ROOT.glob("*/run_all.sh"))
IMPORT_ALL = """
import importlib, pathlib, sys
for path in sorted(pathlib.Path().glob("*/*.py")):
    importlib.import_module(".".join(path.with_suffix("").parts))
places = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
strangers = [name for name, place in places.items() if place.startswith(sys.argv[1]) and "/.venv/" not in place]
sys.exit(f"taken from elsewhere in the repository: {strangers}" if strangers else 0)
"""


@pytest.mark.parametrize("folders", [["common"], ["common", "eval"], *(["common", method] for method in METHODS)])
def test_it_runs_without_the_rest_of_the_repository(tmp_path, folders):
    for folder in folders:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-c", IMPORT_ALL, f"{ROOT}/"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_methods_are_found():
    assert {"superfiltering", "web_to_sft", "webr"} <= set(METHODS)
