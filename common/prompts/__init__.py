"""Prompts are text files: common/prompts/<method>/<name>.<lang>.txt, or a file of the user's own.

template = load_prompt("webr", "author", "zh")
text = fill(template, page=page)                  # replaces {page}; other braces stay as they are
"""

import re
from pathlib import Path

from common.errors import BadInput

FOLDER = Path(__file__).parent


def load_prompt(method: str, name: str, lang: str = "en", path: str | None = None) -> str:
    file = Path(path) if path else FOLDER / method / f"{name}.{lang}.txt"
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        known = sorted(other.name for other in (FOLDER / method).glob(f"{name}.*.txt"))
        raise BadInput(f"{file}: no such prompt; there is {', '.join(known) or 'none of that name'}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file}: a prompt must be a file of UTF-8 text: {error}") from None


def fill(template: str, /, **values: str) -> str:
    """Put each value where its {name} stands, in one pass: braces inside a value are left alone."""
    missing = [name for name in values if "{" + name + "}" not in template]
    if missing:
        raise BadInput(f"the prompt has no place for {', '.join('{' + name + '}' for name in missing)}")
    return re.sub(r"\{(" + "|".join(map(re.escape, values)) + r")\}", lambda match: values[match[1]], template)
