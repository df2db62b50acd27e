"""English and Chinese documents have the same sections, commands, tables, figures and links."""

import re
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from tests.test_documents import READMES, ROOT

ENGLISH = sorted(name for name in READMES if not name.endswith(".zh.md"))
CHINESE = sorted(name for name in READMES if name.endswith(".zh.md"))

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
HEADING = re.compile(r"^#+ .*$", re.M)
TABLE = re.compile(r"(?:^\|.*\n?)+", re.M)
CODE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\[(?!English\]|中文\])([^]]*)\]\(([^)]*)\)")
NUMBER = re.compile(r"(\d+(?:,\d{3})*(?:\.\d+)?)\s?(thousand|million|billion|万|亿)?")
SCALE = {"": 1, "thousand": 10**3, "million": 10**6, "billion": 10**9, "万": 10**4, "亿": 10**8}
COMMENT = re.compile(r"(?<!\S)#.*")
FILE_NAME = re.compile(r"[\w*<>.]+(?:/|\.(?:py|sh|json|yaml|md))", re.A)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def english_of(name: str) -> str:
    return name.removesuffix(".zh.md") + ".md"


def chinese_of(name: str) -> str:
    return name.removesuffix(".md") + ".zh.md"


def figures(text: str) -> list[Decimal]:
    """1,000 is 1000, and 2 million is 200 万; not those in code and addresses."""
    words = LINK.sub(r"\1", CODE.sub(" ", text))
    return sorted(Decimal(number.replace(",", "")) * SCALE[scale] for number, scale in NUMBER.findall(words))


def code(text: str) -> list[str]:
    return sorted({" ".join(span.split()) for span in CODE.findall(text)})


def links(text: str) -> list[str]:
    targets = (target.partition("#")[0].replace(".zh.md", ".md") for _, target in LINK.findall(text))
    return sorted(target for target in targets if target)


def block(kind: str, text: str) -> list[str]:
    """Words of commands, and of their comments the figures; of a drawing the names of files and the figures."""
    words = COMMENT.sub("", text).split() if kind else FILE_NAME.findall(text)
    return [*words, *figures(" ".join(COMMENT.findall(text)) if kind else FILE_NAME.sub("", text))]


def row(line: str) -> str:
    cells = re.split(r"(?<!\\)\|", line)[1:-1]
    return " | ".join(" ".join([*map(str, figures(cell)), *code(cell), *links(cell)]) for cell in cells)


def facts(text: str) -> list[dict[str, list]]:
    """What does not depend on the language, section by section."""
    fences = iter(FENCE.findall(text))
    sections = []
    for section in re.split(r"^(?=#+ )", FENCE.sub("\0", text), flags=re.M):
        blocks = [block(*next(fences)) for _ in range(section.count("\0"))]
        tables = [list(map(row, table.splitlines())) for table in TABLE.findall(section)]
        words = TABLE.sub("", section)
        found = {f"block {number}": one for number, one in enumerate(blocks, 1)}
        found |= {f"table {number}": one for number, one in enumerate(tables, 1)}
        found |= {"figures": figures(words), "code": code(words), "links": links(words)}
        sections.append(found)
    return sections


def only(these: list, those: list) -> str:
    return " ".join(f"<{one}>" for one in (Counter(these) - Counter(those)).elements())


def differences(english: str, chinese: str) -> list[str]:
    """Where two documents do not say the same, each place with what only one of them has."""
    titles, chinese_titles = (HEADING.findall(FENCE.sub("", text)) for text in (english, chinese))
    if [title.split()[0] for title in titles] != [title.split()[0] for title in chinese_titles]:
        return [f"other sections: {titles} and {chinese_titles}"]
    return [
        f"{title}: {what}: only in English {only(ours, theirs)}, only in Chinese {only(theirs, ours)}"
        for title, one, other in zip(["before", *titles], facts(english), facts(chinese), strict=True)
        for what in one | other
        if (ours := one.get(what, [])) != (theirs := other.get(what, []))
    ]


def slugs(name: str) -> set[str]:
    headings = HEADING.findall(FENCE.sub("", text_of(name)))
    return {re.sub(r"[^\w\- ]", "", heading.lstrip("# ").lower()).replace(" ", "-") for heading in headings}


# ---------------------------------------------------------------- the documents


