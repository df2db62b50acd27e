"""The released label patterns, as they are described, in one expression each: quadratic on hostile replies."""

import re

LIST = r"\w+(?:(?:,\s*|\s)\w+)*"


def labels(reply: str) -> tuple[str | None, str | None]:
    domains = re.search(rf"DOMINIO[:\s]*({LIST})\n", reply)
    use_cases = re.search(rf"CASOS DE USO[:\s]*({LIST})", reply)
    return (domains[1], use_cases[1]) if domains and use_cases else (None, None)
