"""What the stand-in answers: rules on the text of a prompt, no model. It quotes, counts and fills in forms.

    answer("Context: … Question: …", system="", rng=random.Random(1)) -> str

A prompt is known by its parse marks and format words; the first rule that fits answers:
    [题目] … [答案]                         [问题]\\n…\\n\\n[答案]\\n…, or one of the two refusal sentences
    PUNTUACIÓN EDUCATIVA (or its like)      a reason and the mark with 0-5
    DOMINIO … CASOS DE USO                  both lines, filled from the prompt's own lists
    Context 1: … Context 2:                 a question and the last context cut in two
    two labelled answers, scale of 1 to 10  "7 5" and an explanation
    yes or no                               one of the two
    author/writer and 30 words              a profile of the writer
    an answer to be improved                the answer with more of the text, sometimes with a lead-in
    a (rewrite) request in at most N words  a request about the text; without "rewrite" a question that it answers
    a text and a question                   the sentences of the text nearest to the question
    anything else                           short quotes from the prompt itself
"""

import json
import math
import random
import re
from typing import NamedTuple

from common import standin_phrases as words

LONGEST_READ = 6000  # characters of a text that the rules look at; keeps a request under a millisecond
CJK = re.compile(r"[\u3400-\u9fff]")
LABEL = re.compile(
    r"^[ \t]*(?:[\[【<](?P<bracketed>[^\]】>\n]{1,60})[\]】>][:：]?"
    r"|#{1,6} *(?P<heading>[^\n]{1,60}?):?$"
    r"|\**(?P<plain>[^\W\d_][^:：\n*\[\]【】<>]{0,40}?)\**[:：]\**)",
    re.MULTILINE,
)
_ROLES = "|".join(f"(?P<{role}>{pattern})" for role, pattern in words.LABEL_WORDS.items())
ROLE_FIRST = re.compile(
    rf"(?i)(?:the |el |la |los |o |a |as |os |your |user'?s? |original |source )?(?:{_ROLES})(?!\w| ?[12])"
)
ROLE_LAST = re.compile(rf"(?i)(?:^|\W|[\u3400-\u9fff])(?:{_ROLES})$")
CLOSING = re.compile(r"(?i)/|(?:the )?end\b|fin\b|fim\b|结束")
CONTEXT_1 = re.compile(r"(?:[Cc]ontexto?|CONTEXTO?|子?上下文) ?[1一](?=[:：])")
EDU_SCORE = re.compile(
    r"PUNTUACIÓN EDUCATIVA|PONTUAÇÃO EDUCA(?:TIVA|CIONAL)|[Ee]ducational [Ss]core|教育(?:价值)?(?:评分|得分)"
)
EDU_LABELS = re.compile(r"(?i)(DOMINIOS?|DOM[IÍ]NIOS?)\b.*?(CASOS DE USO)", re.DOTALL)
REQUEST_WORD = re.compile(
    r"\b(?:request|instruction|petici[óo]n|solicitud|instrucci[óo]n|pedido|solicitação|instrução)|请求|指令|要求"
)
PARTY = re.compile(
    r"(?im)^\W*(?:the |la |el |o |a |start of |begin(?:ning)? of |inicio de |início d[ae] "
    r"|respuesta del? |resposta d[oe] )*"
    r"(?:(?:ai )?assistant|answer|response|model|助手|回答|答案|模型|respuesta|resposta|asistente|assistente|modelo)"
    r"[ _#]{0,2}(?P<number>[12AB])\b[^\n:：\]】>]{0,30}(?:[\]】>]+[:：]?|[:：]|$)"
)
SENTENCE_END = re.compile(r"(?<=[。！？])|(?<=[.!?])\s+|\n+")
QUOTE_MARKS = re.compile(r"""["“”«»*#\[\]<>{}|`]|-{3,}""")
CLAUSE_END = re.compile(r"[。！？!?；;，,：:\n（）()]+|\.(?=\s|$)| [–—-] ")
WISHES = {name: re.compile(pattern) for name, pattern in words.WISHES.items()}


