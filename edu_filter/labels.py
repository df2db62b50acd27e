"""Domains and use cases from a labeller's reply.

taxonomy = load_taxonomy()
parse_labels("**Dominio:** salud y educación.\\n- Casos de uso: e-commerce, Robótica", taxonomy)
    # {"domains": ["health", "education"], "use_cases": ["e_commerce"], "other_use_cases": ["robótica"]}
released_labels("DOMINIO: Salud\\nCASOS DE USO: E-commerce")       # ("Salud", "E"): as the released code reads it
"""

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path

from common.errors import BadInput, Reject
from edu_filter.ratings import folded, json_object

KINDS = ("domains", "use_cases")
MARKS = {
    "es": ("DOMINIO", "CASOS DE USO"),
    "pt": ("DOMÍNIO", "CASOS DE USO"),
    "en": ("DOMAIN", "USE CASES"),
    "zh": ("领域", "用例"),
}

# ---------------------------------------------------------------- as released

_NAMES = re.compile(r"\w+(?:(?:,\s*|\s)\w+)*")
_DOMAIN = re.compile(r"DOMINIO[:\s]*(?=\w)")
_USE_CASES = re.compile(r"CASOS DE USO[:\s]*(\w+(?:(?:,\s*|\s)\w+)*)")


def released_labels(reply: str) -> tuple[str, str] | tuple[None, None]:
    """Both lists as written, or neither. The domains are the longest list that a line's end follows at once."""
    domains, use_cases = _released_domains(reply), _USE_CASES.search(reply)
    return (domains, use_cases[1]) if domains and use_cases else (None, None)


def _released_domains(reply: str) -> str | None:
    start = 0
    while mark := _DOMAIN.search(reply, start):
        names = _NAMES.match(reply, mark.end())
        if reply[names.end() : names.end() + 1] == "\n":
            return names[0]
        ends = [end.start() + 1 for end in re.finditer(r"\w\n", names[0])]
        if ends:
            return names[0][: ends[-1]]
        # No mark within these names has an end either, so one walk is enough; the last name may itself be a mark.
        start = max(mark.start() + 1, names.end() - len("DOMINIO"))
    return None


# ---------------------------------------------------------------- ours


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """Ids by folded name, and names by id and language."""

    ids: dict[str, dict[str, str]]  # kind -> folded name -> id
    names: dict[str, dict[str, dict[str, str]]]  # kind -> id -> language -> name
    domain_of: dict[str, str]  # use case -> domain
    about: dict[str, dict[str, str]]  # domain -> language -> a few words

    def name(self, kind: str, identity: str, lang: str) -> str:
        names = self.names[kind].get(identity, {})
        return names.get(lang) or next(iter(names.values()), identity)


