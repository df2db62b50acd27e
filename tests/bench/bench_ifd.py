"""IFD scores a second: ours against the released way (batch 1, two runs a row, full logits), same rows, same run.

    python -m tests.bench.bench_ifd                         # GPT-2-small shape with random weights, fp32 and bf16
    python -m tests.bench.bench_ifd --rows 52000 --oracle_rows 300 --device cuda   # on a GPU: the whole of Alpaca

Rows of random words with Alpaca's lengths (prompt about 20 tokens, answer log-normal around 45); the oracle does
--oracle_rows of them and is taken per FLOP. The two take turns, because a shared machine changes its speed; the best
round of each counts. Also prints the share of the device's matrix rate, measured beside it.
"""

import argparse
import functools
import random
import time
from collections.abc import Callable

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from superfiltering.ifd import lines_with_reasons
from superfiltering.score_parts import BATCH_TOKENS
from superfiltering.scored_text import ScoredText, plain_text
from superfiltering.token_losses import DTYPES, prepare_scorer
from tests.bench import figures
from tests.oracles.ifd import released_line

VOCABULARY = 50257
GOALS = {"cpu": {"fp32": 2, "bf16": 6}, "cuda": {"bf16": 40}}  # times the released way
BOUNDS = {"fp32": 1e-4, "bf16": 1e-2}  # of a loss, as a part of it


def tokenizer() -> PreTrainedTokenizerFast:
    words = {"</s>": 0} | {f"w{number}": number for number in range(1, VOCABULARY)}
    made = Tokenizer(models.WordLevel(words, unk_token="w1"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="</s>")


def rows_like_alpaca(count: int) -> list[ScoredText]:
    draw = random.Random(0)

    def words(number: float) -> str:
        return " ".join(f"w{draw.randrange(1, VOCABULARY)}" for _ in range(int(number)))

    return [
        plain_text(
            {
                "instruction": words(draw.gauss(15, 4) + 2),
                "input": words(draw.choice([0, 0, 0, 12])),
                "output": words(min(900, 3 + draw.lognormvariate(3.8, 0.9))),
            }
        )
        for _ in range(count)
    ]


def answer_of(text: ScoredText) -> str:
    return text.text[slice(*text.answers[0])]


def model(device: str, config: GPT2Config) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    return GPT2LMHeadModel(config).eval().to(device)


def seconds(work: Callable[[], object], device: str) -> float:
    started = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def matrix_rate(device: str, dtype: str) -> float:
    """FLOP/s of a large matrix product."""
    size = 8192 if device == "cuda" else 2048
    a, b = (torch.randn(size, size, device=device, dtype=DTYPES[dtype]) for _ in range(2))
    a @ b
    return 5 * 2 * size**3 / seconds(lambda: [a @ b for _ in range(5)], device)


def flop_of(texts: list[ScoredText], config: GPT2Config) -> float:
    """Of the matrix products that the scores need: 24 width² a token and layer, and the head for answer tokens."""
    width, layers, total = config.n_embd, config.n_layer, 0.0
    for text in texts:
        answer, whole = len(answer_of(text).split()), len(text.text.split())
        total += (answer + whole) * layers * 24 * width**2 + 2 * answer * 2 * width * VOCABULARY
    return total


def largest_difference(lines: list[dict], expected: list[dict]) -> float:
    """Of the losses, as a part of them."""
    pairs = [
        (one, other)
        for line, wanted in zip(lines, expected, strict=True)
        for one, other in zip(line["loss"], wanted["loss"], strict=True)
        if one != other
    ]
    return max((abs(one - other) / max(abs(other), 1e-9) for one, other in pairs), default=0.0)


def compare(
    count: int, oracle_count: int, rounds: int, device: str, dtypes: list[str], config: GPT2Config
) -> list[dict]:
    """Figures of ours in each dtype against the released way."""
    tok, texts = tokenizer(), rows_like_alpaca(count)
    slow, sample = model(device, config), texts[:oracle_count]
    batch_tokens = BATCH_TOKENS[device]
    work = {"released way": lambda: [released_line(slow, tok, text.text, answer_of(text), 1024) for text in sample]}
    ours_of_sample = {}
    for dtype in dtypes:
        scorer = prepare_scorer(model("cpu", config), tok, device, dtype)
        work[dtype] = functools.partial(lines_with_reasons, scorer, texts, 1024, batch_tokens)
        ours_of_sample[dtype] = lines_with_reasons(scorer, sample, 1024, batch_tokens)
    released = work["released way"]()  # also because the first call of a kernel is slow
    best = dict.fromkeys(work, float("inf"))
    rates = dict.fromkeys(dtypes, 0.0)
    for _ in range(rounds):
        for name, run in work.items():
            best[name] = min(best[name], seconds(run, device))
        for dtype in dtypes:
            rates[dtype] = max(rates[dtype], matrix_rate(device, dtype))
    oracle = best.pop("released way")
    oracle_rate = flop_of(sample, config) / oracle  # per FLOP of its rows: the few need not be as long as the many
    print(f"released way, batch 1   {len(sample) / oracle:9.1f} rows/s   {oracle_rate / 1e9:,.0f} GFLOP/s")
    found = []
    for dtype, ours in best.items():
        assert largest_difference(ours_of_sample[dtype], released) < BOUNDS[dtype], (
            "the losses are not the released ones"
        )
        rate = flop_of(texts, config) / ours
        detail = (
            f"{len(texts):,} rows in {ours:.1f} s, {len(texts) / ours:,.0f} rows/s, {rate / 1e9:,.0f} GFLOP/s, "
            f"{rate / rates[dtype]:.0%} of the matrix rate; released {len(sample) / oracle:,.1f} rows/s"
        )
        what = f"IFD in {dtype} against the released way (fp32, one row at a time), rows of Alpaca's lengths"
        found.append(figures.figure(what, rate / oracle_rate, goal=GOALS[device].get(dtype), detail=detail))
        if device == "cuda":
            found.append(figures.figure(f"IFD of {len(texts):,} rows in {dtype}", ours, "s", goal=15, at_most=True))
        print(f"ours, {dtype}: {rate / oracle_rate:.1f} x; {detail}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--oracle_rows", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3, help="the two ways in turn so often; the best of each counts")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtypes", nargs="+", default=["fp32", "bf16"])
    figures.add_argument(parser)
    args = parser.parse_args()
    found = compare(args.rows, args.oracle_rows, args.rounds, args.device, args.dtypes, GPT2Config())
    figures.keep(args.json, "superfiltering", found)


if __name__ == "__main__":
    main()
