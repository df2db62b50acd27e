"""The released rules of the baseline, one character at a time."""

EQUALS = ("=", "≈")
KEEPS = ("<", ">", "=", "≈", "＜", "＞")
OPENING = {
    "analysis": "【分析】 [分析] 试题分析： 试题分析: 分析： 分析: 【思路点拨】".split(" "),
    "solution": "【详解】 [详解] 试题解析： 试题解析: 解答： 解答: 解： 解: 【解答】 [解答] [题目详解]".split(" "),
    "comment": [*"【点睛】 [点睛] 点评： 点评: [点评] 【点评】 【剖析】 [剖析] 【解题思路】".split(" "), "\n点睛:"],
}
NO_HEADING = [
    word + "分析" + colon
    for word in "根据 根据以上 经 根据题干 依照 由 由题目 结合 步 进行".split(" ")
    for colon in "：:"
]


def is_digit(character: str) -> bool:
    return character.isdecimal()


def clean_analysis(text: str, in_order: bool = False) -> str:
    """`in_order`: commas are cut in the order in which they stand, as we do."""
    out, at = "", 0
    while at < len(text):
        end = at + 1
        while text.startswith("\\n", end):
            end += 2
        if is_digit(text[at]) and end > at + 1 and end < len(text) and is_digit(text[end]):
            out += text[at] + "/" + text[end]  # both digits are used up
            at = end + 1
        else:
            out += text[at]
            at += 1
    text = out.replace("\xa0", " ").strip()
    commas = []
    for comma in ("，", "， "):
        for at in range(len(text)):
            if text.startswith(tuple(comma + sign for sign in EQUALS), at):
                commas.append((at, at + len(comma)))
    if in_order:
        commas.sort()
    out, done = "", 0
    for start, end in commas:
        before = text[start - 1] if start or not in_order else "nothing"
        if before not in KEEPS:
            out += text[done:start] + text[end]
            done = end + 1
    return out + text[done:]


def solution_steps(analysis: str) -> str:
    text = analysis
    while "\\n\\n" in text:
        text = text.replace("\\n\\n", "\\n")
    text = text.replace("\\n", "\n").replace("\xa0", " ").strip()
    headings = [heading for family in OPENING.values() for heading in family]
    if "此题主要考查" in text and not any(heading in text for heading in headings):
        before = text[: text.index("此题主要考查")]
        if len(before) >= 10:
            return before
    found, family, buffer = {}, "unannounced", ""
    for character in text:
        for opens, names in OPENING.items():
            for name in names:
                if not buffer.endswith(name):
                    continue
                if opens == "analysis" and (len(buffer) <= 10 or any(buffer.endswith(word) for word in NO_HEADING)):
                    continue
                found[family] = without_end(buffer, name)
                family, buffer = opens, name if name in ("解：", "解:") else ""
                break
            else:
                continue
            break
        buffer += character
    found[family] = buffer
    if len(found.get("unannounced", "")) <= 5:
        found["unannounced"] = ""
    steps = ""
    for name in ("solution", "unannounced", "analysis", "comment"):
        steps = steps or found.get(name, "")
    return without_tags(without_comment(steps if len(steps) >= 10 else text))


def without_end(text: str, characters: str) -> str:
    while text and text[-1] in characters:
        text = text[:-1]
    return text


def without_comment(text: str) -> str:
    first = text.find("故答案为")
    second = text.find("故答案为", first + 4)
    between = text[first : second if second >= 0 else len(text)] if first >= 0 else ""
    if not any(word in between for word in ("据此解答", "直接得出结论即可", "本题考查", "此题考查", "据此判断")):
        return text
    for at in range(first, len(text)):
        ends = text[at] == "。"
        if text[at] in ("．", ".") and at + 1 < len(text) and not text[at + 1].isdigit():
            ends = True
        if ends:
            kept = text[: at + 1]
            return kept[: kept.index("本题考查")] if "本题考查" in kept else kept
    return text


def without_tags(text: str) -> str:
    for opening, closing in ("[]", "【】"):
        while text.startswith(opening) and closing in text:
            text = text[text.index(closing) + 1 :]
    return text
