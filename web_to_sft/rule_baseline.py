"""Clean crawled solutions by rules alone: the paper's baseline, "really a strong baseline".

    python web_to_sft/rule_baseline.py --data_path web.jsonl --save_path web_rules.jsonl

in   {"question": "…", "raw_analysis": "分析：据此解答．【解答】3\\n5根据题意，9/3，=3．【点睛】乘法的意义．", …}
out  the row and {"rule_processed_analysis": …, "rule_processed_solvestep": "3/5根据题意，9/3=3．"}
"""

import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadValue
from common.program import make_parser, progress, run_main
from common.step import Step, add_step_arguments, need, step_options

FRACTION_IN_LINES = re.compile(r"(?<=\d)(?:\\n)+(?=\d)")  # a fraction bar that became a line break
COMMAS_BEFORE_EQUALS = (re.compile(r"(?<![<>=≈＜＞])，(?=[=≈])"), re.compile(r"(?<![<>=≈＜＞])， (?=[=≈])"))
ESCAPED_NEWLINES = re.compile(r"(?:\\n)+")
LEADING_TAGS = re.compile(r"(?:\[[^\]]*\])*(?:【[^】]*】)*")

UNANNOUNCED, ANALYSIS, SOLUTION, COMMENT = "unannounced", "analysis", "solution", "comment"
HEADINGS = {
    "【思路点拨】": ANALYSIS,
    "【分析】": ANALYSIS,
    "试题分析：": ANALYSIS,
    "分析：": ANALYSIS,
    "试题解析：": SOLUTION,
    "【解答】": SOLUTION,
    "【详解】": SOLUTION,
    "[题目详解]": SOLUTION,
    "解答：": SOLUTION,
    "解：": SOLUTION,
    "点评：": COMMENT,
    "【点睛】": COMMENT,
    "【剖析】": COMMENT,
}
KEPT_HEADING = "解："  # opens a written solution and belongs to it
HEADING = re.compile("(?:" + "|".join(map(re.escape, HEADINGS)) + r")(?!\Z)")  # with nothing after it, it is none
SHORTEST = 10  # characters: an analysis heading earlier than that is ignored, a solution shorter than that not believed
CJK = re.compile(r"[\u4e00-\u9fa5]")
ANSWER_SENTENCE = re.compile(r"(.*故答案为.*?[．。])(.*)", re.DOTALL)
COMMENT_WORDS = ("本题考查", "据此判断")
SUMMARY = re.compile(r"(.*答：.*?)此题主要考查", re.DOTALL)


def clean_analysis(text: str, paper_exact: bool = False) -> str:
    """Repair fractions and stray commas.

    The released code collects the two spellings of the comma one after the other and cuts in that order, so a text with
    "， =" before "，=" comes out with a part doubled; and it does not see fractions broken by a real line break.
    """
    text = text.replace("\xa0", " ").strip()
    if not paper_exact:
        text = re.sub(r"(?<=\d)\n+(?=\d)", "/", text)
    text = FRACTION_IN_LINES.sub("/", text)
    commas = [found for pattern in COMMAS_BEFORE_EQUALS for found in pattern.finditer(text)]
    if not paper_exact:
        commas.sort(key=lambda found: found.start())
    parts, done = [], 0
    for comma in commas:
        parts += [text[done : comma.start()], text[comma.end()]]
        done = comma.end() + 1
    return "".join(parts) + text[done:]


def sections(text: str, paper_exact: bool = False) -> list[tuple[str, str]]:
    """(family, text) of each section, in order; what stands before the first heading is an unannounced solution.

    The released code drops a heading with rstrip, which also eats the heading's characters off the text before it.
    """
    found = []
    family, start = UNANNOUNCED, 0
    for heading in HEADING.finditer(text):
        name = heading[0]
        if HEADINGS[name] == ANALYSIS and (heading.end() - start <= SHORTEST or CJK.match(text[heading.start() - 1])):
            continue
        found.append(
            (family, text[start : heading.end()].rstrip(name) if paper_exact else text[start : heading.start()])
        )
        family, start = HEADINGS[name], heading.start() if name == KEPT_HEADING else heading.end()
    return [*found, (family, text[start:])]


def solution_steps(analysis: str, paper_exact: bool = False) -> str:
    """The solution part of a cleaned analysis.

    The released code keeps only the last of several solutions, and takes tags before an analysis for a solution.
    """
    text = ESCAPED_NEWLINES.sub("\n", analysis).strip()
    found = sections(text, paper_exact)
    announced = [part for family, part in found if family == SOLUTION]
    if paper_exact:
        steps = announced[-1] if announced else found[0][1]
    else:
        steps = LEADING_TAGS.sub("", "".join(announced) or found[0][1], count=1)
    if len(found) == 1 or len(steps) < SHORTEST:
        summary = SUMMARY.match(text)
        steps = summary[1] if summary else text
    answer = ANSWER_SENTENCE.match(steps)
    if answer and any(word in answer[2] for word in COMMENT_WORDS):
        steps = answer[1]
    return LEADING_TAGS.sub("", steps, count=1)


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data_path", required=True, help="crawled rows")
    parser.add_argument("--save_path", required=True, help="the same rows with two columns more, in the same order")
    parser.add_argument("--analysis_key", default="raw_analysis", help="column of the solution")
    parser.add_argument("--paper_exact", action="store_true", help="with the defects of the released code (README)")
    add_step_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with Step([args.data_path], args.save_path, **step_options(args)) as step:
        for index, row in progress(step.rows(), total=step.total(), unit="row"):
            try:
                raw = need(row, args.analysis_key)
            except BadValue as problem:
                step.reject(*step.bad_row(index, problem, row))
                continue
            analysis = clean_analysis(raw, args.paper_exact)
            steps = solution_steps(analysis, args.paper_exact)
            step.write(row | {"rule_processed_analysis": analysis, "rule_processed_solvestep": steps})


if __name__ == "__main__":
    run_main(main)
