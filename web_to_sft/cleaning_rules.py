"""The rule baseline as functions: mend the formulas of a crawled solution, then cut the solution out of its comments.

    steps = solution_steps(clean_analysis(row["raw_analysis"]))

`repairs` names what is mended of the released rules; without any, both functions give the released text on every input.
"""

import re
from collections.abc import Set

REPAIRS = {
    "line_breaks": "a fraction torn by a real line break is mended, not only by a written-out \\n",
    "commas": "stray commas are cut in the order in which they stand; released, a part can come out twice",
    "headings": "only the heading is cut off; released, its characters go from the end of the text before it, too",
    "repeated_sections": "all of several solutions stay; released, the last one",
    "leading_tags": "tags like 【名校】 in front are not taken for a solution",
}

TORN_FRACTION = re.compile(r"(\d)(?:\\n)+(\d)")
# Not after = and only before a unit: between two steps, as in "=5⏎2*3", a line break is what it looks like.
FRACTION_OVER_LINES = re.compile(r"(?<![=≈：:\d.．])(\d+)\n+(\d+)(?=[\u4e00-\u9fa5])")
STRAY_COMMAS = (re.compile(r"，(?=[=≈])"), re.compile(r"， (?=[=≈])"))
KEEPS_ITS_COMMA = frozenset("<>=≈＜＞")
WRITTEN_OUT_NEWLINES = re.compile(r"(?:\\n)+")

UNANNOUNCED, ANALYSIS, SOLUTION, COMMENT = "unannounced", "analysis", "solution", "comment"
PREFERRED = (SOLUTION, UNANNOUNCED, ANALYSIS, COMMENT)
HEADINGS = {
    **dict.fromkeys(("【分析】", "[分析]", "试题分析：", "试题分析:", "分析：", "分析:", "【思路点拨】"), ANALYSIS),
    **dict.fromkeys(("【详解】", "[详解]", "试题解析：", "试题解析:", "解答：", "解答:", "解：", "解:"), SOLUTION),
    **dict.fromkeys(("【解答】", "[解答]", "[题目详解]"), SOLUTION),
    **dict.fromkeys(("【点睛】", "[点睛]", "\n点睛:", "点评：", "点评:", "[点评]", "【点评】"), COMMENT),
    **dict.fromkeys(("【剖析】", "[剖析]", "【解题思路】"), COMMENT),
}
HEADING = re.compile("(?:" + "|".join(map(re.escape, HEADINGS)) + r")(?!\Z)")  # with nothing after it, it is none
KEPT_HEADINGS = ("解：", "解:")  # open a written solution and belong to it
MENTIONED = ("分析：", "分析:")  # no heading after these words: "according to the analysis: …"
MENTIONING = ("根据", "根据以上", "经", "根据题干", "依照", "由", "由题目", "结合", "步", "进行")
SHORTEST = 10  # characters: no analysis begins before that, and no solution is shorter
SHORTEST_UNANNOUNCED = 6

SUMMARY = "此题主要考查"
ANSWER = "故答案为"
COMMENT_WORDS = ("据此解答", "直接得出结论即可", "本题考查", "此题考查", "据此判断")
LEADING_TAGS = re.compile(r"(?:\[[^\]]*\])*(?:【[^】]*】)*")


def clean_analysis(text: str, repairs: Set[str] = REPAIRS.keys()) -> str:
    """Mend torn fractions, cut the stray commas before = and ≈."""
    text = TORN_FRACTION.sub(r"\1/\2", text)
    if "line_breaks" in repairs:
        text = FRACTION_OVER_LINES.sub(r"\1/\2", text)
    text = text.replace("\xa0", " ").strip()
    commas = [comma for pattern in STRAY_COMMAS for comma in pattern.finditer(text)]
    if "commas" in repairs:
        commas.sort(key=lambda comma: comma.start())
    parts, done = [], 0
    for comma in commas:
        start, end = comma.span()
        before = text[start - 1] if start or "commas" not in repairs else ""  # released: at 0 that is the last one
        if before not in KEEPS_ITS_COMMA:
            parts += text[done:start], text[end]
            done = end + 1
    return "".join(parts) + text[done:]


def sections(text: str, repairs: Set[str] = REPAIRS.keys()) -> dict[str, str]:
    """{family: its text}; what stands before the first heading is unannounced."""
    found: dict[str, str] = {}
    family, start = UNANNOUNCED, 0

    def end_section(part: str) -> None:
        found[family] = found.get(family, "") + part if "repeated_sections" in repairs else part

    for heading in HEADING.finditer(text):
        name = heading[0]
        if HEADINGS[name] == ANALYSIS:
            mentioned = name in MENTIONED and text[start : heading.start()].endswith(MENTIONING)
            if mentioned or heading.end() - start <= SHORTEST:
                continue
        exactly = "headings" in repairs
        end_section(text[start : heading.start()] if exactly else text[start : heading.end()].rstrip(name))
        family, start = HEADINGS[name], heading.start() if name in KEPT_HEADINGS else heading.end()
    end_section(text[start:])
    return found


def solution_steps(analysis: str, repairs: Set[str] = REPAIRS.keys()) -> str:
    """The solution in a cleaned analysis."""
    text = WRITTEN_OUT_NEWLINES.sub("\n", analysis).replace("\xa0", " ").strip()
    before, summary, _ = text.partition(SUMMARY)
    if summary and len(before) >= SHORTEST and not any(name in text for name in HEADINGS):
        return before
    found = sections(text, repairs)
    if "leading_tags" in repairs and UNANNOUNCED in found:
        found[UNANNOUNCED] = without_tags(found[UNANNOUNCED])
    if len(found.get(UNANNOUNCED, "")) < SHORTEST_UNANNOUNCED:
        found[UNANNOUNCED] = ""
    steps = next((found[family] for family in PREFERRED if found.get(family)), "")
    return without_tags(without_comment(text if len(steps) < SHORTEST else steps))


def without_comment(steps: str) -> str:
    """Where comment words follow the answer, the answer's sentence is the end. A point inside a number ends none."""
    start = steps.find(ANSWER)
    if start < 0 or not any(word in steps.split(ANSWER)[1] for word in COMMENT_WORDS):
        return steps
    for place in range(start, len(steps)):
        following = steps[place + 1 : place + 2]
        if steps[place] == "。" or steps[place] in "．." and following and not following.isdigit():
            return steps[: place + 1].partition("本题考查")[0]
    return steps


def without_tags(text: str) -> str:
    return LEADING_TAGS.sub("", text, count=1)
