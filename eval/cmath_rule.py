"""The released verdict on CMATH, exactly: is one of the last two numbers of a response the gold answer?

match, numbers = judge("60", "所以答案是60。")       # judge_last is ours, and stricter
"""

import re

from common.errors import BadValue

CANDIDATES = 2  # the last numbers of a response that count
TOLERANCE = 0.01
SMALL = 1e-6  # keeps the divisor of a relative difference from being 0

CJK = r"\u4e00-\u9fa5"
NUMBER = r"\d+(?:[./]\d*)?%?"
SEPARATOR_IN_NUMBER = re.compile(r"(?<=\d)[, ](?=\d)")
LATEX_FRACTION = re.compile(r"\\frac\{([^}]+)\}\{([^}]+)\}")
SPOKEN_FRACTION = re.compile(r"(\d+)分之(\d+)")
THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
ANY_LATEX_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]+)\}\{([^{}]+)\}")
SIGNED_NUMBER = re.compile(r"(?<!\d)-?\d+(?:\.\d+)?(?:/\d+(?:\.\d+)?)?%?")
# Where a number may stand in a line; these places are looked at in this order.
AT_START = re.compile(rf"^({NUMBER}) ?(?=[{CJK},，。°℃$])")
INSIDE = re.compile(rf"(?<=[{CJK}$:：，＝≈=>{{]) ?({NUMBER}) ?(?:[{CJK},，。°℃$}}（]|\([^\d\s]|\.$)")
AT_END = re.compile(rf"(?<=[{CJK}$:：＝≈=>-]) ?({NUMBER})$")
ALONE = re.compile(rf"^{NUMBER}$")


def numbers_of_line(line: str) -> list[str]:
    spoken = [f"{upper}/{lower}" for lower, upper in SPOKEN_FRACTION.findall(line)]
    found = AT_START.findall(line) + INSIDE.findall(line) + spoken + AT_END.findall(line) + ALONE.findall(line)
    return [number for number in found if not number.endswith("/")]


def extracted_numbers(response: str) -> list[str]:
    """The last numbers of a response as written, each once, sorted."""
    text = SEPARATOR_IN_NUMBER.sub("", LATEX_FRACTION.sub(r"\1/\2", response))
    found = [number for line in text.splitlines() for number in numbers_of_line(line)]
    return sorted(set(found[-CANDIDATES:]))


def value(number: str) -> int | float:
    """As released: 12% is 0.12, 3/4 is 0.75, and anything over 0 is 0. ValueError for what is no number."""
    number = number.strip()
    if number.endswith("%"):
        return float(number.replace("%", "")) / 100
    if "/" in number:
        upper, *lower = number.split("/")
        if len(lower) != 1 or float(lower[0]) == 0:
            return 0
        return float(upper) / float(lower[0])
    return float(number) if "." in number else int(number)


def is_close(ours: int | float, gold: int | float) -> bool:
    """Whole numbers are equal or not; of others 1 % may be missing."""
    if isinstance(ours, int) and isinstance(gold, int):
        return ours == gold
    return abs(gold - ours) / (min(abs(gold), abs(ours)) + SMALL) < TOLERANCE


def judge(golden: str | int | float, response: str) -> tuple[bool, list[str]]:
    """The verdict and the numbers that it looked at."""
    try:
        gold = value(golden) if isinstance(golden, str) else golden
    except ValueError:
        raise BadValue(f"the gold answer {golden!r} is not a number") from None
    numbers = extracted_numbers(response)
    for number in numbers:
        try:
            if is_close(value(number), gold):
                return True, numbers
        except (ValueError, OverflowError):  # more digits than Python reads, or than a float holds
            continue
    return False, numbers


def judge_last(golden: str | int | float, response: str) -> bool:
    """A stricter verdict, ours: only the last number counts, with its sign, wherever and however it is written."""
    text = SPOKEN_FRACTION.sub(r"\2/\1", ANY_LATEX_FRACTION.sub(r"\1/\2", THOUSANDS.sub("", response)))
    last = "".join(SIGNED_NUMBER.findall(text)[-1:])
    _, fraction, lower = last.partition("/")
    try:
        if fraction and not float(lower.rstrip("%")):
            return False
        return is_close(value(last), value(golden) if isinstance(golden, str) else golden)
    except (ValueError, OverflowError):
        return False
