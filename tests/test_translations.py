"""English and Chinese documents have the same sections, commands, tables, figures and links."""

import re
from collections import Counter
from decimal import Decimal
from itertools import count
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
FILE_NAME = re.compile(r"[\w*<>.]+(?:/|\.(?:py|sh|json|yaml|md))", re.A)


def path_of(name: str) -> Path:
    return ROOT / name


def english_of(name: str) -> str:
    return name.removesuffix(".zh.md") + ".md"


def chinese_of(name: str) -> str:
    return name.removesuffix(".md") + ".zh.md"


def figures(text: str) -> Counter[Decimal]:
    """1,000 is 1000, and 2 million is 200 万; numbers in code and addresses are compared with these."""
    words = LINK.sub(r"\1", CODE.sub(" ", text))
    return Counter(Decimal(number.replace(",", "")) * SCALE[scale] for number, scale in NUMBER.findall(words))


def code(text: str) -> set[str]:
    return {" ".join(span.split()) for span in CODE.findall(text)}


def links(text: str) -> Counter[str]:
    targets = (target.partition("#")[0].replace(".zh.md", ".md") for _, target in LINK.findall(text))
    return Counter(target for target in targets if target)


def block(kind: str, text: str) -> list[str]:
    """Words of commands without their comments; of a drawing the names of files."""
    return re.sub(r"(?<!\S)#.*", "", text).split() if kind else FILE_NAME.findall(text)


def facts(text: str) -> list[dict[str, object]]:
    """What does not depend on the language, section by section."""
    fences = iter(FENCE.findall(text))
    sections = []
    for section in re.split(r"^(?=#+ )", FENCE.sub("\0", text), flags=re.M):
        found: dict[str, object] = {"depth": len(section) - len(section.lstrip("#"))}
        for number in range(section.count("\0")):
            found[f"block {number + 1}"] = block(*next(fences))
        for number, table in zip(count(1), TABLE.findall(section), strict=False):
            for line, row in enumerate(table.splitlines()):
                for column, cell in enumerate(re.split(r"(?<!\\)\|", row)[1:-1]):
                    found[f"table {number}, row {line}, column {column + 1}"] = (figures(cell), code(cell), links(cell))
        words = TABLE.sub("", section)
        found |= {"figures": figures(words), "code": code(words), "links": links(words)}
        sections.append(found)
    return sections


def shown(value: object) -> str:
    if isinstance(value, Counter):
        return " ".join(sorted(map(str, value.elements())))
    return "; ".join(map(shown, value)) if isinstance(value, tuple) else str(value)


def less(value: object, other: object) -> object:
    return value - other if isinstance(value, Counter | set) and isinstance(other, Counter | set) else value


def differences(english: str, chinese: str) -> list[str]:
    """Where two documents do not say the same, each place with what only one of them has."""
    ours, theirs = facts(english), facts(chinese)
    titles = ["the beginning", *HEADING.findall(FENCE.sub("", english))]
    if [section["depth"] for section in ours] != [section["depth"] for section in theirs]:
        return [f"other sections: {titles[1:]} and {HEADING.findall(FENCE.sub('', chinese))}"]
    return [
        f"{title}: {what}: English {shown(less(one.get(what), other.get(what)))},"
        f" Chinese {shown(less(other.get(what), one.get(what)))}"
        for title, one, other in zip(titles[-len(ours) :], ours, theirs, strict=True)
        for what in one | other
        if one.get(what) != other.get(what)
    ]


def slugs(name: str) -> set[str]:
    headings = HEADING.findall(FENCE.sub("", path_of(name).read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lstrip("# ").lower()).replace(" ", "-") for heading in headings}


# ---------------------------------------------------------------- the documents


def test_each_document_is_in_both_languages():
    assert [chinese_of(name) for name in ENGLISH] == CHINESE


@pytest.mark.parametrize("name", CHINESE)
def test_both_languages_have_the_same_commands_tables_and_figures(name):
    texts = [path_of(one).read_text(encoding="utf-8") for one in (english_of(name), name)]
    found = differences(*texts)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", CHINESE)
def test_each_language_leads_to_the_other_in_its_first_lines(name):
    for one, link in (
        (english_of(name), f"[中文]({Path(name).name})"),
        (name, f"[English]({Path(english_of(name)).name})"),
    ):
        assert link in path_of(one).read_text(encoding="utf-8").splitlines()[:4], one


@pytest.mark.parametrize("name", [*ENGLISH, *CHINESE])
def test_links_lead_somewhere_and_stay_in_their_language(name):
    for _, target in LINK.findall(FENCE.sub("", path_of(name).read_text(encoding="utf-8"))):
        if target.startswith("http"):
            continue
        file, _, anchor = target.partition("#")
        aim = (path_of(name).parent / file).resolve().relative_to(ROOT).as_posix() if file else name
        assert path_of(aim).exists(), target
        assert name in ENGLISH or aim in CHINESE or chinese_of(aim) not in CHINESE, f"{target} has a Chinese version"
        assert not anchor or anchor in slugs(aim), target


@pytest.mark.parametrize("name", CHINESE)
def test_chinese_is_typeset_as_chinese(name):
    text = FENCE.sub("", path_of(name).read_text(encoding="utf-8"))
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
        ("1,000", "1,001", "# T: figures: English 1000, Chinese 1001"),
        ("2 million", "2 万", "# T: figures"),
        ("--flag 3", "--flag 4", "# T: code: English {'--flag 3'}, Chinese {'--flag 4'}"),
        ("--x 1", "--x 2", "# T: block 1"),
        ("(a.md)", "(b.md)", "# T: links: English a.md, Chinese b.md"),
        ("| 1 |", "| 2 |", "## Table: table 1, row 2, column 1"),
        ("`x`", "`y`", "## Table: table 1, row 2, column 2"),
        ("| `x` |", "| `x` | |", "## Table: table 1, row 2, column 3"),
        ("| 1 | `x` |\n", "", "## Table: table 1, row 2, column 1"),
        ("## Table\n", "", "other sections"),
    ],
)
def test_what_differs_is_named(old, new, said):
    assert said in "\n".join(differences(PAGE, PAGE.replace(old, new)))
