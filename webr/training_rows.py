"""From a row of step 4 to a conversation to train on, or to the reason why not."""

from collections.abc import Collection

from common.languages import detect_language
from common.manifest import hash_text
from common.refusals import is_refusal
from webr import as_released, clean_up
from webr.guards import Guards, row_fault

SIDES = ("WI", "WR")


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


def fault_of(row: dict, side: str, guards: Guards | None, released: Collection[str] = ()) -> str | None:
    """Why a row is not taken. Without guards nothing but what the released code notices."""
    for key in ("request", "response"):
        if not row[key]:
            return f"no {key}"
    refuses = as_released.is_refusal if "refusals" in released else is_refusal
    if refuses(row["response"]) and not (guards and guards.keep_refusals):
        return "refusal"
    if guards is None:
        return None
    response = final_response(row, side, released)
    lang = row.get("lang") or detect_language(row["webpage"])  # rows of the released code name none
    return row_fault(row["request"], response, page_of(row), lang, guards)


def to_training_row(
    row: dict, side: str, request_first: bool, prompt_id: str | None = None, released: Collection[str] = ()
) -> dict:
    """Two turns. With web as instruction the user's is request and page, in either order."""
    prompt = row["request"]
    if side == "WI":
        parts = [row["request"], page_of(row)]
        prompt = "\n\n".join(parts if request_first else parts[::-1])
    turns = {"user": prompt, "assistant": final_response(row, side, released)}
    messages = [{"content": text, "role": role} for role, text in turns.items()]
    return {"prompt_id": prompt_id or hash_text(prompt), "messages": messages}


def final_response(row: dict, side: str, released: Collection[str] = ()) -> str:
    if side == "WI":
        return row["response"]
    return (as_released if "notes" in released else clean_up).without_improvement_note(row["response"])


def page_of(row: dict) -> str:
    """What the model saw of the page; the released code keeps nothing else."""
    return row.get("section") or row["webpage"]
