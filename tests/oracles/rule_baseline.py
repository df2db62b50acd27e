"""The comma and fraction repairs of the rule baseline, one character at a time."""


def clean_analysis(text: str) -> str:
    text = text.replace("\xa0", " ").strip()
    out = ""
    at = 0
    while at < len(text):
        for comma in ("，", "， "):
            after = text[at + len(comma) : at + len(comma) + 1]
            if text.startswith(comma, at) and after in ("=", "≈") and not (at and text[at - 1] in "<>=≈＜＞"):
                at += len(comma)
                break
        else:
            out += text[at]
            at += 1
    return out
