"""The released expression, written down: cubic on blanks."""

import re

_RELEASED = re.compile(r"([^\n]*)\s*Context 1: ([^\n]*)\s*Context 2: ([^\n]*)")


def parse_released(text: str) -> tuple[str, str, str] | None:
    found = _RELEASED.search(text)
    return found and found.groups()
