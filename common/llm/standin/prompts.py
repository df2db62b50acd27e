"""What a prompt is about: its labelled sections, the text it gives, what it asks for, its language.

prompt = read_prompt("Context: … Question: …")      # prompt.sections, .given, .asked, .language, .body("question")
"""

import re
from typing import NamedTuple

from common.llm.standin import words

CJK = re.compile(r"[\u3400-\u9fff]")
LABEL = re.compile(
    r"^[ \t]*(?:[\[【<](?P<bracketed>[^\]】>\n]{1,60})[\]】>][:：]?"
    r"|#{1,6} *(?P<heading>[^\n]{1,60}?):?$"
    r"|\**(?P<plain>[^\W\d_][^:：\n*\[\]【】<>]{0,40}?)\**[:：]\**)",
    re.MULTILINE,
)
_ROLES = "|".join(f"(?P<{role}>{pattern})" for role, pattern in words.LABEL_WORDS.items())
ROLE_FIRST = re.compile(
    rf"(?i)(?:the |el |la |los |o |a |as |os |your |user'?s? |original |source )?(?:{_ROLES})(?!\w| ?[12])"
)
ROLE_LAST = re.compile(rf"(?i)(?:^|\W|[\u3400-\u9fff])(?:{_ROLES})$")
CLOSING = re.compile(r"(?i)/|(?:the )?end\b|fin\b|fim\b|结束")


class Section(NamedTuple):
    role: str | None  # text, question, answer, reasoning, other; None: no label
    label: str
    body: str


class Prompt(NamedTuple):
    user: str  # the whole user turn, or the completion prompt
    block: str  # its last few-shot block, or all of it
    sections: list[Section]  # of the block
    given: str  # the text that it is about
    asked: str  # system message and the prompt without that text, in small letters: where wishes are looked for
    language: str

    def body(self, role: str) -> str:
        """The last non-empty section of this role."""
        return next((part.body for part in reversed(self.sections) if part.role == role and part.body), "")


def read_prompt(user: str, system: str = "") -> Prompt:
    block = user
    if "\n---" in user:
        last = user.rpartition("\n---")[2].lstrip("-")
        block = last if split_sections(last)[1:] else user
    sections = split_sections(block)
    given, asked = _given_and_asked(block, sections)
    sample = given if len(given) > 20 else user
    return Prompt(user, block, sections, given, f"{system}\n{asked}".lower(), language_of(sample))


def split_sections(text: str) -> list[Section]:
    """The text before the first label, then a section a label."""
    sections, role, label, start = [], None, "", 0
    for match in LABEL.finditer(text):
        name = match[match.lastgroup].strip()
        found = None if CLOSING.match(name) else ROLE_FIRST.match(name) or ROLE_LAST.search(name)
        if found or (match["bracketed"] and CLOSING.match(name)):
            sections.append(Section(role, label, text[start : match.start()].strip()))
            role, label, start = found.lastgroup if found else None, match[0].strip(), match.end()
    sections.append(Section(role, label, text[start:].strip()))
    return sections


def _given_and_asked(block: str, sections: list[Section]) -> tuple[str, str]:
    texts = [part.body for part in sections if part.role == "text" and part.body]
    if texts:
        given = max(texts, key=len)
        last_paragraph = given.rpartition("\n\n")[2] if "\n\n" in given else ""
        return given, block.replace(given, "\n", 1) + "\n" + last_paragraph[:600]
    paragraphs = re.split(r"\n\s*\n", block.strip())
    if len(paragraphs) == 1:
        return block, block[:600]
    first, last = paragraphs[0], paragraphs[-1]
    given = paragraphs[1:] if len(first) < len(last) else paragraphs[:-1]
    return "\n\n".join(given), f"{first[:600]}\n{last[:600]}"


def language_of(text: str) -> str:
    sample = text[:800]
    if 10 * len(CJK.findall(sample)) > len(sample):
        return "zh"
    found = re.findall(r"[^\W\d_]+", sample.lower())
    counts = {name: sum(word in known for word in found) for name, known in words.COMMON_WORDS.items()}
    counts["es"] += 3 * len(re.findall(r"[ñ¿¡]|ción", sample))
    counts["pt"] += 3 * len(re.findall(r"[ãõ]|ç", sample))
    return max(counts, key=counts.__getitem__)
