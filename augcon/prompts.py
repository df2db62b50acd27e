"""The method's prompts, in the language of a text where there are some in it, else in English.

template("judge", "zh")                              # common/prompts/augcon/judge.zh.txt
tree_template("one_example", "en")                   # a worse prompt for a tree: its first example alone
"""

import argparse
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from common.languages import PROMPT_LANGUAGES, detect_language
from common.manifest import hash_text
from common.prompts import load_prompt

BLOCKS = "\n\n---\n\n"  # between instruction, form, examples and the context


def language(text: str, lang: str = "auto") -> str:
    found = detect_language(text) if lang == "auto" else lang
    return found if found in PROMPT_LANGUAGES else "en"


@cache
def template(name: str, lang: str, folder: str | None = None) -> str:
    """The user's own file where the folder has one."""
    own = Path(folder or "", f"{name}.{lang}.txt")
    return load_prompt("augcon", name, lang, path=str(own) if folder and own.exists() else None).strip("\n")


@cache
def tree_template(kind: str, lang: str, folder: str | None = None) -> str:
    """`tree` is the good one; the worse ones have a short instruction, only the first example, or both."""
    instruction, form, *examples, query = template("tree", lang, folder).split(BLOCKS)
    if "short_instruction" in kind:
        instruction = template("tree_short", lang, folder)
    if "one_example" in kind:
        examples = examples[:1]
    return BLOCKS.join([instruction, form, *examples, query])


def prompt_hashes(names: Iterable[str], folder: str | None = None) -> dict[str, str]:
    files = [(name, lang) for name in names for lang in PROMPT_LANGUAGES]
    return {f"{name}.{lang}": hash_text(template(name, lang, folder)) for name, lang in files}


def add_prompt_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("prompts")
    languages = ["auto", *PROMPT_LANGUAGES]
    group.add_argument("--lang", choices=languages, default="auto", help="of the prompts; auto: that of each text")
    group.add_argument("--prompt_folder", help="folder with your own NAME.LANG.txt, as in common/prompts/augcon")
