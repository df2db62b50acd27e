"""AugCon's filter: ours against the released one, in one run on the same questions; then how it grows.

    python tests/bench/bench_question_filter.py            # about a minute; one core

The released filter cuts both questions into words and computes ROUGE-1, -2 and -L at each comparison. With
`pip install --no-deps rouge-chinese==1.0.3` that library does it, as released; without it a version written down here.
Ours forgets the words it knows before each root; the questions are cut from two articles, so within a root runs of
characters come again: what cutting costs where none does is printed beside.
"""

import argparse
import importlib.util
import random
import sys
import time
from collections import Counter
from pathlib import Path

import jieba
from rapidfuzz.distance import LCSseq

sys.path.insert(0, str(Path(__file__).parents[2]))
from augcon import chinese_words
from augcon.question_filter import Similar, filter_ranked, released_filter, words
from common.rows import read_rows
from tests.bench import figures
from tests.oracles.question_filter import longest_common

BASELINE = "the released one" if importlib.util.find_spec("rouge_chinese") else "the released one written down"
GOALS = {17: 25, 64: 60, 256: 200}  # times the released filter, by questions a root
SAMPLE = Path(__file__).parents[2] / "augcon" / "sample" / "articles.jsonl"


def questions(count: int, lang: str, seed: int) -> list[str]:
    """Runs of 18 to 34 words of the sample's articles, as long as the questions of the reference files; one in five
    nearly repeat an earlier one."""
    draw, articles = random.Random(seed), list(read_rows(SAMPLE))
    text = "".join(row["article"] for row in articles[0:2]) if lang == "zh" else articles[2]["article"]
    pieces, joint = (words(text), "") if lang == "zh" else (text.split(), " ")
    made: list[str] = []
    for _ in range(count):
        start = draw.randrange(len(pieces) - 34)
        run = pieces[start : start + draw.randint(18, 34)]
        if made and draw.random() < 0.2:
            run = draw.choice(made).split(joint) if joint else words(draw.choice(made))
            run[draw.randrange(len(run))] = draw.choice(pieces)
        made.append(joint.join(run))
    return made


try:
    from rouge_chinese import Rouge
except ImportError:
    Rouge = None


def slow_f(hypothesis: str, reference: str) -> float:
    if Rouge is None:
        return written_down(words(hypothesis), words(reference))
    one, other = (" ".join(jieba.lcut(text)) for text in (hypothesis, reference))
    return Rouge().get_scores(one, other)[0]["rouge-l"]["f"]


def written_down(one: list[str], other: list[str]) -> float:
    for size in (1, 2):
        grams = [Counter(zip(*(text[place:] for place in range(size)), strict=False)) for text in (one, other)]
        (grams[0] & grams[1]).total()
    common = longest_common(one, other)
    precision, recall = common / len(one), common / len(other)
    return 2 * (precision * recall / (precision + recall + 1e-8))


def slow_filter(ranked: list[str], quota: int) -> list[int]:
    kept: list[int] = []
    for place, question in enumerate(ranked):
        if all(slow_f(question, ranked[other]) <= 0.7 for other in kept):
            kept.append(place)
            if len(kept) >= quota:
                break
    return kept


def all_roots(run: object, lists: list[list[str]], quota: int) -> list[list[int]]:
    return [run(ranked, quota) for ranked in lists]


def forget() -> None:
    chinese_words._cut_run.cache_clear()
    chinese_words._cut_singles.cache_clear()


def our_filter(ranked: list[str], quota: int) -> list[int]:
    forget()
    return released_filter(ranked, quota)


def print_rates_of_cutting(lang: str, texts: list[str]) -> None:
    def cut_each_anew() -> list[list[str]]:
        return [forget() or words(text) for text in texts]

    released, expected = seconds(lambda: [[word for word in jieba.lcut(text) if word.strip()] for text in texts])
    forget()
    ours, found = seconds(lambda: list(map(words, texts)))
    anew, _ = seconds(cut_each_anew)
    rates = [f"{len(texts) / taken:,.0f}" for taken in (released, ours, anew)]
    same = "the same words" if found == expected else "NOT the same words"
    print(f"{lang}, questions cut a second: jieba {rates[0]}, ours {rates[1]}, each as if the first {rates[2]}; {same}")


def compare(codes: list[str]) -> None:
    for one in codes[:1000]:
        for other in codes:
            LCSseq.similarity(one, other)


def seconds(run: object, *arguments: object) -> tuple[float, object]:
    started = time.process_time()
    result = run(*arguments)
    return time.process_time() - started, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    figures.add_argument(parser)
    args = parser.parse_args()
    found_figures = []
    words("先读词典")
    print(f"against {'a version written down' if Rouge is None else 'rouge-chinese'}")
    for lang in ("zh", "en"):
        for count, roots in ((17, 20), (64, 3), (256, 1)):
            lists, quota = [questions(count, lang, seed) for seed in range(roots)], count * 35 // 40
            slow, expected = seconds(all_roots, slow_filter, lists, quota)
            fast, found = seconds(all_roots, our_filter, lists, quota)
            cutting, _ = seconds(lambda lists: [forget() or list(map(words, ranked)) for ranked in lists], lists)
            same = "the same kept" if found == expected else "NOT the same kept"
            print(
                f"{lang}, {count} a root: {slow / roots:.3f} s, ours {fast / roots:.4f} s, {slow / fast:.0f} x, "
                f"{same}; cutting into words is {cutting / fast:.0%} of ours"
            )
            what = f"filter, {count} questions a root ({lang}), against {BASELINE}"
            detail = f"{slow / roots:.3f} s, ours {fast / roots:.4f} s; {same}"
            found_figures.append(figures.figure(what, slow / fast, goal=GOALS[count], detail=detail))
        texts, similar = questions(1500, lang, 9), Similar()
        print_rates_of_cutting(lang, texts)
        slow, _ = seconds(lambda one, other: list(map(slow_f, one, other)), texts[:200], texts[200:400])
        codes = [similar.encode(text) for text in texts]
        fast, _ = seconds(compare, codes)
        print(f"{lang}, comparisons a second: {200 / slow:,.0f}; ours, of questions once cut, {1.5e6 / fast:,.0f}")
    for count in (1000, 2000, 4000):
        taken, _ = seconds(list, filter_ranked(questions(count, "zh", 3), count))
        print(f"one root of {count:,} questions, all wanted: {taken:.2f} s")
    figures.keep(args.json, "augcon", found_figures)


if __name__ == "__main__":
    main()
