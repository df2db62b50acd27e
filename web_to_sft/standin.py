"""How the stand-in answers this method's prompts: as the converter would.

[题目] … [答案]                         [问题]\\n…\\n\\n[答案]\\n…, or one of the two refusal sentences
"""

import random
import re

from common.llm.standin.prompts import CJK, Prompt
from web_to_sft.conversions import NOT_MATHS, UNREADABLE


def convert_problem(prompt: Prompt, rng: random.Random) -> str | None:
    start = prompt.user.rfind("[题目]")
    middle = prompt.user.find("[答案]", start)
    if start < 0 or middle < 0:
        return None
    question = _clean_maths(prompt.user[start + 4 : middle])
    solution = _clean_maths(prompt.user[middle + 4 :].partition("\n[")[0])
    kept = re.split(r"点评|考点|此题主要考查|本题考查", solution)[0].rstrip("【（(：: \n")
    solution = re.sub(r"^[\s\S]*?(?:解答|^解)[】：:]\s*", "", kept, count=1, flags=re.M).strip() or solution
    everything = question + solution
    if not CJK.search(question) or not re.search(r"[\d一二三四五六七八九十百几多少]", everything):
        return NOT_MATHS
    odd = len(re.findall(r"[\ufffd\x00-\x08□]", everything))
    if not solution or 10 * odd > len(everything):
        return UNREADABLE
    return f"[问题]\n{question}\n\n[答案]\n{solution}"


def _clean_maths(text: str) -> str:
    text = re.sub(r"【题文】|[\[【](?:题目|问题|答案)[\]】]", "", text.replace("\u3000", " "))
    text = re.sub(r"(?<=\d)(?:\\n)+(?=\d)", "/", text).replace("\\n", "\n")
    text = re.sub(r"[，,] *(?=[=≈])", "", text)
    return re.sub(r"\s*\n\s*", "\n", re.sub(r"[ \t]+", " ", text)).strip()


MARK_RULES = (convert_problem,)
