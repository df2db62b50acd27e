"""What the released WebR code decides, the obvious way: one paragraph, one character at a time."""


def stored_answer(text: str) -> str:
    """What its local flavour keeps of a request or a response."""
    if text[:7] == "Here is" or text[:6] == "Here's":
        paragraphs = text.split("\n\n")
        text = "\n\n".join(paragraphs[1:])
    while text and text[0] == '"':
        text = text[1:]
    while text and text[-1] == '"':
        text = text[:-1]
    return text


def improved_answer(text: str) -> str:
    for start in range(len(text)):
        if text[start:].lower().startswith("improved answer"):
            break
    else:
        return text
    rest = "\n\n".join(text.split("\n\n")[1:])
    for mark in ("-", "\n", None):
        rest = rest.strip(mark)
    return rest


def prefixes(page: str) -> list[str]:
    """All sections that a page can be cut to, the whole last; one if it has no empty line."""
    pieces = page.split("\n\n")
    if len(pieces) == 1:
        return [page]
    for number, piece in enumerate(pieces):
        while piece.startswith("#"):
            piece = piece[1:]
        pieces[number] = piece.strip()
    return ["\n\n".join(pieces[:count]) for count in range(1, len(pieces) + 1)]
