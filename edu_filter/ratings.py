"""From what a rater wrote to a rating, and from a rating or a score to a class.

parse_rating("Clear, with exercises.\\n**Puntuación educativa:** 3,5 de 5")     # 3.5
released_rating("PUNTUACIÓN EDUCATIVA: 3,5")                                    # "3": as the released code reads it
int_score(2.5)                                                                  # 3; released_int_score(2.5) is 2
"""

import functools
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from common.errors import BadInput, Reject

MARKS = {
    "es": "PUNTUACIÓN EDUCATIVA",
    "pt": "PONTUAÇÃO EDUCATIVA",
    "en": "EDUCATIONAL SCORE",
    "zh": "教育评分",
}
HIGHEST = 5
JSON_SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "rating",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {
                "reason": {"type": "string"},
                "score": {"type": "integer", "minimum": 0, "maximum": HIGHEST},
            },
            "required": ["reason", "score"],
            "additionalProperties": False,
        },
    },
}

# ---------------------------------------------------------------- as released

_RELEASED = re.compile(r"PUNTUACIÓN EDUCATIVA[:\s]*([\d.]+)")


def released_rating(reply: str) -> str | None:
    """The first rating, as written: "4", "4.99.", "10", also "..." """
    found = _RELEASED.search(reply)
    return found[1] if found else None


def released_class(score: str) -> int:
    """What training makes of it: cut at the first full stop, limited to 0 … 5. ValueError where there is no number."""
    return min(max(int(float(score.split(".")[0])), 0), HIGHEST)


def released_int_score(score: float) -> int:
    """Halves go to the even number, NaN to 0."""
    return int(round(max(0, min(score, HIGHEST))))


# ---------------------------------------------------------------- ours


def int_score(score: float) -> int:
    """The class of a rating or score: halves go up."""
    if math.isnan(score):
        raise Reject("the score is not a number")
    return math.floor(min(max(score, 0), HIGHEST) + 0.5)


def folded(text: str) -> str:
    """Without case, accents, full-width forms and invisible characters."""
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return "".join(char for char in text if unicodedata.category(char) not in ("Mn", "Cf"))


_MARK = re.compile(
    r"puntuacion[\s*_]+educativa|pontuacao[\s*_]+educa(?:tiva|cional)|educational[\s*_]+score|教育\s*(?:价值)?\s*[评評]分"
)
_NUMBER = re.compile(r"[-−–+]?[.,]?\d[\d.,]*")
_SCALE = re.compile(r"\W*(?:de |from |entre )?0 ?(?:-|–|/|a|to|y|e|and|至|到) ?5\b[^\w\n:=]*(?=[:=])")  # "(0-5):"
_OF_FIVE = re.compile(
    r"[\s*_\"'`>\])]*(?:puntos? |pontos? |points? )?[(\[]?(?:/|⁄|de|of|out of|sobre|em|over|分,?满分)\s*[*_]*5\b"
)
_OR = r"(?:[-–—−~/⁄,;]|de|of|out of|sobre|em|over|y|e|o|u|ou|or|and|a|to|至|到|或|和)?"
_ANOTHER = re.compile(rf"[ \t*_\"'`>\])(\[]*{_OR}[ \t*_\"'`<(\[]*[-−+]?(\d[\d.,]*)")
_NEAR = 80  # characters behind the mark in which its number must begin
_WORDS_BETWEEN = 4  # mark and number: "is in the end"


def parse_rating(reply: str, mark: str | None = None) -> float:
    """The last rating in the reply, by the mark of a rubric of one's own or else by ours, whichever language it is in;
    Reject says why there is none from 0 to 5."""
    if (given := _from_json(reply)) is not None:
        return _on_the_scale(given["score"])
    text = folded(reply)
    marks = list(_pattern(mark).finditer(text))
    if not marks:
        raise Reject(f"no {mark or 'educational score'} in the reply")
    found = None
    while marks and not found:
        mark = marks.pop()
        found = _number_after(text[mark.end() :])
        text = text[: mark.start()]
    if not found:
        raise Reject(f"no number behind the {mark or 'educational score'}")
    rating = found[0]
    if marks and "\n" not in (same_line := text[marks[-1].end() :]):
        earlier = _number_after(same_line)
        if earlier and earlier[0] != rating and len(re.findall(r"\w+", same_line[earlier[1] :])) <= 1:
            raise Reject(f"two scores on one line: {earlier[0]:g} and {rating:g}")
    return _on_the_scale(rating)


def _on_the_scale(rating: float) -> float:
    if not 0 <= rating <= HIGHEST:
        raise Reject(f"the score is {rating:g}, not 0 to {HIGHEST}")
    return float(rating)


