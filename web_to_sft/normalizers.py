"""What two texts are compared as: the paper's normaliser, and one for any language."""

import re
import unicodedata

TAG = "【题文】"

_KEPT_BY_PAPER = re.compile(r"[0-9\u4e00-\u9fa5]+|(?<![A-Za-z])[A-Za-z](?![A-Za-z])")
_LONE_POINT = re.compile(r"(?<!\d)\.|\.(?!\d)")


def normalise_paper(text: str) -> str:
    """Keep CJK, digits and single Latin letters. Operators and decimal points go, as in the released code."""
    return "".join(_KEPT_BY_PAPER.findall(text.replace(TAG, "")))


class _KeptCharacters(dict):
    """For str.translate: letters, marks, numbers and mathematical signs of any script stay, the rest goes."""

    def __missing__(self, code: int) -> str | None:
        category = unicodedata.category(chr(code))
        self[code] = chr(code) if category[0] in "LMN" or category == "Sm" or chr(code) in "-*/%^." else None
        return self[code]


_KEPT = _KeptCharacters({ord("×"): "*", ord("÷"): "/", ord("⁄"): "/", ord("−"): "-"})


def normalise_unicode(text: str) -> str:
    """Any language: NFKC, case folded, letters and digits; operators and decimal points stay, so 3.5+2 is not 35-2."""
    text = unicodedata.normalize("NFKC", text.replace("\\n", " ").replace(TAG, "")).casefold()
    return _LONE_POINT.sub("", text).translate(_KEPT)


NORMALIZERS = {"paper": normalise_paper, "unicode": normalise_unicode}


def normalise_web_question(text: str, normalizer: str) -> str:
    """The released code turns a written-out \\n into a newline here and nowhere else; elsewhere its n stays."""
    return NORMALIZERS[normalizer](text.replace("\\n", "\n"))
