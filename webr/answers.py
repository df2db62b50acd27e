"""What the steps that ask a model share: the prompt in the page's language, and which answers will do.

asking = asking_options(args)
messages(asking, prompt(asking, "author", "zh", page=page, language="中文"), "zh")     # and a system message
usable_text(step, asking, answer, clean_request, fault)                             # the text to keep, or Reject
"""

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from common.errors import BadInput, Reject
from common.history import TURNED_DOWN
from common.languages import PROMPT_LANGUAGES, UNKNOWN
from common.llm import Answer
from common.manifest import hash_text
from common.prompts import fill, load_prompt
from common.refusals import is_refusal
from common.step import Step
from webr import as_released
from webr.flavours import FLAVOURS, Flavour, add_flavour_argument
from webr.guards import Guards

RELEASED_NAMES = {"page": "web", "limit": "len_limit", "draft": "answer"}  # so that a released prompt works as it is
GUARDS = {
    "max_words": (float, "longest answer, times the words that are asked for; 0: any"),
    "max_run": (
        int,
        "words in a row that must not stand in page or prompt (of Chinese, 5/3 as many characters); 0: off",
    ),
    "any_form": (
        bool,
        "let pass an author who is no person, a request that asks for nothing, and what repeats itself",
    ),
    "max_repeated": (float, "largest share of a response that stands in its request, by 8-grams; 1: all"),
    "keep_scaffolding": (bool, "let labels of the prompt and marks of a chat template pass"),
    "max_copied": (float, "largest share of a response that stands in its page, by 8-grams; 1: all"),
    "any_language": (bool, "let a text in another language than its page pass"),
}
POINTS = {  # where the released code decides otherwise, step by step
    "split": "shares of pages are rounded down, the last kind takes the rest",
    "sections": "only empty lines end a section",
    "cleaning": "of requests and responses",
    "refusals": "those with two beginnings",
    "notes": "an improved answer loses its first paragraph",
    "duplicates": "each candidate goes",
    "selection": "sizes, order and names of rows",
}


@dataclass(frozen=True, slots=True)
class Asking:
    """What the command line says about prompts and answers. Without guards (--paper_exact) all answers are taken."""

    flavour: Flavour
    prompt_folder: str | None
    keep_truncated: bool
    keep_refusals: bool
    keep_empty: bool
    released: frozenset[str]
    guards: Guards | None


def add_answer_arguments(parser: argparse.ArgumentParser, guards: Sequence[str], points: Sequence[str] = ()) -> None:
    group = parser.add_argument_group("prompts and answers")
    add_flavour_argument(group)
    group.add_argument(
        "--prompt_folder",
        help="your own NAME.LANG.txt, also system.LANG.txt; for what it lacks, those of common/prompts/webr",
    )
    group.add_argument("--keep_truncated", action="store_true", help="keep answers that --max_tokens cut off")
    group.add_argument("--keep_refusals", action="store_true", help="keep answers that refuse")
    group.add_argument("--keep_empty", action="store_true", help="keep answers without text")
    add_released_arguments(group, points)
    add_guard_arguments(parser, *guards)


def add_released_arguments(group: argparse._ArgumentGroup, points: Sequence[str]) -> None:
    if points:
        text = f"single points as in the released code: {', '.join(f'{name} ({POINTS[name]})' for name in points)}"
        group.add_argument("--as_released", nargs="+", choices=points, default=[], metavar="POINT", help=text)
    group.add_argument("--paper_exact", action="store_true", help="all that this step does as in the released code")


def released_points(args: argparse.Namespace) -> frozenset[str]:
    return frozenset(POINTS if args.paper_exact else getattr(args, "as_released", ()))


def add_guard_arguments(parser: argparse.ArgumentParser, *names: str) -> None:
    group = parser.add_argument_group("guards (all off under --paper_exact)")
    for name in names:
        kind, text = GUARDS[name]
        how = {"action": "store_true"} if kind is bool else {"type": kind, "default": getattr(Guards(), name)}
        group.add_argument(f"--{name}", help=text, **how)


