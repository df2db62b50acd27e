"""Documents are executed: every command in a README or docstring names a file and flags that exist."""

import re
import shlex
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

from tests.forked import start

ROOT = Path(__file__).parent.parent
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split("\n")
if len(TRACKED) < 2:  # a copy without git
    TRACKED = [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.rglob("*.*")) if path.is_file()]
READMES = [name for name in TRACKED if name.endswith(".md") and name != "CHANGELOG.md"]
SCRIPTS = [name for name in TRACKED if name.endswith(".py") and not name.startswith("tests/")]
COMMAND = re.compile(r"\b(?:python|bash|deepspeed|torchrun) [^\n`|;&]+")
LOOSE = ("-c", "-m pytest", "-m pip")  # not scripts of ours


def commands_of(text: str) -> list[str]:
    joined = re.sub(r"\\\n\s*", " ", text)
    return [match.strip() for match in COMMAND.findall(joined) if not match.split(" ", 1)[1].startswith(LOOSE)]


def documented_commands() -> list[tuple[str, str]]:
    found = []
    for name in READMES:
        text = (ROOT / name).read_text(encoding="utf-8")
        blocks = re.findall(r"```bash\n(.*?)```", text, re.S) + re.findall(r"`([^`\n]+)`", text)
        found += [(name, command) for block in blocks for command in commands_of(block)]
    for name in SCRIPTS:
        docstring = re.match(r'r?"""(.*?)"""', (ROOT / name).read_text(encoding="utf-8"), re.S)
        found += [(name, command) for command in commands_of(docstring[1] if docstring else "")]
    return found


@cache
def help_of(*script: str) -> str:
    """What `python SCRIPT --help` or `python -m SCRIPT --help` prints."""
    with tempfile.NamedTemporaryFile("w+", encoding="utf-8") as output:
        process = start([*script, "--help"], output.name)
        process.join()
        text = output.read()
    assert process.exitcode == 0, text
    return text


@pytest.mark.parametrize(("document", "command"), sorted(set(documented_commands())))
def test_the_command_names_a_file_and_flags_that_exist(document, command):
    words = shlex.split(command, comments=True)
    script = words[1]
    if "METHOD" in script:  # any of them
        return
    if script == "-m":
        module = words[2].replace(".", "/")
        assert (ROOT / f"{module}.py").exists() or (ROOT / module / "__main__.py").exists(), command
        arguments, help_text = words[3:], help_of("-m", words[2])
    elif script.endswith(".sh"):
        assert (ROOT / script).exists(), command
        return
    elif script.endswith(".py"):
        assert (ROOT / script).exists(), command
        arguments, help_text = words[2:], help_of(script)
        if re.search(rf"^ {{4}}{re.escape((*arguments, '-')[0])} ", help_text, re.M):  # a command of the script's own
            help_text = help_of(script, arguments[0])
    else:
        return
    if "--" in arguments:
        arguments = arguments[: arguments.index("--")]
    for flag in (word.split("=")[0] for word in arguments if word.startswith("--")):
        assert re.search(rf"{re.escape(flag)}\b", help_text), f"{document}: {flag} is not in --help of {script}"


def test_there_are_commands_to_check():
    assert len(documented_commands()) > 10


@pytest.mark.parametrize("script", [name for name in SCRIPTS if '__name__ == "__main__"' in (ROOT / name).read_text()])
def test_every_script_runs_as_a_file_and_as_a_module_and_says_what_it_does(script):
    as_file, as_module = help_of(script), help_of("-m", script[:-3].replace("/", "."))
    assert as_file.split("\n", 1)[1] == as_module.split("\n", 1)[1] or "usage" in as_module


def test_importing_common_costs_no_torch_and_sets_no_logging():
    modules = [name[:-3].replace("/", ".") for name in SCRIPTS if name.startswith("common/") and "__init__" not in name]
    code = f"import sys, logging, {', '.join(modules)}; "
    code += "assert not {'torch', 'transformers', 'datasets', 'pandas', 'ray', 'openai'} & sys.modules.keys(); "
    code += "assert not logging.getLogger().handlers"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
