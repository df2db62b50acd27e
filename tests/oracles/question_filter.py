"""The filter written down: every kept question is compared with the full table of the longest common subsequence."""


def longest_common(one: list[str], other: list[str]) -> int:
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, word in enumerate(one):
        for j, same in enumerate(other):
            table[i + 1][j + 1] = table[i][j] + 1 if word == same else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def f1(hypothesis: list[str], reference: list[str]) -> float:
    common = longest_common(hypothesis, reference)
    precision, recall = common / len(hypothesis), common / len(reference)
    return 2 * (precision * recall / (precision + recall + 1e-8))


def kept_places(questions: list[list[str]], quota: int, threshold: float = 0.7) -> list[int]:
    """Of questions that all have words; a quota of 0 keeps one, as released."""
    kept: list[int] = []
    for place, question in enumerate(questions):
        if all(f1(question, questions[other]) <= threshold for other in kept):
            kept.append(place)
            if len(kept) >= quota:
                break
    return kept
