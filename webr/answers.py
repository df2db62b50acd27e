"""What the steps that ask a model share: the prompt in the page's language, and which answers will do."""

import argparse
from collections.abc import Callable
from functools import cache
from pathlib import Path

from common.errors import BadInput, Reject
from common.languages import PROMPT_LANGUAGES
from common.llm import Answer
from common.manifest import hash_text
from common.prompts import load_prompt
from common.refusals import is_refusal


def add_answer_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("answers and draws")
    group.add_argument("--keep_cut_off", action="store_true", help="keep answers that --max_tokens cut off")
    group.add_argument("--keep_refusals", action="store_true", help="keep answers that refuse")
    group.add_argument("--prompt_folder", help="folder with your own NAME.LANG.txt (default: common/prompts/webr)")
    group.add_argument("--draw_seed", type=int, default=0, help="of the random draws")
    group.add_argument(
        "--paper_exact",
        action="store_true",
        help="clean answers as the released code does, and keep refusals and cut-off answers; step 5 drops some",
    )


def prompt_for(name: str, lang: str, args: argparse.Namespace) -> str:
    """In the page's language if there is one, else in English: it names the language that is wanted."""
    return _prompt(name, lang if lang in PROMPT_LANGUAGES else "en", args.prompt_folder)


@cache
def _prompt(name: str, lang: str, folder: str | None) -> str:
    """From the folder; languages that it leaves out, from ours."""
    if not folder:
        return load_prompt("webr", name, lang)
    if not any(Path(folder).glob(f"{name}.*.txt")):
        raise BadInput(f"{folder}: has no {name}.{lang}.txt")
    own = Path(folder, f"{name}.{lang}.txt")
    return load_prompt("webr", name, lang, path=str(own) if own.exists() else None)


def prompt_hashes(names: tuple[str, ...], args: argparse.Namespace) -> dict[str, str]:
    files = [(name, lang) for name in names for lang in PROMPT_LANGUAGES]
    return {f"{name}.{lang}": hash_text(_prompt(name, lang, args.prompt_folder)) for name, lang in files}


def usable_text(answer: Answer, clean: Callable[[str, bool], str], args: argparse.Namespace) -> str:
    """The cleaned answer, or why it will not do."""
    text = clean(answer.text, args.paper_exact)
    if not text.strip():
        raise Reject("empty answer")
    if answer.finish_reason == "length" and not (args.keep_cut_off or args.paper_exact):
        raise Reject("cut off at max_tokens (--keep_cut_off keeps such answers)")
    if is_refusal(text) and not (args.keep_refusals or args.paper_exact):
        raise Reject("refusal (--keep_refusals keeps such answers)")
    return text