@functools.cache
def load_taxonomy(path: str = str(Path(__file__).with_name("domains.json"))) -> Taxonomy:
    """Of a file like domains.json: another one may hold any domains, use cases and languages."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        entries = {"domains": data["domains"], "use_cases": [u for d in data["domains"] for u in d["use_cases"]]}
        names = {kind: {e["id"]: e["names"] for e in entries[kind]} | {"none": data["none"]} for kind in KINDS}
        domain_of = {use["id"]: domain["id"] for domain in data["domains"] for use in domain["use_cases"]}
        ids = {
            kind: {_key(name): one for one, by_lang in names[kind].items() for name in (one, *by_lang.values())}
            for kind in KINDS
        }
        listed_ids = [(kind, entry["id"]) for kind in KINDS for entry in entries[kind]]
        if twice := [identity for kind, identity in listed_ids if listed_ids.count((kind, identity)) > 1]:
            raise ValueError(f"{twice[0]} is there twice")
        if not entries["domains"]:
            raise ValueError("it has no domains")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: not a taxonomy like edu_filter/domains.json: {error!r}") from None
    return Taxonomy(ids, names, domain_of, {domain["id"]: domain.get("about", {}) for domain in data["domains"]})


def listed(taxonomy: Taxonomy, lang: str) -> str:
    """The taxonomy as a prompt shows it."""
    lines = []
    for domain in taxonomy.about:
        about = taxonomy.about[domain].get(lang)
        lines.append(f"- {taxonomy.name('domains', domain, lang)}" + (f": {about}" if about else ""))
        uses = [use for use, its_domain in taxonomy.domain_of.items() if its_domain == domain]
        lines += [f"  * {taxonomy.name('use_cases', use, lang)}" for use in uses]
    return "\n".join(lines)


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "", folded(name))


_MARKS = {
    "domains": r"(?:dominio?s?|domains?|领域)",
    "use_cases": r"(?:casos? de uso|use[ -]cases?|用例|使用场景)",
}
_AROUND = r"[\s*_\"'`#>«»“”\[\]-]*"
_HEAD = re.compile(rf"(?P<domains>{_MARKS['domains']})|(?P<use_cases>{_MARKS['use_cases']})")
_HEAD_INSIDE = re.compile(rf"(?<=\S)[ \t*_\"']+(?={_MARKS['use_cases']}{_AROUND}[:=])")
_BULLET = re.compile(r"\s*(?:[-*•·–]|\d{1,2}[.)])\s+")
_HARD = re.compile(r"[,;、，；|•\t]|\s/\s|\.\s")
_SOFT = re.compile(r"\s+(?:y|e|and)\s+|和|与")


def json_schema(taxonomy: Taxonomy, lang: str) -> dict:
    """For a server that can be held to names of the list."""
    of_kind = {
        kind: {"type": "array", "items": {"enum": [taxonomy.name(kind, one, lang) for one in taxonomy.names[kind]]}}
        for kind in KINDS
    }
    schema = {"type": "object", "properties": of_kind, "required": list(KINDS), "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": "labels", "strict": True, "schema": schema}}


def parse_labels(reply: str, taxonomy: Taxonomy) -> dict[str, list[str]]:
    """Ids of the known names in order, each once; unknown names under "other_…". Reject when neither list is there."""
    found = _from_json(reply) or _from_lines(reply)
    if not any("".join(lines).strip() for lines in found.values()):
        raise Reject("no domains and no use cases in the reply")
    labels: dict[str, list[str]] = {}
    for kind in KINDS:
        known, other = _known(kind, found.get(kind, []), taxonomy)
        labels[kind] = known
        if other:
            labels[f"other_{kind}"] = other
    return labels


def _from_json(reply: str) -> dict[str, list[str]] | None:
    given = json_object(reply)
    if given is None or not set(KINDS) & given.keys():
        return None
    values = {kind: given[kind] if isinstance(given.get(kind), list) else [given.get(kind)] for kind in KINDS}
    return {kind: [folded(name) for name in names if isinstance(name, str)] for kind, names in values.items()}


def _from_lines(reply: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    kind = None
    for line in _HEAD_INSIDE.sub("\n", folded(reply)).splitlines():
        stripped = re.sub(rf"^{_AROUND}", "", line)
        if head := _HEAD.match(stripped):
            rest = re.match(rf"{_AROUND}[:=]?(.*)", stripped[head.end() :])[1]
            if stripped[head.end() : head.end() + 1].isalpha():
                continue  # a longer word
            kind = head.lastgroup
            if rest.strip(' *_"'):
                found[kind] = [rest]
            else:
                found.setdefault(kind, [])
        elif kind and (_BULLET.match(line) or (line.strip() and not found[kind])):
            found[kind].append(_BULLET.sub("", line, count=1))
        elif line.strip():
            kind = None  # prose behind the lists
    return found


def _known(kind: str, lines: list[str], taxonomy: Taxonomy) -> tuple[list[str], list[str]]:
    known: dict[str, None] = {}
    other: dict[str, None] = {}
    whole = taxonomy.ids[kind]  # a name may hold a comma itself
    for piece in (piece for line in lines for piece in ([line] if _key(line) in whole else _HARD.split(line))):
        name = piece.strip(" .*_\"'`«»“”[]()<>-:")
        if not name:
            continue
        ids = _ids(name, taxonomy.ids[kind]) or _ids(re.sub(r"\(.*", "", name), taxonomy.ids[kind])
        known.update(dict.fromkeys(ids))
        if not ids:
            other[name] = None
    return list(known), list(other)


def _ids(name: str, ids: dict[str, str]) -> list[str]:
    """Of one name, or of several joined by "and", which stands inside some names too; empty if any is unknown."""
    if (key := _key(name)) in ids:
        return [ids[key]]
    for joint in _SOFT.finditer(name):
        if (first := ids.get(_key(name[: joint.start()]))) and (others := _ids(name[joint.end() :], ids)):
            return [first, *others]
    return []


def outside_their_domains(labels: dict[str, list[str]], taxonomy: Taxonomy) -> list[str]:
    """Use cases whose domain the reply does not name."""
    return [use for use in labels["use_cases"] if taxonomy.domain_of.get(use, use) not in [*labels["domains"], "none"]]


def released_entry(labels: dict[str, list[str]], taxonomy: Taxonomy, lang: str = "es") -> dict[str, str | None]:
    """Labels as the released label files hold them: names joined by commas."""
    entry = {}
    for kind in KINDS:
        names = [taxonomy.name(kind, identity, lang) for identity in labels[kind]] + labels.get(f"other_{kind}", [])
        entry[kind] = ", ".join(names) or None
    return entry
