"""Answers made of what a prompt says: its sentences and clauses, what is nearest to a question, quotes in a row."""

import random
import re

from common.llm.standin import words
from common.llm.standin.prompts import CJK, Prompt, split_sections

LONGEST_READ = 6000  # characters of a text that the rules look at; keeps a request under a millisecond
SENTENCE_END = re.compile(r"(?<=[。！？])|(?<=[.!?])\s+|\n+")
QUOTE_MARKS = re.compile(r"""["“”«»*#\[\]<>{}|`]|-{3,}""")
CLAUSE_END = re.compile(r"[。！？!?；;，,：:\n（）()]+|\.(?=\s|$)| [–—-] ")


def sentences(text: str) -> list[str]:
    return [part.strip() for part in SENTENCE_END.split(text[:LONGEST_READ]) if part and part.strip()] or [text.strip()]


def clauses(text: str, language: str) -> list[str]:
    """Short verbatim phrases of a text without its punctuation: at most 8 words, or 16 characters of Chinese."""
    found = []
    for part in CLAUSE_END.split(QUOTE_MARKS.sub(" ", text[:LONGEST_READ])):
        part = " ".join(part.split())[:16] if language == "zh" else " ".join(part.split()[:8])[:80]
        if len(part) >= 4 and (language == "zh" or part.count(" ") >= 2):
            found.append(part)
    return found or [" ".join(QUOTE_MARKS.sub(" ", text).split())[:40] or "…"]


def terms(text: str) -> set[str]:
    text = text.lower()
    chinese = "".join(CJK.findall(text))
    pairs = {chinese[i : i + 2] for i in range(len(chinese) - 1)}
    return pairs.union(re.findall(r"[^\W_]{4,}|\d+", CJK.sub(" ", text)))


def closeness(text: str, other: str) -> float:
    """Share of the smaller one's terms that both have."""
    one, two = terms(text[:LONGEST_READ]), terms(other[:LONGEST_READ])
    return len(one & two) / max(1, min(len(one), len(two)))


def nearest_sentences(text: str, question: str, how_many: int) -> list[str]:
    """In the order of the text."""
    wanted, candidates = terms(question[:LONGEST_READ]), sentences(text)[:80]
    ranked = sorted(range(len(candidates)), key=lambda i: (-len(wanted & terms(candidates[i])), i))
    return [candidates[i] for i in sorted(ranked[:how_many])]


def string_quotes(phrases: list[str], language: str, rng: random.Random) -> str:
    first, *between, last = words.FRAMES[language]
    phrases = list(dict.fromkeys(phrases))
    frames = [first, *rng.sample(2 * between, max(0, len(phrases) - 2)), last]
    lines = [frame.format(phrase) for frame, phrase in zip(frames, phrases, strict=False)]
    return ("" if language == "zh" else " ").join(lines)


def answer_question(prompt: Prompt, rng: random.Random) -> str | None:
    text, question = prompt.body("text"), prompt.body("question")
    if not text or not question:
        return None
    found = nearest_sentences(text, question, 2)
    said = ("" if prompt.language == "zh" else " ").join(found)
    cue = prompt.sections[-1]
    labels = {part.role: part.label for part in split_sections(prompt.user)}
    if "reasoning" not in labels or (cue.role == "answer" and not cue.body):
        return said
    reasoning = words.REASONS[prompt.language].format(clauses(found[0], prompt.language)[0])
    lead = "" if cue.role == "reasoning" and not cue.body else f"{labels['reasoning']} "
    return f"{lead}{reasoning}\n{labels.get('answer', 'Answer:')} {said}"


def quote_some(prompt: Prompt, rng: random.Random) -> str:
    """The fall-back: what the prompt itself says, in short quotes."""
    phrases = clauses(prompt.given, prompt.language)
    if len(phrases) < 3:
        return words.NOTHING_TO_QUOTE[prompt.language].format(phrases[0])
    chosen = sorted(rng.sample(range(len(phrases)), min(len(phrases), 6)))
    return string_quotes([phrases[i] for i in chosen], prompt.language, rng)
