"""The released verdict on Ape210k, one character at a time."""


def is_correct(target: str, output: str, question: str) -> bool | None:
    """None where the released code fails or never ends."""
    if "Human" in output:
        echo = "Human: " + question + "\nAssistant: "
        while output and output[0] in echo:
            output = output[1:]
        output = "".join(character for character in output if character != "⁇").strip()
    span = where_stated(output)
    found = 0
    for part in parts_of(target):
        while True:
            start = next((at for at in range(found, len(span) + 1) if span[at : at + len(part)] == part), None)
            if start is None:
                return False
            if not part and start == len(span) and start > 0:
                return None
            found = start + len(part)
            if not cut_out(span, start, found):
                break
            if not part:
                return None
    return True


def cut_out(span: str, start: int, end: int) -> bool:
    if 0 < start and span[start].isdigit() and span[start - 1].isdigit():
        return True
    if end == len(span):
        return False
    return (span[end - 1].isdigit() and span[end].isdigit()) or (span[end] == "$" and span[end - 1] != "}")


def parts_of(target: str) -> list[str]:
    text = target.strip()
    for end in ".。．":
        while text.endswith(end):
            text = text[:-1]
    text = text.strip()
    while text and text[0] in "[解答过程]\n":
        text = text[1:]
    while text.startswith("("):
        text = text[1:]
    while text.endswith(")"):
        text = text[:-1]
    parts = [""]
    for character in text:
        if character in "/；":
            parts.append("")
        else:
            parts[-1] += character
    return parts


def where_stated(output: str) -> str:
    pieces = output.split("答：")
    if len(pieces) > 2:
        return "".join(piece.split("\n")[0] + "\n" for piece in pieces[1:]).replace(" ", "")
    if "（1）" in output and "（2）" in output:
        lines, kept = output.split("\n"), []
        for at, line in enumerate(lines):
            if line[:3] in ("（2）", "（3）", "（4）"):
                kept.append(last_filled(lines[:at]))
        return "\n".join([*kept, last_filled(lines)]).strip().replace(" ", "")
    text = output.strip()
    for mark in ("故答案为", "故选", "答："):
        if mark in text:
            after = text[text.index(mark) + len(mark) :]
            text = after[: after.index(mark)] if mark in after else after
    return text.replace(" ", "").split("\n")[-1]


def last_filled(lines: list[str]) -> str:
    return next((line for line in reversed(lines) if line.strip()), "")
