"""Which language a text is in: by its script, and for Latin letters by its commonest words. Good enough to pick a
prompt and to notice an answer in another language; no model, nothing to install.

    detect_language("El libro que me prestaste")     # "es"
    detect_language("2024-05-01")                    # "und": cannot be told
"""

import re
from collections import Counter

PROMPT_LANGUAGES = ("en", "zh", "es", "pt")  # common/prompts/METHOD has these; other texts get the English prompts
UNKNOWN = "und"

# How a prompt names the language: in that language where there is a prompt in it, else in English.
NAMES = {
    "en": "English",
    "zh": "中文",
    "es": "español",
    "pt": "português",
    "fr": "French",
    "de": "German",
    "it": "Italian",
}
NAMES |= {"nl": "Dutch", "ja": "Japanese", "ko": "Korean", "ru": "Russian", "ar": "Arabic", "he": "Hebrew"}
NAMES |= {"el": "Greek", "hi": "Hindi", "th": "Thai", UNKNOWN: "the language of the text"}

_SCRIPTS = {
    "latin": r"A-Za-z\u00c0-\u024f",
    "han": r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af",
    "kana": r"\u3040-\u30ff",
    "ko": r"\u1100-\u11ff\uac00-\ud7af",
    "ru": r"\u0400-\u04ff",
    "ar": r"\u0600-\u06ff",
    "he": r"\u0590-\u05ff",
    "el": r"\u0370-\u03ff",
    "hi": r"\u0900-\u097f",
    "th": r"\u0e00-\u0e7f",
}
_LETTERS = {script: re.compile(f"[{letters}]") for script, letters in _SCRIPTS.items()}
_LETTERS_A_WORD = {"latin": 5, "han": 1.5, "kana": 2, "ko": 3}

_COMMON_WORDS = {
    "en": "the a and of to in is no so us that it for was with as on are this be by have not from you they at or his"
    " her were has an which but their will would what how your we can my do me one if all who can more about text",
    "es": "el la a de que en los las un una por con no se para es del al lo como más su pero sus le ya este porque"
    " cuando muy sin sobre también hasta hay donde quien desde todo nos durante uno ni contra ese eso mi qué y fue son",
    "pt": "o a e de que em os as um uma por com não se para é do da ao dos das no na mais seu sua mas foi como ou ele"
    " também já está são nos pelo pela até isso ela quando muito nas esse eles você essa num nem às minha sobre vai",
    "fr": "le la les de des et en un une que qui dans pour pas est sur au du plus par avec ce il ne se sont aux cette"
    " mais nous vous ou été leur ses elle ont son être fait comme tout",
    "de": "der die das und ist in den von zu mit sich des auf für nicht ein eine als auch es an werden aus er hat dass"
    " sie nach wird bei einer um am sind noch wie einem über einen so zum war haben oder",
    "it": "il di che la e a un in per non una è del sono con le si da della al come più dei gli ma anche nel alla ha ci"
    " se lo questo delle o dal suo sua nella essere stato",
    "nl": "de het een en van in is dat op te zijn met voor niet aan er om ook als bij maar dan nog naar door over uit"
    " wordt deze die was heeft hij wel geen worden",
}
_LANGUAGES_OF = {}
for _language, _words in _COMMON_WORDS.items():
    for _word in set(_words.split()):
        _LANGUAGES_OF.setdefault(_word, []).append(_language)
_LOOKED_AT = 20_000  # characters
LEAST_SHARE = 0.07  # of common words of a language among all; another one that shares a few has less


def detect_language(text: str) -> str:
    """A code of `NAMES`."""
    text = text[:_LOOKED_AT]
    words = {script: len(letter.findall(text)) / _LETTERS_A_WORD.get(script, 5) for script, letter in _LETTERS.items()}
    script = max(words, key=words.get)
    if script in ("han", "kana"):
        return "ja" if words["kana"] > 0.15 * words["han"] else "zh"
    if script != "latin":
        return script
    # A word that several languages share counts a part for each; one letter may as well be a variable.
    hits: Counter[str] = Counter()
    words = re.findall(r"[^\W\d_]+", text.lower())
    for word in words:
        for language in _LANGUAGES_OF.get(word, ()):
            hits[language] += (1 if len(word) > 1 else 0.3) / len(_LANGUAGES_OF[word])
    (best, most), (_, second) = (*hits.most_common(2), ("", 0), ("", 0))[:2]
    return best if most >= max(1, LEAST_SHARE * len(words)) and most > 1.3 * second else UNKNOWN
