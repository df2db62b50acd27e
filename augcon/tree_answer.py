"""What a model wrote for a node: a question about the context, and the context in two parts.

    parse("What is tea?\\n\\nContext 1: Tea is …\\n\\nContext 2: It grows …")
    # ("What is tea?", "Tea is …", "It grows …")

`parse_released` finds what the released code's expression finds, in linear time; `parse` finds that as well, and the
spellings that models write beside it.
"""

import json
import re
from typing import NamedTuple

MARK_1, MARK_2 = "Context 1: ", "Context 2: "
LONGEST_TOLERATED = 50_000  # characters: an answer has 1,024 tokens
LONGEST_QUESTION = 1000
FIELDS = ("question", "context_1", "context_2")  # of an answer in JSON
MOST_CUES = 4


class Found(NamedTuple):
    question: str
    part1: str
    part2: str


_BLANKS = re.compile(r"\s*")
_MARK_1_LINE = re.compile(r"Context 1: [^\n]*(\s*Context 2: )?")
_NAME = r"(?:sub-?)?(?:context|contexto|subcontexto|上下文|子上下文|语境|片段)"
_MARK = r"{name} ?[{number}][ \t]{{0,8}}[*_]{{0,3}} ?[:：][*_]{{0,3}}"
_ANY_MARK_1 = re.compile(_MARK.format(name=_NAME, number="1一１"), re.IGNORECASE)
_ANY_MARK_2 = re.compile(_MARK.format(name=_NAME, number="2二２"), re.IGNORECASE)
_CUE = re.compile(
    r"(?:question|pregunta|pergunta|问题|提问|问|q)[ \t]{0,8}[*_]{0,3} {0,8}[:：]|\d{1,2}[.)、]|[-*#>]{1,6}(?=[\s*])",
    re.IGNORECASE,
)
_NEXT_BLOCK = re.compile(
    r"\n\s*\n|\n[*_#\s]{0,8}(?:context|question|上下文|问题|contexto|pregunta|pergunta)[^\n:：]{0,12}[:：]|\n\s{0,8}(?:---|```)",
    re.IGNORECASE,
)
_LEFT_OVER = re.compile(r"\n[-*#>_` \t]{1,80}\s*$")  # the bullet or rule before the next mark


def parse_released(text: str) -> Found | None:
    """The first match from the left of: a line's characters, blanks, mark 1, a line's characters, blanks, mark 2, a
    line's characters; each as long as possible."""
    found = _released_places(text)
    if found is None:
        return None
    question, part1, begin = found
    return Found(question, part1, text[begin : _line_end(text, begin)])


def _released_places(text: str) -> tuple[str, str, int] | None:
    """Question, part 1, and where part 2 begins."""
    first = _first_completable(text)
    if first is None:
        return None
    start = text.rfind("\n", 0, len(text[:first].rstrip())) + 1
    line_end = _line_end(text, start)
    after_line = _BLANKS.match(text, line_end).end()
    if text.startswith(MARK_1, after_line) and _second_mark(text, after_line) >= 0:
        question, first = text[start:line_end], after_line
    else:
        first = text.rfind(MARK_1, start, line_end)
        while _second_mark(text, first) < 0:
            first = text.rfind(MARK_1, start, first)
        question = text[start:first]
    begin, second = first + len(MARK_1), _second_mark(text, first)
    return question, text[begin : min(second, _line_end(text, begin))], second + len(MARK_2)


def _first_completable(text: str) -> int | None:
    """The first mark 1 with a mark 2 on its line or as the first thing beyond. If the first one of a line has none, no
    later one on that line has."""
    last = text.rfind(MARK_2)
    for line in _MARK_1_LINE.finditer(text, 0, max(0, last) + len(MARK_2)):
        if line.start(1) >= 0 or text.find(MARK_2, line.start() + len(MARK_1), line.end()) >= 0:
            return line.start()
    return None


def _line_end(text: str, place: int) -> int:
    end = text.find("\n", place)
    return len(text) if end < 0 else end


def _second_mark(text: str, first: int) -> int:
    """Where mark 2 stands for a mark 1 at `first`: as the first thing beyond its line, else last on it; -1: nowhere."""
    begin = first + len(MARK_1)
    end = _line_end(text, begin)
    beyond = _BLANKS.match(text, end).end()
    return beyond if text.startswith(MARK_2, beyond) else text.rfind(MARK_2, begin, end)


def parse(text: str) -> Found | None:
    """An object of FIELDS; what the released code finds; else the marks in four languages, with bold or full-width
    colons, on lines of their own or not. Parts may have several lines; a cue before the question goes."""
    if found := from_json(text):
        return found if found.part1 and found.part2 else None
    places = _released_places(text)
    places = places or _tolerated_places(text[:LONGEST_TOLERATED])
    if places is None or len(places[0]) > LONGEST_QUESTION:
        return None
    question, part1, begin = places
    part2 = _NEXT_BLOCK.split(text[begin : begin + LONGEST_TOLERATED].lstrip(), maxsplit=1)[0]
    return Found(strip_cue(question), _trim(_LEFT_OVER.sub("", part1)), _trim(part2))


def from_json(text: str) -> Found | None:
    """Of an object: what is missing is empty."""
    if not text.lstrip().startswith("{") or len(text) > LONGEST_TOLERATED:
        return None
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    texts = [said.get(name, "") for name in FIELDS]
    if not all(isinstance(part, str) for part in texts) or not 0 < len(texts[0]) <= LONGEST_QUESTION:
        return None
    return Found(strip_cue(texts[0]), *map(_trim, texts[1:]))


def _tolerated_places(text: str) -> tuple[str, str, int] | None:
    first = _ANY_MARK_1.search(text)
    second = first and _ANY_MARK_2.search(text, first.end())
    if not second:
        return None
    nearest = [mark for mark in _ANY_MARK_1.finditer(text, first.start(), second.start())][-1]
    question = _LEFT_OVER.sub("", text[: first.start()]).rstrip().rpartition("\n")[2]
    return question, text[nearest.end() : second.start()], second.end()


def strip_cue(question: str) -> str:
    question = _trim(question)
    for _ in range(MOST_CUES):
        if not (cue := _CUE.match(question)):
            break
        question = _trim(question[cue.end() :])
    return question


def _trim(text: str) -> str:
    return text.strip().strip("*_`").strip()