def guards_of(args: argparse.Namespace, **more: object) -> Guards | None:
    if args.paper_exact:
        return None
    given = {name: getattr(args, name) for name in Guards.__dataclass_fields__ if hasattr(args, name)}
    return Guards(**given | more)


def asking_options(args: argparse.Namespace) -> Asking:
    flavour = FLAVOURS[args.flavour]
    keep = (args.keep_truncated, args.keep_refusals, args.keep_empty)
    return Asking(flavour, args.prompt_folder, *keep, released_points(args), guards_of(args))


# ---------------------------------------------------------------- prompts


def prompt(asking: Asking, name: str, lang: str, /, **values: str) -> str:
    """In the page's language if there is one, else in English: it names the language that is wanted."""
    text = template(asking, name, lang)
    places = values | {RELEASED_NAMES[name]: value for name, value in values.items() if name in RELEASED_NAMES}
    known = {name: value for name, value in places.items() if "{" + name + "}" in text}
    return fill(text, **known) if known else text


def template(asking: Asking, name: str, lang: str) -> str:
    return _template(name, lang if lang in PROMPT_LANGUAGES else "en", asking.prompt_folder)


@cache
def _template(name: str, lang: str, folder: str | None) -> str:
    """From the folder; languages and prompts that it leaves out, from ours."""
    if folder and not any(Path(folder).glob("*.txt")):
        raise BadInput(f"{folder}: has no prompt such as {name}.{lang}.txt")
    own = Path(folder or "", f"{name}.{lang}.txt")
    return load_prompt("webr", name, lang, path=str(own) if folder and own.exists() else None)


def messages(asking: Asking, text: str, lang: str) -> list[dict[str, str]]:
    """The prompt as the user's turn, after a system message if the flavour or the prompt folder has one."""
    own = asking.prompt_folder and any(Path(asking.prompt_folder).glob("system.*.txt"))
    system = template(asking, "system", lang).strip() if own or asking.flavour.system_message else ""
    turns = {"system": system, "user": text} if system else {"user": text}
    return [{"role": role, "content": content} for role, content in turns.items()]


def prompt_hashes(asking: Asking, *names: str) -> dict[str, str]:
    files = [(name, lang) for name in (*names, "system") for lang in PROMPT_LANGUAGES]
    return {f"{name}.{lang}": hash_text(template(asking, name, lang)) for name, lang in files}


def language_of(row: dict) -> str:
    """As step 1 found it; rows of another origin name none, and of those each language passes."""
    return row["lang"] if isinstance(row.get("lang"), str) else UNKNOWN


# ---------------------------------------------------------------- answers


def usable_text(
    step: Step,
    asking: Asking,
    answer: Answer,
    clean: Callable[[str], str],
    fault: Callable[[str, Guards], str | None],
    clean_as_released: Callable[[str], str] = as_released.clean,
) -> str:
    """The cleaned answer, or why it will not do. What a guard finds is counted, also if the next answer is better."""
    if "cleaning" in asking.released:
        clean = clean_as_released
    text = clean(answer.text) if asking.flavour.cleaned else answer.text
    if asking.guards is None or (asking.keep_empty and not text.strip()):
        return text
    if not text.strip():
        raise Reject("empty answer (--keep_empty keeps such answers)")
    if answer.finish_reason == "length" and not asking.keep_truncated:
        raise Reject("cut off at max_tokens (--keep_truncated keeps such answers)")
    if is_refusal(text):
        if asking.keep_refusals:
            return text  # in whatever form and language
        raise Reject("refusal (--keep_refusals keeps such answers)")
    if reason := fault(text, asking.guards):
        step.counts[TURNED_DOWN + re.sub(" is in .*", " is in another language", reason)] += 1
        raise Reject(reason)
    return text