class Section(NamedTuple):
    role: str | None  # text, question, answer, reasoning, other; None: no label
    label: str
    body: str


class Prompt(NamedTuple):
    user: str  # the whole user turn, or the completion prompt
    block: str  # its last few-shot block, or all of it
    sections: list[Section]  # of the block
    given: str  # the text that it is about
    asked: str  # system message and the prompt without that text, in small letters: where wishes are looked for
    language: str

    def body(self, role: str) -> str:
        """The last non-empty section of this role."""
        return next((part.body for part in reversed(self.sections) if part.role == role and part.body), "")


def answer(user: str, system: str = "", rng: random.Random | None = None) -> str:
    rng = rng or random.Random(user.encode("utf-8", "surrogatepass"))
    prompt = read_prompt(user, system)
    for rule in RULES:
        said = rule(prompt, rng)
        if said is not None:
            return said
    return quote_some(prompt, rng)


# ---- reading a prompt


def read_prompt(user: str, system: str = "") -> Prompt:
    block = user
    if "\n---" in user:
        last = user.rpartition("\n---")[2].lstrip("-")
        block = last if split_sections(last)[1:] else user
    sections = split_sections(block)
    given, asked = _given_and_asked(block, sections)
    sample = given if len(given) > 20 else user
    return Prompt(user, block, sections, given, f"{system}\n{asked}".lower(), language_of(sample))


def split_sections(text: str) -> list[Section]:
    """The text before the first label, then a section a label."""
    sections, role, label, start = [], None, "", 0
    for match in LABEL.finditer(text):
        name = match[match.lastgroup].strip()
        found = None if CLOSING.match(name) else ROLE_FIRST.match(name) or ROLE_LAST.search(name)
        if found or (match["bracketed"] and CLOSING.match(name)):
            sections.append(Section(role, label, text[start : match.start()].strip()))
            role, label, start = found.lastgroup if found else None, match[0].strip(), match.end()
    sections.append(Section(role, label, text[start:].strip()))
    return sections


def _given_and_asked(block: str, sections: list[Section]) -> tuple[str, str]:
    texts = [part.body for part in sections if part.role == "text" and part.body]
    if texts:
        given = max(texts, key=len)
        last_paragraph = given.rpartition("\n\n")[2] if "\n\n" in given else ""
        return given, block.replace(given, "\n", 1) + "\n" + last_paragraph[:600]
    paragraphs = re.split(r"\n\s*\n", block.strip())
    if len(paragraphs) == 1:
        return block, block[:600]
    first, last = paragraphs[0], paragraphs[-1]
    given = paragraphs[1:] if len(first) < len(last) else paragraphs[:-1]
    return "\n\n".join(given), f"{first[:600]}\n{last[:600]}"


def language_of(text: str) -> str:
    sample = text[:800]
    if 10 * len(CJK.findall(sample)) > len(sample):
        return "zh"
    found = re.findall(r"[^\W\d_]+", sample.lower())
    counts = {name: sum(word in known for word in found) for name, known in words.COMMON_WORDS.items()}
    counts["es"] += 3 * len(re.findall(r"[ñ¿¡]|ción", sample))
    counts["pt"] += 3 * len(re.findall(r"[ãõ]|ç", sample))
    return max(counts, key=counts.__getitem__)


# ---- quoting


def sentences(text: str) -> list[str]:
    return [part.strip() for part in SENTENCE_END.split(text[:LONGEST_READ]) if part and part.strip()] or [text.strip()]


def clauses(text: str, language: str) -> list[str]:
    """Short verbatim phrases of a text without its punctuation: at most 8 words, or 16 characters of Chinese."""
    found = []
    for part in CLAUSE_END.split(QUOTE_MARKS.sub(" ", text[:LONGEST_READ])):
        part = " ".join(part.split())[:16] if language == "zh" else " ".join(part.split()[:8])[:80]
        if len(part) >= 4 and (language == "zh" or part.count(" ") >= 2):
            found.append(part)
    return found or [" ".join(QUOTE_MARKS.sub(" ", text).split())[:40] or "…"]


