"""From articles to root contexts, the texts that the trees grow from.

    roots(article, max_length=500)      # list of texts of at most 500 characters, cut where sentences end
    released_roots(article)             # the same as the released code cuts them

"Length" is Python's: characters, in every language.
"""

import re
from collections.abc import Iterator

_WIDE_CLOSING = "”’」』）)]】》〉»›"
CLOSING = _WIDE_CLOSING + "\"'"
# Sentence ends of Chinese, English, Spanish and Portuguese. A full stop ends a sentence only before a blank (3.5, a.b),
# and closing marks and blanks after an end stay with their sentence.
_END = re.compile(rf"(?:[。？！?!…]+|(?<!\b[A-Z])(?<!\b(?:Mr|Ms|Dr|St|Sr|vs))\.+(?=[{re.escape(CLOSING)}\s]|$))")
_AFTER_END = re.compile(rf"[{re.escape(CLOSING)}]*(?:\s*[{re.escape(_WIDE_CLOSING)}])*\s*")
_CLAUSE_END = re.compile(r"[；;，,：:、—](?![\d])")
_RELEASED_END = re.compile("[。？！]+")
PARAGRAPHS_APART = "\n\n"


def released_chunks(text: str, max_length: int = 500) -> list[str]:
    """Filled with sentences, which only 。？！ end: an over-long first one leaves an empty chunk before it."""
    chunks, current = [], ""
    for sentence in _pieces(text, [match.end() for match in _RELEASED_END.finditer(text)]):
        if len(current) + len(sentence) <= max_length:
            current += sentence
        else:
            chunks.append(current)
            current = sentence
    return [*chunks, current] if current else chunks


def released_roots(article: str, max_length: int = 500, min_paragraph: int = 100) -> list[str]:
    """The chunks of each line that is longer than `min_paragraph`; shorter lines are lost."""
    lines = (line.strip() for line in article.split("\n"))
    return [chunk for line in lines if len(line) > min_paragraph for chunk in released_chunks(line, max_length)]


def sentences(text: str) -> list[str]:
    """Joined, they are the text."""
    return _pieces(text, [_AFTER_END.match(text, match.end()).end() for match in _END.finditer(text)])


def chunks(text: str, max_length: int = 500, min_chunk: int = 100) -> list[str]:
    """Filled with sentences, never above `max_length`; joined, they are the text. A last one below `min_chunk` gets
    sentences of the one before it."""
    groups: list[list[str]] = []
    for sentence in sentences(text):
        for piece in _cut(sentence, max_length):
            if groups and len("".join(groups[-1])) + len(piece) <= max_length:
                groups[-1].append(piece)
            else:
                groups.append([piece])
    if len(groups) > 1:
        _balance(groups[-2], groups[-1], max_length, min_chunk)
    return ["".join(group) for group in groups]


def roots(article: str, max_length: int = 500, min_chunk: int = 100) -> list[str]:
    """Paragraphs of an article fill a chunk together, with the blank line between them kept."""
    paragraphs = [line.strip() for line in article.split("\n") if line.strip()]
    cut = (chunk.strip() for chunk in chunks(PARAGRAPHS_APART.join(paragraphs), max_length, min_chunk))
    return [chunk for chunk in cut if chunk]


def _balance(before: list[str], last: list[str], max_length: int, min_chunk: int) -> None:
    while len("".join(last)) < min_chunk and len(before) > 1:
        moved = len(before[-1])
        if len("".join(before)) - moved < min_chunk or len("".join(last)) + moved > max_length:
            return
        last.insert(0, before.pop())


def _pieces(text: str, ends: list[int]) -> list[str]:
    """The text cut at these places; what is left over is the last piece."""
    starts = [0, *ends]
    return [text[start:end] for start, end in zip(starts, [*ends, len(text)], strict=True) if start < end]


def _cut(sentence: str, max_length: int) -> Iterator[str]:
    """A sentence in pieces of at most `max_length`: at clauses, else at blanks, else where it must be."""
    while len(sentence) > max_length:
        ends = [match.end() for match in _CLAUSE_END.finditer(sentence, 0, max_length)]
        place = ends[-1] if ends else sentence.rfind(" ", 0, max_length) + 1 or max_length
        after = _AFTER_END.match(sentence, place).end()
        place = after if after <= max_length else place
        while place > 1 and place < len(sentence) and sentence[place] in CLOSING:
            place -= 1  # no piece begins with a closing mark
        yield sentence[:place]
        sentence = sentence[place:]
    if sentence:
        yield sentence
