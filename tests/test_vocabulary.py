"""One name for one thing: every flag of every parser has help, shows its own default, and means the same everywhere."""

import ast
import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from tests.test_documents import ROOT, SCRIPTS

# The same thing under another name; left: never again, right: what it is called.
REPLACED = {
    "keep_cut_off": "keep_truncated",
    "workers": "num_workers",
    "output_column": "response_key",
    "output_key": "response_key",
    "question_key": "web_question_key or prompt_key",
    "analysis_key": "web_analysis_key",
    "prompt_template": "prompt_path",
    "judge_prompt": "prompt_path",
    "draw_seed": "seed",
    "precision": "dtype",
    "save_dir": "save_path",
    "out_dir": "save_path",
}
# Each program's own: its paper's value, or what fits what it makes.
OWN_DEFAULTS = set("temperature top_p max_tokens max_length model_name_or_path batch_size batch_tokens".split())
OWN_DEFAULTS |= set(
    "prompt_key response_key save_path data_path split threshold port shown lang text_column api".split()
)
OWN_DEFAULTS |= set("dtype similarity max_model_len num_workers base_model ratio golden_key as_released pairs".split())


class Flag(NamedTuple):
    program: str
    name: str
    line: int
    default: str | None
    help: str | None


def flags_of(program: str) -> list[Flag]:
    found = []
    for node in ast.walk(ast.parse((ROOT / program).read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") != "add_argument":
            continue
        names = [word.value for word in node.args if isinstance(word, ast.Constant) and isinstance(word.value, str)]
        given = {word.arg: word.value for word in node.keywords}
        for name in (name.removeprefix("--") for name in names if name.startswith("--")):
            default = ast.unparse(given["default"]) if "default" in given else None
            help_text = ast.unparse(given["help"]) if "help" in given else None
            found.append(Flag(program, name, node.lineno, default, help_text))
    return found


FLAGS = [flag for program in SCRIPTS for flag in flags_of(program)]


def problems_of(flag: Flag) -> list[str]:
    typed = flag.default not in (None, "None", "False") and re.search(r"\(?default[:s ]", flag.help or "")
    return [
        *(["has no help"] if not flag.help else []),
        *(["the formatter prints the default"] if typed else []),
        *([f"is called {REPLACED[flag.name]} here"] if flag.name in REPLACED else []),
    ]


def test_flags_are_explained_their_defaults_not_typed_and_their_names_the_agreed_ones():
    wrong = [f"{flag.program}:{flag.line} --{flag.name}: {why}" for flag in FLAGS for why in problems_of(flag)]
    assert not wrong, "\n".join(wrong)


def test_one_flag_has_one_default():
    defaults = defaultdict(lambda: defaultdict(set))
    for flag in FLAGS:
        defaults[flag.name][flag.default].add(flag.program)
    several = {name: dict(found) for name, found in defaults.items() if len(found) > 1 and name not in OWN_DEFAULTS}
    assert not several, several


def test_flags_of_several_programs_stand_in_the_table():
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## One name for one thing")[2]
    explained = set(re.findall(r"--(\w+)", table))
    programs = defaultdict(set)
    for flag in FLAGS:
        programs[flag.name].add(flag.program)
    shared = {name for name, where in programs.items() if len(where) > 1}
    assert shared <= explained, sorted(shared - explained)
    assert explained <= {*programs, "help"}, sorted(explained - set(programs))


def test_every_program_uses_the_shared_parser():
    for program in SCRIPTS:
        text = (ROOT / Path(program)).read_text(encoding="utf-8")
        # The doctor does without it: what that imports may be what is missing.
        assert "ArgumentParser(description" not in text or program == "common/doctor.py", program