def terms(text: str) -> set[str]:
    text = text.lower()
    chinese = "".join(CJK.findall(text))
    pairs = {chinese[i : i + 2] for i in range(len(chinese) - 1)}
    return pairs.union(re.findall(r"[^\W_]{4,}|\d+", CJK.sub(" ", text)))


def closeness(text: str, other: str) -> float:
    """Share of the smaller one's terms that both have."""
    one, two = terms(text[:LONGEST_READ]), terms(other[:LONGEST_READ])
    return len(one & two) / max(1, min(len(one), len(two)))


def nearest_sentences(text: str, question: str, how_many: int) -> list[str]:
    """In the order of the text."""
    wanted, candidates = terms(question[:LONGEST_READ]), sentences(text)[:80]
    ranked = sorted(range(len(candidates)), key=lambda i: (-len(wanted & terms(candidates[i])), i))
    return [candidates[i] for i in sorted(ranked[:how_many])]


def string_quotes(phrases: list[str], language: str, rng: random.Random) -> str:
    first, *between, last = words.FRAMES[language]
    phrases = list(dict.fromkeys(phrases))
    frames = [first, *rng.sample(2 * between, max(0, len(phrases) - 2)), last]
    lines = [frame.format(phrase) for frame, phrase in zip(frames, phrases, strict=False)]
    return ("" if language == "zh" else " ").join(lines)


# ---- the rules, one a kind of prompt; None: not this kind


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
        return words.NOT_MATHS
    odd = len(re.findall(r"[\ufffd\x00-\x08□]", everything))
    if not solution or 10 * odd > len(everything):
        return words.BAD_GRAMMAR
    return f"[问题]\n{question}\n\n[答案]\n{solution}"


def _clean_maths(text: str) -> str:
    text = re.sub(r"【题文】|[\[【](?:题目|问题|答案)[\]】]", "", text.replace("\u3000", " "))
    text = re.sub(r"(?<=\d)(?:\\n)+(?=\d)", "/", text).replace("\\n", "\n")
    text = re.sub(r"[，,] *(?=[=≈])", "", text)
    return re.sub(r"\s*\n\s*", "\n", re.sub(r"[ \t]+", " ", text)).strip()


