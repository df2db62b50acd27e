"""Make a small world of primary-school problems whose clean form is known, and a noisy "crawl" of it.

    python web_to_sft/small_world.py --save_path small --web_rows 3000 --clean_rows 1500 --test_rows 300 --seed 1

out  clean.jsonl  {"input": ["…"], "solve_step": ["…"]}        what somebody wrote down properly
     web.jsonl    {"question": "…", "raw_analysis": "…"}       half of them noisy copies of clean rows
     test.jsonl   web rows of other problems, with the truth: {…, "clean_question", "clean_solution", "answer"}
Written for this repository; nothing is taken from a data set. The noise is what the paper calls local errors (torn
fractions, stray marks, lost characters) and global ones (headings, comments, tags around the solution).
"""

import argparse
import random
import sys
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.program import make_parser, run_main
from common.rows import write_rows

NAMES = "小明 小红 小刚 小丽 王老师 李叔叔 张阿姨 陈奶奶".split()
THINGS = "苹果 铅笔 图书 气球 糖果 邮票 橘子 卡片".split()
# question, solution as a formula; {a} {b} {c} are numbers, {n} a name, {t} a thing
TEMPLATES = [
    ("{n}有{a}个{t}，又买了{b}个，一共有多少个{t}？", "{a}+{b}"),
    ("{n}有{a}个{t}，每天用{c}个，用了3天，一共用了多少个？", "{c}*3"),
    ("每盒装{c}个{t}，{n}买了{b}盒，一共有多少个{t}？", "{c}*{b}"),
    ("{n}把{c}个{t}平均分给4个同学，每人分到多少个？", "{c}/4"),
    ("一本书有{a}页，{n}每天看{c}页，看了5天，看了多少页？", "{c}*5"),
    ("{n}看一本书，看了全书的{c}分之一，还剩下全书的几分之几？", "1-1/{c}"),
    ("长方形的长是{a}米，宽是{c}米，它的面积是多少平方米？", "{a}*{c}"),
    ("果园里有梨树{a}棵，桃树比梨树多{b}棵，桃树有多少棵？", "{a}+{b}"),
    ("{n}骑车每小时行{c}千米，{b}小时行多少千米？", "{c}*{b}"),
    ("修一条{a}米长的路，已经修了{b}米，修了全长的几分之几？", "{b}/{a}"),
    ("{t}每个{c}元，{n}带了{a}元，买{b}个{t}要多少元？", "{c}*{b}"),
    ("一根绳子长{a}米，第一次用去{b}米，第二次用去{c}米，一共用去多少米？", "{b}+{c}"),
]
HEADINGS = ["【解答】", "解答：", "试题解析：", "【详解】"]
HINTS = ["【分析】先理解题意．", "分析：根据数量关系列式．", "【思路点拨】找出条件．", ""]
COMMENTS = ["【点睛】这是第3单元的内容．", "点评：本题满分5分．", "故答案为：{answer}．本题考查计算．", ""]


def as_text(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{value.numerator}/{value.denominator}"


def make_problem(rng: random.Random) -> dict[str, str]:
    question, formula = rng.choice(TEMPLATES)
    numbers = {"a": rng.randint(20, 99), "b": rng.randint(2, 19), "c": rng.randint(2, 12)}
    words = numbers | {"n": rng.choice(NAMES), "t": rng.choice(THINGS)}
    left = formula.format(**numbers)
    answer = as_text(evaluate(left))
    return {"question": question.format(**words), "solution": f"{left}={answer}\n答：{answer}。", "answer": answer}


def evaluate(formula: str) -> Fraction:
    """Of one operation, or one less a fraction."""
    if formula.startswith("1-1/"):
        return 1 - Fraction(1, int(formula[4:]))
    for sign, apply in (("+", Fraction.__add__), ("*", Fraction.__mul__), ("/", Fraction.__truediv__)):
        if sign in formula:
            left, right = formula.split(sign)
            return apply(Fraction(int(left)), Fraction(int(right)))
    raise ValueError(formula)


def crawl(problem: dict[str, str], rng: random.Random) -> dict[str, str]:
    question = "".join(character for character in problem["question"] if character.isdigit() or rng.random() > 0.02)
    question = rng.choice(["【题文】", "", "[2019]"]) + question.replace("，", rng.choice(["，", "，", "\\n\\n"]))
    formula, _, rest = problem["solution"].partition("=")
    result, _, closing = rest.partition("\n")
    if rng.random() < 0.7:
        formula, result = formula.replace("/", "\\n"), result.replace("/", "\\n")  # torn fractions
    steps = (
        formula
        + rng.choice(["，=", "， =", "="])
        + result
        + rng.choice(["\\n", "．", "。"])
        + rng.choice([closing, ""])
    )
    comment = rng.choice(COMMENTS).format(answer=problem["answer"])
    return {"question": question, "raw_analysis": rng.choice(HINTS) + rng.choice(HEADINGS) + steps + comment}


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--save_path", required=True, help="folder for the three files")
    parser.add_argument("--web_rows", type=int, default=12_000, help="crawled rows")
    parser.add_argument("--clean_rows", type=int, default=6_000, help="clean rows")
    parser.add_argument("--test_rows", type=int, default=500, help="crawled rows with known truth")
    parser.add_argument("--seed", type=int, default=0, help="of the random draws")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    rng = random.Random(args.seed)
    problems = {}
    while len(problems) < args.clean_rows + args.web_rows // 2 + args.test_rows:
        problem = make_problem(rng)
        problems[problem["question"]] = problem
    problems = list(problems.values())
    rng.shuffle(problems)
    clean, rest = problems[: args.clean_rows], problems[args.clean_rows :]
    test, unpaired = rest[: args.test_rows], rest[args.test_rows :]
    web = [crawl(problem, rng) for problem in [*rng.choices(clean, k=args.web_rows - len(unpaired)), *unpaired]]
    rng.shuffle(web)
    truth = [
        crawl(problem, rng)
        | {"clean_question": problem["question"], "clean_solution": problem["solution"], "answer": problem["answer"]}
        for problem in test
    ]
    folder = Path(args.save_path)
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "clean.jsonl", [{"input": [row["question"]], "solve_step": [row["solution"]]} for row in clean])
    write_rows(folder / "web.jsonl", web)
    write_rows(folder / "test.jsonl", truth)
    print(f"{folder}: {len(clean):,} clean, {len(web):,} crawled, {len(truth):,} to test on")


if __name__ == "__main__":
    run_main(main)
