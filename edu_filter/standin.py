"""How the stand-in answers this method's prompts.

PUNTUACIÓN EDUCATIVA (or its like)      a reason and the mark with 0-5; the mark alone where only that is asked for
DOMINIO … CASOS DE USO (or its like)    both lines, filled from the prompt's own lists
"""

import random
import re

from common.llm.standin.prompts import Prompt
from common.llm.standin.quoting import LONGEST_READ, clauses, terms

EDU_REASONS = {
    "en": 'The extract is about "{0}". Counted by rule: {1} teaching words, {2} advertising ',
    "zh": "这段摘录讲的是“{0}”。按规则统计：教学用词{1}个，广告用词{2}个。",
    "es": "El extracto trata de «{0}». Contado por reglas: {1} palabras didácticas y {2} publicitarias.",
    "pt": "O extrato trata de «{0}». Contado por regras: {1} palavras didáticas e {2} publicitárias.",
}

TEACHING_STEMS = (
    "estudi ciencia científ histori ejempl teor matemát ejercici enseñ aprend alumn escuela educa definici signific "
    "explic proces energ célula siglo lengua investig métod ensin exempl escola científic século aluno exercíci "
    "student school science scientif example theor mathemat exercise teach learn explain defin means process energy "
    "cell century research method 学习 学生 学校 科学 例如 理论 数学 练习 教学 说明 定义 过程 能量 细胞 世纪 "
    "研究 方法 历史"
).split()

ADVERTISING_STEMS = (
    "compra ofertas precio descuento suscr cookie gratis carrito promoc desconto preço clique assine grátis "
    "discount price click subscribe shipping checkout login 购买 优惠 价格 折扣 点击 订阅 包邮 登录"
).split()

DOMAINS = ("Educación", "Salud", "Legal", "Negocios y Finanzas", "Cultura", "Tecnología")

USE_CASES = ("Tutoría STEM", "Educación Cultural", "Telemedicina", "Comercio electrónico", "Asistencia jurídica")

NO_DOMAIN = "Sin coincidencia"

EDU_SCORE = re.compile(
    r"(?i)PUNTUACIÓN EDUCATIVA|PONTUAÇÃO EDUCA(?:TIVA|CIONAL)|educational score|教育(?:价值)?(?:评分|得分)"
)
EDU_LABELS = re.compile(r"(?i)(DOMINIOS?|DOM[IÍ]NIOS?)\b.*?(CASOS DE USO)", re.DOTALL)
EDU_FORMAT = re.compile(r"(?m)^(DOMINIO|DOMÍNIO|DOMAIN|领域): <.*\n(CASOS DE USO|USE CASES|用例): <")
NONE_FITS = re.compile(r"(?:escribe|escreva|write|就写) ?([^.。\n]+)[.。]$", re.MULTILINE)


def score_education(prompt: Prompt, rng: random.Random) -> str | None:
    marks = list(EDU_SCORE.finditer(prompt.user))
    if not marks:
        return None
    mark = marks[-1][0]
    if not any(section.role == "text" for section in prompt.sections) and len(prompt.user) < 150:
        return f"{mark}: 1"  # only the number is asked for, and the document is not in this turn
    text = prompt.given.lower()[:LONGEST_READ]
    teaching = sum(stem in text for stem in TEACHING_STEMS)
    advertising = sum(stem in text for stem in ADVERTISING_STEMS)
    score = min(5, max(0, (2 * teaching + 2) // 3 - advertising))
    if re.search(r"(?m)^0[:：]", prompt.user):  # levels, the second rubric: another rater, who agrees as people do
        score = min(5, max(0, score + rng.choice((-1, 0, 0, 0, 1))))
    language = {"PU": "es", "PO": "pt", "教育": "zh"}.get(mark[:2].upper(), "en")
    reason = EDU_REASONS[language].format(clauses(prompt.given, prompt.language)[0], teaching, advertising)
    return f"{reason}\n\n{mark}: {score}"


def label_domains(prompt: Prompt, rng: random.Random) -> str | None:
    if (form := EDU_FORMAT.search(prompt.user)) and re.search(r"(?m)^ +\* ", prompt.user):
        return _label_from_list(prompt, *form.groups())
    heads = EDU_LABELS.search(prompt.user)
    if not heads:
        return None
    middle = heads.start(2)
    domains = _listed(prompt.user[heads.end(1) : middle]) or DOMAINS
    use_cases = _listed(prompt.user[middle:]) or USE_CASES

    def nearest(options: tuple[str, ...] | list[str], how_many: int) -> list[str]:
        stems = {option: {term[:6] for term in terms(option)} for option in options}
        text = prompt.given.lower()[:LONGEST_READ]
        hits = {option: sum(stem in text for stem in found) for option, found in stems.items()}
        return sorted((option for option in options if hits[option]), key=lambda option: -hits[option])[:how_many]

    found = nearest(domains, 2) or [NO_DOMAIN]
    return f"DOMINIO: {', '.join(found)}\nCASOS DE USO: {', '.join(nearest(use_cases, 3) or list(use_cases)[:1])}"


def _label_from_list(prompt: Prompt, domain_mark: str, use_mark: str) -> str:
    """The domains whose names, explanations or use cases share stems with the text, and such use cases of theirs."""
    text = prompt.given.lower()[:LONGEST_READ]
    domains: dict[str, list[str]] = {}
    hits: dict[str, int] = {}
    for bullet, line in re.findall(r"(?m)^ *([-*]) (.+)$", prompt.user.replace(prompt.given, "")):
        name = re.split(r"[:：]", line)[0].strip()
        hits[name] = sum(stem in text for stem in _stems(line))
        if bullet == "-":
            domains[name] = []
        elif domains:
            domains[list(domains)[-1]].append(name)
    totals = {domain: hits[domain] + sum(hits[use] for use in uses) for domain, uses in domains.items()}
    best = [domain for domain in sorted(domains, key=lambda domain: -totals[domain]) if totals[domain]][:2]
    none = NONE_FITS.search(prompt.user)
    none = none[1].strip() if none else NO_DOMAIN
    uses = [use for domain in best for use in sorted(domains[domain], key=lambda use: -hits[use])[:1]]
    return f"{domain_mark}: {', '.join(best) or none}\n{use_mark}: {', '.join(uses) or none}"


def _stems(line: str) -> set[str]:
    words = re.findall(r"[^\W\d_]{5,}", line.lower())
    chinese = re.findall(r"[\u4e00-\u9fff]+", line)
    pairs = {run[at : at + 2] for run in chinese for at in range(len(run) - 1)}
    return {word[:6] for word in words if not word[0] > "\u4e00"} | pairs


def _listed(text: str) -> list[str]:
    """The names of a bullet or numbered list, without their explanations."""
    return [name.strip() for name in re.findall(r"(?m)^\s*(?:[-*•]|\d+[.)])\s*\**([^:\n*(]{3,60})", text)]


MARK_RULES = (score_education, label_domains)