def score_education(prompt: Prompt, rng: random.Random) -> str | None:
    marks = list(EDU_SCORE.finditer(prompt.user))
    if not marks:
        return None
    text = prompt.given.lower()[:LONGEST_READ]
    teaching = sum(stem in text for stem in words.TEACHING_STEMS)
    advertising = sum(stem in text for stem in words.ADVERTISING_STEMS)
    score = min(5, max(0, (teaching + 1) // 2 + (len(text) > 400) - advertising))
    language = {"PU": "es", "PO": "pt", "教育": "zh"}.get(marks[-1][0][:2], "en")
    reason = words.EDU_REASONS[language].format(clauses(prompt.given, prompt.language)[0], teaching, advertising)
    return f"{reason}\n\n{marks[-1][0]}: {score}"


def label_domains(prompt: Prompt, rng: random.Random) -> str | None:
    heads = EDU_LABELS.search(prompt.user)
    if not heads:
        return None
    middle = heads.start(2)
    domains = _listed(prompt.user[heads.end(1) : middle]) or words.DOMAINS
    use_cases = _listed(prompt.user[middle:]) or words.USE_CASES

    def nearest(options: tuple[str, ...] | list[str], how_many: int) -> list[str]:
        stems = {option: {term[:6] for term in terms(option)} for option in options}
        text = prompt.given.lower()[:LONGEST_READ]
        hits = {option: sum(stem in text for stem in found) for option, found in stems.items()}
        return sorted((option for option in options if hits[option]), key=lambda option: -hits[option])[:how_many]

    found = nearest(domains, 2) or [words.NO_DOMAIN]
    return f"DOMINIO: {', '.join(found)}\nCASOS DE USO: {', '.join(nearest(use_cases, 3) or list(use_cases)[:1])}"


def _listed(text: str) -> list[str]:
    """The names of a bullet or numbered list, without their explanations."""
    return [name.strip() for name in re.findall(r"(?m)^\s*(?:[-*•]|\d+[.)])\s*\**([^:\n*(]{3,60})", text)]


def split_context(prompt: Prompt, rng: random.Random) -> str | None:
    mark = CONTEXT_1.search(prompt.user)
    if not mark:
        return None
    context = " ".join((prompt.body("text") or prompt.block).split())
    first, second = cut_in_two(context)
    question = rng.choice(words.QUESTIONS[prompt.language]).format(rng.choice(clauses(context, prompt.language)))
    cue = prompt.sections[-1]
    label = "" if cue.role == "question" and not cue.body else _question_label(prompt)
    other = mark[0].replace("1", "2").replace("一", "二")
    return f"{label}{question}\n\n{mark[0]}: {first}\n\n{other}: {second}"


def _question_label(prompt: Prompt) -> str:
    labels = [part.label for part in split_sections(prompt.user) if part.role == "question"]
    return labels[-1].replace(":", ": ") if labels and labels[-1][-1] in ":：" else ""


def cut_in_two(text: str) -> tuple[str, str]:
    """At the end of a sentence nearest to the middle, else of a clause, a word, anywhere; the text is stripped."""
    middle = len(text) / 2
    for end in (r"[。！？]+[”’」]?|[.!?]+(?=\s)", r"[，,；;：:、]", r"\s"):
        cuts = [match.end() for match in re.finditer(end, text) if match.end() < len(text)]
        if cuts:
            cut = min(cuts, key=lambda place: abs(place - middle))
            return text[:cut].strip(), text[cut:].strip()
    return text[: math.ceil(middle)], text[math.ceil(middle) :]


def judge_two(prompt: Prompt, rng: random.Random) -> str | None:
    parties = list(PARTY.finditer(prompt.user))
    if len(parties) < 2 or not WISHES["ten_points"].search(prompt.asked + prompt.user[-1500:].lower()):
        return None
    bodies: dict[str, str] = {}
    for party, following in zip(parties, [*parties[1:], None], strict=True):
        number = {"A": "1", "B": "2"}.get(party["number"], party["number"])
        body = prompt.user[party.end() : following.start() if following else None]
        body = re.split(r"(?m)^[\[【<#][^\n]*$", body)[0].strip()
        if "end of" not in party[0].lower():
            bodies.setdefault(number, body)
    if len(bodies) < 2:
        return None
    question = prompt.user[: parties[0].start()]
    scores = [_points(question, bodies[number]) for number in "12"]
    explanation = words.JUDGEMENTS[prompt.language].format(len(bodies["1"]), len(bodies["2"]))
    return f"{scores[0]} {scores[1]}\n\n{explanation}"


def _points(question: str, said: str) -> int:
    return min(10, max(1, round(1 + math.log2(1 + len(said)) * 0.6 + 3 * closeness(question, said)))) if said else 1


def say_yes_or_no(prompt: Prompt, rng: random.Random) -> str | None:
    if not WISHES["yes_no"].search(prompt.asked):
        return None
    answers = [part.body for part in prompt.sections if part.role == "answer" and part.body]
    against = answers[-2] if len(answers) > 1 else prompt.given
    yes, no = words.YES_NO[prompt.language]
    return yes if answers and closeness(answers[-1], against) >= 0.3 else no


def describe_author(prompt: Prompt, rng: random.Random) -> str | None:
    if not WISHES["profile"].search(prompt.asked) or WISHES["limit"].search(prompt.asked):
        return None
    topic, tone = clauses(prompt.given, prompt.language)[0], rng.choice(words.TONES[prompt.language])
    return rng.choice(words.PROFILES[prompt.language]).format(topic, tone=tone)


def refine(prompt: Prompt, rng: random.Random) -> str | None:
    draft = prompt.body("answer")
    if not draft or not prompt.body("text") or not WISHES["refine"].search(prompt.asked):
        return None
    question = prompt.body("question")
    found = nearest_sentences(prompt.given, question, 6)
    phrases = [phrase for sentence in found for phrase in clauses(sentence, prompt.language)[:2]]
    # Drafts are quotes from the question; what the text says comes first, what the draft adds comes last.
    improved = string_quotes([*phrases[:6], clauses(draft, prompt.language)[-1]], prompt.language, rng)
    return f"{words.LEAD_INS[prompt.language]}\n\n{improved}" if rng.random() < 1 / 3 else improved


def make_request(prompt: Prompt, rng: random.Random) -> str | None:
    if not WISHES["limit"].search(prompt.asked) or not REQUEST_WORD.search(prompt.asked):
        return None
    if not WISHES["rewrite"].search(prompt.asked):
        return None
    language = prompt.language
    first, second = rng.sample(words.CONSTRAINTS[language], 2)
    form, reader = rng.choice(words.FORMS[language]), rng.choice(words.READERS[language])
    topic = rng.choice(clauses(prompt.given, language))
    return words.REWRITES[language].format(topic, form=form, reader=reader, first=first, second=second)


def ask_for_text(prompt: Prompt, rng: random.Random) -> str | None:
    if not WISHES["limit"].search(prompt.asked) or not WISHES["question"].search(prompt.asked):
        return None
    return rng.choice(words.QUESTIONS[prompt.language]).format(rng.choice(clauses(prompt.given, prompt.language)))


def answer_question(prompt: Prompt, rng: random.Random) -> str | None:
    text, question = prompt.body("text"), prompt.body("question")
    if not text or not question:
        return None
    found = nearest_sentences(text, question, 2)
    said = ("" if prompt.language == "zh" else " ").join(found)
    cue = prompt.sections[-1]
    labels = {part.role: part.label for part in split_sections(prompt.user)}
    if "reasoning" not in labels or (cue.role == "answer" and not cue.body):
        return said
    reasoning = words.REASONS[prompt.language].format(clauses(found[0], prompt.language)[0])
    lead = "" if cue.role == "reasoning" and not cue.body else f"{labels['reasoning']} "
    return f"{lead}{reasoning}\n{labels.get('answer', 'Answer:')} {said}"


def quote_some(prompt: Prompt, rng: random.Random) -> str:
    """The fall-back: what the prompt itself says, in short quotes."""
    phrases = clauses(prompt.given, prompt.language)
    if len(phrases) < 3:
        return words.NOTHING_TO_QUOTE[prompt.language].format(phrases[0])
    chosen = sorted(rng.sample(range(len(phrases)), min(len(phrases), 6)))
    return string_quotes([phrases[i] for i in chosen], prompt.language, rng)


RULES = (
    convert_problem,
    score_education,
    label_domains,
    split_context,
    judge_two,
    say_yes_or_no,
    describe_author,
    refine,
    make_request,
    ask_for_text,
    answer_question,
)


# ---- JSON, and bad content on purpose


def as_json(said: str, response_format: dict) -> str:
    """The answer as JSON: under "answer", or in the place of every string of the schema."""
    schema = (response_format.get("json_schema") or {}).get("schema")
    value = {"answer": said} if schema is None else fill_schema(schema, said, schema.get("$defs", {}))
    return json.dumps(value, ensure_ascii=False)


def fill_schema(schema: dict, said: str, definitions: dict) -> object:
    if "$ref" in schema:
        schema = definitions.get(schema["$ref"].rpartition("/")[2], {})
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return fill_schema(schema[key][0], said, definitions)
    if "const" in schema or schema.get("enum"):
        return schema["const"] if "const" in schema else schema["enum"][0]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: fill_schema(part, said, definitions) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [fill_schema(schema.get("items", {}), said, definitions)] * max(1, schema.get("minItems", 1))
    if kind in ("integer", "number"):
        return schema.get("minimum", schema.get("maximum", 1))
    return {"boolean": True, "null": None}.get(kind, said[: schema.get("maxLength")])


def refusal(user: str) -> str:
    return words.REFUSALS[language_of(user)]


def garbage(rng: random.Random) -> str:
    return "".join(rng.choices("#@%&~^|\\/<>{}[]();:?!0123456789qxzwkj 的�ßж\n", k=rng.randint(20, 120)))