def test_each_document_is_in_both_languages():
    assert [chinese_of(name) for name in ENGLISH] == CHINESE


@pytest.mark.parametrize("name", CHINESE)
def test_both_languages_have_the_same_commands_tables_and_figures(name):
    found = differences(text_of(english_of(name)), text_of(name))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", CHINESE)
def test_each_language_leads_to_the_other_in_its_first_lines(name):
    for one, link in (
        (english_of(name), f"[中文]({Path(name).name})"),
        (name, f"[English]({Path(english_of(name)).name})"),
    ):
        assert link in text_of(one).splitlines()[:4], one


@pytest.mark.parametrize("name", [*ENGLISH, *CHINESE])
def test_links_lead_somewhere_and_stay_in_their_language(name):
    for _, target in LINK.findall(FENCE.sub("", text_of(name))):
        if target.startswith("http"):
            continue
        file, _, anchor = target.partition("#")
        aim = ((ROOT / name).parent / file).resolve().relative_to(ROOT).as_posix() if file else name
        assert (ROOT / aim).exists(), target
        assert name in ENGLISH or aim in CHINESE or chinese_of(aim) not in CHINESE, f"{target} has a Chinese version"
        assert not anchor or anchor in slugs(aim), target


@pytest.mark.parametrize("name", CHINESE)
def test_chinese_is_typeset_as_chinese(name):
    text = FENCE.sub("", text_of(name))
    text = re.sub(r"\*+ ?", lambda mark: "\n" if mark[0][-1] == " " else "", LINK.sub(r"\1", CODE.sub("x", text)))
    for what, wrong in {
        "a half-width mark after Chinese": r"[一-鿿][,;:?!()]",
        "a half-width bracket before Chinese": r"[()][一-鿿]",
        "no blank between Chinese and Latin": r"[一-鿿][A-Za-z0-9]|[A-Za-z0-9][一-鿿]",
        "a line broken inside a sentence": r"[一-鿿]\n[一-鿿]",
        "a blank beside a full-width mark": r"(?<![|\s]) [，。；：、（）]|[，。；：、（）] (?!\|)",
        "too polite": "您",
    }.items():
        found = re.findall(f".{{0,10}}(?:{wrong}).{{0,10}}", text)
        assert not found, f"{what}: {found}"


# ---------------------------------------------------------------- the test itself

PAGE = """# T

With [a link](a.md), 1,000 rows cost 2 million, `--flag 3`.

```bash
python a.py --x 1   # what it does
```

## Table

| a | b |
|---|---|
| 1 | `x` |
"""


def test_words_comments_and_ways_to_write_a_number_are_free():
    other = PAGE.replace("what it does", "做什么").replace("1,000 rows cost 2 million", "要 200 万，1000 行")
    assert not differences(PAGE, other.replace("a.md", "a.zh.md").replace("## Table", "## 表"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("1,000", "1,001", "# T: figures: only in English <1000>, only in Chinese <1001>"),
        ("2 million", "2 万", "# T: figures: only in English <2000000>, only in Chinese <20000>"),
        ("--flag 3", "--flag 4", "# T: code: only in English <--flag 3>, only in Chinese <--flag 4>"),
        ("--x 1", "--x 2", "# T: block 1: only in English <1>, only in Chinese <2>"),
        ("what it", "1 what it", "# T: block 1: only in English , only in Chinese <1>"),
        ("a.py --x", "--x a.py", "# T: block 1: only in English , only in Chinese "),
        ("(a.md)", "(b.md)", "# T: links: only in English <a.md>, only in Chinese <b.md>"),
        ("| 1 |", "| 2 |", "## Table: table 1: only in English <1 | x>, only in Chinese <2 | x>"),
        ("`x`", "`y`", "## Table: table 1: only in English <1 | x>, only in Chinese <1 | y>"),
        ("| `x` |", "| `x` | |", "## Table: table 1: only in English <1 | x>, only in Chinese <1 | x | >"),
        ("| 1 | `x` |\n", "", "## Table: table 1: only in English <1 | x>, only in Chinese "),
        ("## Table\n", "", "other sections"),
    ],
)
def test_what_differs_is_named(old, new, said):
    assert said in "\n".join(differences(PAGE, PAGE.replace(old, new)))
