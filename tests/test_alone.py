"""A method's folder and common/, copied into an empty directory without an install, run the README's commands on the
bundled sample to the end, as its README promises; common/ and eval/ import without the rest."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.common.test_launchers import free_port

ROOT = Path(__file__).parent.parent
METHODS = sorted(path.parent.name for path in ROOT.glob("*/run_all.sh"))
SAMPLE_BLOCK = re.compile(r"```bash\n(# On the bundled sample\b.*?)```", re.S)
# Python looks here for a module of this name at every start: it takes the repository's own install away.
NO_INSTALL = """
import sys

installed = [finder for finder in sys.meta_path if getattr(finder, "__module__", "").startswith("__editable__")]
sys.meta_path[:] = [finder for finder in sys.meta_path if finder not in installed]
"""
IMPORT_ALL = """
import importlib, pathlib, sys
for path in sorted(pathlib.Path().glob("*/**/*.py")):
    importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
places = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
strangers = [name for name, place in places.items() if place.startswith(sys.argv[1]) and "/.venv/" not in place]
sys.exit(f"taken from elsewhere in the repository: {strangers}" if strangers else 0)
"""


@pytest.fixture
def lift(tmp_path):
    """Copy folders into an empty directory; gives a function that runs a command there."""

    def copy(*folders: str):
        elsewhere, no_install = tmp_path / "elsewhere", tmp_path / "no_install"
        for folder in folders:
            ignored = shutil.ignore_patterns("__pycache__", "results")
            shutil.copytree(ROOT / folder, elsewhere / folder, ignore=ignored)
        no_install.mkdir()
        (no_install / "sitecustomize.py").write_text(NO_INSTALL)
        env = {name: value for name, value in os.environ.items() if name not in ("OPENAI_BASE_URL", "VIRTUAL_ENV")}
        env |= {"PYTHONPATH": str(no_install), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        env |= {"PORT": str(free_port()), "HF_HUB_OFFLINE": "1"}

        def run(*command: str) -> subprocess.CompletedProcess:
            return subprocess.run(command, cwd=elsewhere, env=env, capture_output=True, text=True, timeout=300)

        return run

    return copy


@pytest.mark.parametrize("folders", [["common"], ["common", "eval"], *(["common", method] for method in METHODS)])
def test_it_imports_without_the_rest_of_the_repository(lift, folders):
    done = lift(*folders)(sys.executable, "-c", IMPORT_ALL, f"{ROOT}/")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("method", METHODS)
def test_the_readmes_sample_commands_run_to_the_end_elsewhere(lift, method):
    blocks = SAMPLE_BLOCK.findall((ROOT / method / "README.md").read_text(encoding="utf-8"))
    assert blocks, f'{method}/README.md has no block that begins with "# On the bundled sample"'
    done = lift("common", method)("bash", "-euo", "pipefail", "-c", blocks[0])
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert "Traceback" not in done.stderr


def test_the_methods_are_found():
    assert {"superfiltering", "web_to_sft", "webr"} <= set(METHODS)