def _from_json(reply: str) -> dict | None:
    """{"reason": ..., "score": 3}, as --json_schema asks for."""
    found = json_object(reply)
    score = (found or {}).get("score")
    return found if isinstance(score, int | float) and not isinstance(score, bool) else None


def json_object(reply: str) -> dict | None:
    """A reply that is one object, fenced or not."""
    text = re.sub(r"^```(?:json)?|```$", "", reply.strip()).strip()
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


@functools.cache
def _pattern(mark: str | None) -> re.Pattern[str]:
    return _MARK if mark is None else re.compile(r"[\s*_]+".join(map(re.escape, folded(mark).split())))


def own_mark(rubric: str) -> str | None:
    """The mark of a rubric of one's own: its last line is "CODE QUALITY: <points>". None if that is one of ours."""
    lines = [line for line in rubric.splitlines() if line.strip()]
    found = re.fullmatch(r"\W*([^\W_][^:：<>{}]{1,60}?)\W*[:：]\W*<[^<>]*>\W*", lines[-1]) if lines else None
    return found[1] if found and not _MARK.fullmatch(folded(found[1])) else None


def _number_after(tail: str) -> tuple[float, int] | None:
    """The number a mark is followed by, and where it ends; None when there is none."""
    scale = _SCALE.match(tail[:_NEAR])
    start = scale.end() if scale else 0
    found = _NUMBER.search(tail, start, start + _NEAR)
    if not found:
        return None
    found = _NUMBER.match(tail, found.start())  # whole, also where it runs over the limit
    gap = tail[start : found.start()]
    words = re.findall(r"[^\W\d_]+", gap)
    if len(words) > _WORDS_BETWEEN or (words and re.search(r"[\n.!?。]", gap.strip())):
        return None
    text = found[0].rstrip(".,").replace("−", "-").replace("–", "-")
    if not re.fullmatch(r"[-+]?\d+(?:[.,]\d+)?", text):
        raise Reject(f"the score {text!r} is not a number")
    value = float(text.replace(",", "."))
    rest = tail[found.end() :].partition("\n")[0]
    if re.match(r"e\d|\s*%", rest):
        raise Reject(f"the score {text + rest[:3]!r} is not a number from 0 to {HIGHEST}")
    if not _OF_FIVE.match(rest) and not found[0].endswith((".", ",")):
        another = _ANOTHER.match(rest)
        if another and float(re.match(r"\d+", another[1])[0]) != value:
            raise Reject(f"two numbers for the score: {(text + another[0]).strip()!r}")
    return value, found.end()


def reason_of(reply: str, mark: str | None = None) -> str:
    """What the rater says before its last mark."""
    if (given := _from_json(reply)) is not None:
        return str(given.get("reason", ""))
    lines = reply.splitlines()
    marked = [place for place, line in enumerate(lines) if _pattern(mark).search(folded(line))]
    return "\n".join(lines[: marked[-1]]).strip() if marked else reply.strip()


# ---------------------------------------------------------------- in a prompt


def without_marks(document: str, *fences: str, own: str | None = None) -> str:
    """A document that cannot be taken for the rater's own words: marks, and what fences it, are broken by a dot. One's
    own mark may be an ordinary word: it is one only before a colon."""
    for mark in (*MARKS.values(), *fences, *([own] if own else [])):
        words = mark.split() if " " in mark else [mark[:2], mark[2:]]
        loose = r"\s*".join(re.escape(word) for word in words).replace("Ó", "[ÓO]").replace("ÇÃ", "[ÇC][ÃA]")
        loose += r"(?=[\s*_\"']*[:：=])" if mark == own else ""
        document = re.sub(loose, "·".join(words), document, flags=re.IGNORECASE)
    return document


# ---------------------------------------------------------------- the released file


def released_json(entries: Iterable[tuple[int, dict]]) -> str:
    """{row number: {"Score": "3.5", "Prompt": the document}} as the released scripts write and read it."""
    return json.dumps({str(index): entry for index, entry in entries}, ensure_ascii=False, indent=4)


def is_released_json(path: str | Path) -> bool:
    """A .json that holds one object, not an array of rows or an object a line."""
    if not str(path).endswith(".json") or not Path(path).is_file():
        return False
    with open(path, encoding="utf-8") as file:
        head = file.read(4096)
    return re.match(r'\s*\{\s*(?:\}|"\d+"\s*:\s*\{)', head) is not None


def read_released_json(path: str | Path) -> Iterator[dict]:
    """Its entries in order, as rows {"rating": "3.5", "text": "..."}."""
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
        for entry in entries.values():
            yield {"rating": entry["Score"], "text": entry["Prompt"]}
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise BadInput(f'{path}: not {{"0": {{"Score": "3", "Prompt": "..."}}}} as step 1 writes it: {error}') from None
