"""The released search for numbers in a CMATH response, without regular expressions."""

AFTER_START = ",，。°℃$"
BEFORE_INSIDE, AFTER_INSIDE = "$:：，＝≈=>{", ",，。°℃$}（"
BEFORE_END = "$:：＝≈=->"


def extracted(response: str) -> list[str]:
    text = without_separators(with_plain_fractions(response))
    found = [number for line in text.splitlines() for number in of_line(line) if not number.endswith("/")]
    return sorted(set(found[-2:]))


def with_plain_fractions(text: str) -> str:
    out, at = "", 0
    while at < len(text):
        opening = text.startswith("\\frac{", at)
        middle = text.find("}", at + 6) if opening else -1
        end = text.find("}", middle + 2) if middle > at + 6 and text[middle + 1 : middle + 2] == "{" else -1
        if end > middle + 2:
            out += text[at + 6 : middle] + "/" + text[middle + 2 : end]
            at = end + 1
        else:
            out += text[at]
            at += 1
    return out


def without_separators(text: str) -> str:
    def stays(at: int) -> bool:
        inside = 0 < at < len(text) - 1 and text[at - 1].isdecimal() and text[at + 1].isdecimal()
        return not (inside and text[at] in ", ")

    return "".join(character for at, character in enumerate(text) if stays(at))


def is_cjk(character: str) -> bool:
    return "\u4e00" <= character <= "\u9fa5"


def is_number(text: str) -> bool:
    """Digits, one . or / with or without digits behind it, a %."""
    text = text.removesuffix("%")
    digits = text.replace("/", ".").split(".")
    return len(digits) <= 2 and digits[0].isdecimal() and all(part == "" or part.isdecimal() for part in digits[1:])


def ends_of_number(line: str, start: int) -> list[int]:
    return [end for end in range(len(line), start, -1) if is_number(line[start:end])]


def of_line(line: str) -> list[str]:
    return [*at_start(line), *inside(line), *spoken(line), *at_end(line), *([line] if is_number(line) else [])]


def at_start(line: str) -> list[str]:
    for end in ends_of_number(line, 0):
        for behind in (line[end + 1 : end + 2] if line[end : end + 1] == " " else "", line[end : end + 1]):
            if behind and (is_cjk(behind) or behind in AFTER_START):
                return [line[:end]]
    return []


def inside(line: str) -> list[str]:
    found, at = [], 1
    while at < len(line):
        hit = number_inside(line, at)
        if hit:
            found.append(hit[0])
            at = max(hit[1], at + 1)
        else:
            at += 1
    return found


def number_inside(line: str, at: int) -> tuple[str, int] | None:
    """A number that begins at this place, or behind a space there, and where the search goes on."""
    if not (is_cjk(line[at - 1]) or line[at - 1] in BEFORE_INSIDE):
        return None
    for start in (at + 1, at) if line[at] == " " else (at,):
        for end in ends_of_number(line, start):
            for behind in (end + 1, end) if line[end : end + 1] == " " else (end,):
                following = line[behind : behind + 1]
                if following and (is_cjk(following) or following in AFTER_INSIDE):
                    return line[start:end], behind + 1
                other = line[behind + 1 : behind + 2]
                if following == "(" and other and not other.isdecimal() and not other.isspace():
                    return line[start:end], behind + 2
                if line[behind:] == ".":
                    return line[start:end], behind + 1
    return None


def at_end(line: str) -> list[str]:
    for at in range(1, len(line)):
        if is_cjk(line[at - 1]) or line[at - 1] in BEFORE_END:
            for start in (at + 1, at) if line[at] == " " else (at,):
                if is_number(line[start:]):
                    return [line[start:]]
    return []


def spoken(line: str) -> list[str]:
    found, at = [], 0
    while at < len(line):
        lower = next((end for end in range(len(line), at, -1) if line[at:end].isdecimal()), at)
        upper_start = lower + 2
        upper = next((end for end in range(len(line), upper_start, -1) if line[upper_start:end].isdecimal()), 0)
        if lower > at and line[lower:upper_start] == "分之" and upper:
            found.append(line[upper_start:upper] + "/" + line[at:lower])
            at = upper
        else:
            at += 1
    return found
