"""Which rule answers a prompt. Each method's rules lie in its own folder, in METHOD/standin.py beside common/:

    def split_context(prompt: Prompt, rng: random.Random) -> str | None:      # None: not this kind of prompt
    MARK_RULES = (split_context,)      # those that know a prompt by its parse marks
    WISH_RULES = ()                    # those that know it by what it asks for

The first rule that fits answers: all MARK_RULES, folder by folder in the order of their names, then all WISH_RULES,
then what any prompt can be answered with.
"""

import importlib.util
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType

from common.errors import BadInput
from common.llm.standin.prompts import Prompt, read_prompt
from common.llm.standin.quoting import answer_question, quote_some

Rule = Callable[[Prompt, random.Random], str | None]
FOLDERS = Path(__file__).resolve().parents[3]  # the methods lie here, beside common/


def load_rules(more: Iterable[str | Path] = ()) -> list[Rule]:
    """The rules of `more` files and of every METHOD/standin.py, in the order in which they are tried."""
    modules = [_load(Path(path)) for path in (*more, *sorted(FOLDERS.glob("*/standin.py")))]
    return [rule for kind in ("MARK_RULES", "WISH_RULES") for module in modules for rule in getattr(module, kind, ())]


def _load(path: Path) -> ModuleType:
    """By its path: nothing here names a method."""
    spec = importlib.util.spec_from_file_location(f"standin_rules_of_{path.resolve().parent.name}", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (OSError, SyntaxError) as error:
        raise BadInput(f"{path}: not a file of rules: {error}") from error
    return module


def answer(rules: list[Rule], user: str, system: str = "", rng: random.Random | None = None) -> str:
    rng = rng or random.Random(user.encode("utf-8", "surrogatepass"))
    prompt = read_prompt(user, system)
    for rule in (*rules, answer_question):
        said = rule(prompt, rng)
        if said is not None:
            return said
    return quote_some(prompt, rng)
