"""From a row of step 4 to a conversation to train on, or to the reason why not."""

import hashlib

from common.languages import detect_language
from common.refusals import is_refusal
from webr.clean_up import without_improvement_note
from webr.guards import Limits, find_fault
from webr.sections import draws

SIDES = ("WI", "WR")
RELEASED_REFUSALS = ("I'm sorry", "I apologize")


def problem_of(row: dict) -> str | None:
    """What makes a row unusable, a fault of the file and not of the model."""
    if not isinstance(row.get("webpage"), str):
        return "no text in 'webpage'"
    for key in ("request", "response"):
        if key not in row or not isinstance(row[key], str | None):
            return f"no text in {key!r}"
    if "kind" in row and str(row["kind"])[:2] not in SIDES:
        return f"unknown kind {row['kind']!r}; expected WI_all, WI_part, WR_all or WR_part"
    return None


def fault_of(row: dict, side: str, limits: Limits | None) -> str | None:
    """Why a row is not taken. Without limits: what the released code notices."""
    for key in ("request", "response"):
        if not row[key]:
            return f"no {key}"
    if limits is None:
        return "refusal" if row["response"].startswith(RELEASED_REFUSALS) else None
    if not limits.keep_refusals and is_refusal(row["response"]):
        return "refusal"
    response = final_response(row, side, as_released=False)
    lang = row.get("lang") or detect_language(row["webpage"])  # rows of the released code name none
    return find_fault(row["request"], response, page_of(row), lang, limits)


def to_training_row(row: dict, side: str, seed: int, as_released: bool) -> dict:
    """Two turns. With web as instruction the user's is request and page, in either order."""
    prompt = row["request"]
    if side == "WI":
        parts = [row["request"], page_of(row)]
        if draws(seed, row["webpage"], "order").random() < 0.5:
            parts.reverse()
        prompt = "\n\n".join(parts)
    response = final_response(row, side, as_released)
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
    return {"prompt_id": digest(prompt).hex(), "messages": turns}


def final_response(row: dict, side: str, as_released: bool) -> str:
    return without_improvement_note(row["response"], as_released) if side == "WR" else row["response"]


def page_of(row: dict) -> str:
    """What the model saw of the page."""
    return row.get("section") or row["webpage"]


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
