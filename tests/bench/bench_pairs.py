"""How fast the pairing is: against the oracle in the same run, and how it grows.

    python tests/bench/bench_pairs.py --problems ape210k_test.jsonl              # ratio at 2,000 x 2,000
    python tests/bench/bench_pairs.py --problems ape210k_test.jsonl --growth     # up to 573,960 x 84,095; templates

in   problems as lines {"original_text": …, "equation": …, "ans": …} (Ape210k); without the option, made-up ones
out  lines of a table; the process's peak memory includes the rows themselves
"""

import argparse
import random
import re
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without an install

import json

from tests.bench import figures
from tests.oracles import fuzzy_pairs as oracle
from web_to_sft.fuzzy_pairs import Index, match_all
from web_to_sft.normalizers import normalise_paper

SIZES = ((10_000, 10_000), (20_000, 20_000), (100_000, 30_000), (573_960, 84_095))  # the last is the paper's
NAMES = "小明小红小刚小丽王老师李叔叔张阿姨果园工厂学校商店苹果梨树桃树铅笔钢笔书本水果图书绳子木头".split()


def load_problems(path: str | None, rng: random.Random) -> list[tuple[str, str]]:
    if path:
        rows = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").split("\n") if line]
        return [(row["original_text"], f"{row['equation'].removeprefix('x=')}={row['ans']}") for row in rows]
    characters = [chr(0x4E00 + int(rng.paretovariate(0.5)) % 3000) for _ in range(100_000)]
    return [
        ("".join(rng.choices(characters, k=rng.randint(20, 60))) + f"{rng.randint(1, 999)}个，{rng.randint(1, 99)}倍？",
         f"{rng.randint(1, 999)}*{rng.randint(1, 99)}={rng.randint(1, 9999)}")
        for _ in range(5_000)
    ]  # fmt: skip


def other_numbers(text: str, rng: random.Random) -> str:
    return re.sub(r"\d+", lambda number: str(rng.randint(1, 10 ** len(number[0]))), text)


def clean_rows(problems: list[tuple[str, str]], count: int, rng: random.Random) -> list[tuple[str, str]]:
    """The problems themselves, then the same with other numbers and some other characters until there are enough."""
    rows = problems[:count]
    while len(rows) < count:
        question, solution = rng.choice(problems)
        at = rng.randrange(len(question))
        question = (
            question[:at] + "".join(chr(0x4E00 + rng.randrange(3000)) for _ in range(rng.randint(0, 8))) + question[at:]
        )
        rows.append((other_numbers(question, rng), other_numbers(solution, rng)))
    return rows


def crawled_rows(clean: list[tuple[str, str]], count: int, rng: random.Random) -> list[tuple[str, str]]:
    """Noisy copies of clean rows (60 %), and unrelated ones."""
    rows = []
    for _ in range(count):
        question, solution = rng.choice(clean)
        if rng.random() < 0.4:
            question = other_numbers("".join(rng.sample(question, len(question) * 2 // 3)), rng)
        characters = [c for c in question if rng.random() > 0.03]
        question = rng.choice(["", "【题文】"]) + "".join(characters).replace("，", rng.choice(["，", "\\n\\n"]))
        rows.append((question, f"分析：先理解题意。解答：解：{solution}．\\n答：是{solution.split('=')[-1]}．"))
    return rows


def template_rows(count: int, rng: random.Random) -> list[tuple[str, str]]:
    rows = []
    for _ in range(count):
        a, b = rng.randint(100, 999), rng.randint(10, 99)
        rows.append((f"果园里有苹果树{a}棵，梨树比苹果树多{b}棵，梨树有多少棵？", f"{a}+{b}={a + b}"))
    return rows


def ours(web: list, clean: list, workers: int, clock=time.perf_counter) -> tuple[list[tuple[int, int]], float]:
    start = clock()
    index = Index([normalise_paper(q) for q, _ in clean], [normalise_paper(s) for _, s in clean])
    matches = match_all(index, web, num_workers=workers)
    found = [(match.highquality, at) for at, match in enumerate(matches) if match.highquality is not None]
    return found, clock() - start


def compare(problems: list[tuple[str, str]], rng: random.Random) -> list[dict]:
    """CPU seconds of one core, so that neighbours on the machine do not count."""
    clean = clean_rows(problems, 2_000, rng)
    web = crawled_rows(clean, 2_000, rng)
    ours(web[:50], clean, 1)  # first calls of numpy and rapidfuzz
    found, seconds = sorted((ours(web, clean, 1, time.process_time) for _ in range(5)), key=lambda run: run[1])[2]
    start = time.process_time()
    expected = oracle.pairs(web, clean)
    slow = time.process_time() - start
    assert found == expected, "the pairs differ from the oracle's"
    print(f"2,000 x 2,000: {len(found)} pairs, oracle {slow:.2f} s, ours {seconds:.4f} s: {slow / seconds:.0f}x")
    detail = f"{slow:.2f} s, ours {seconds:.4f} s of one core; the same {len(found):,} pairs"
    kept = [figures.figure("pairing 2,000 × 2,000 against the naive way", slow / seconds, goal=300, detail=detail)]
    clean = clean_rows(problems, 20_000, rng)
    found, seconds = ours(crawled_rows(clean, 20_000, rng), clean, 1, time.process_time)
    print(f"20,000 x 20,000: {len(found)} pairs, ours {seconds:.2f} s: {100 * slow / seconds:.0f}x by extrapolation")
    what = "20,000 × 20,000, the naive way by extrapolation"
    return [*kept, figures.figure(what, 100 * slow / seconds, goal=1000, detail=f"ours {seconds:.2f} s")]


def memory_gb() -> str:
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return f"{own / 2**20:.2f} GB parent, {child / 2**20:.2f} GB largest worker"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", help="Ape210k-like jsonl to draw from (default: made-up problems)")
    parser.add_argument("--growth", action="store_true", help="measure large sizes instead of the ratio")
    parser.add_argument("--num_workers", type=int, default=2, help="processes of the growth table (default: 2)")
    figures.add_argument(parser)
    args = parser.parse_args()
    rng = random.Random(1)
    problems = load_problems(args.problems, rng)
    if not args.growth:
        figures.keep(args.json, "web_to_sft", compare(problems, rng))
        return
    for web_count, clean_count in SIZES:
        clean = clean_rows(problems, clean_count, rng)
        found, seconds = ours(crawled_rows(clean, web_count, rng), clean, args.num_workers)
        print(f"{web_count:,} x {clean_count:,}: {len(found):,} pairs in {seconds:.1f} s ({memory_gb()})", flush=True)
    web = [(question, f"解：{solution}．") for question, solution in template_rows(100_000, rng)]
    found, seconds = ours(web, template_rows(100_000, rng), args.num_workers)
    print(f"one template, 100,000 x 100,000: {len(found):,} pairs in {seconds:.1f} s ({memory_gb()})")


if __name__ == "__main__":
    main()
