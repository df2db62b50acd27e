"""The rebuilder of replicate_small.sh: rules that do what a good model would with the pages of small_world.py. A first
answer given without the page is a guess, as a model's that does not know; refining it puts it right.

python -m common.llm.standin --rules webr/small_rebuilder.py
"""

import random
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.llm.standin.prompts import Prompt
from webr.small_world import QUESTIONS, SENTENCES, VALUES, facts_of

JOBS = "teacher nurse baker driver gardener librarian student farmer journalist engineer".split()
READERS = ["school children", "tired travellers", "my neighbours", "busy readers", "new citizens", "old friends"]
TITLE = re.compile(r"^(\w+) at a glance$", re.M)
JOB = re.compile(rf"\b({'|'.join(JOBS)})\b")
ASKED = {label: re.compile(re.escape(question).replace(r"\{town\}", r"(\w+)")) for label, question in QUESTIONS.items()}


def sentence(label: str, town: str, value: str) -> str:
    return SENTENCES[label].format(town=town, value=value)


def asked_about(text: str) -> tuple[str, str] | None:
    """(label, town) of a question that stands in the text."""
    found = ((label, pattern.search(text)) for label, pattern in ASKED.items())
    return next(((label, match[1]) for label, match in found if match), None)


def author(prompt: Prompt, rng: random.Random) -> str | None:
    if "Who wrote the web page" not in prompt.user:
        return None
    return f"A {rng.choice(JOBS)} who knows {TITLE.search(prompt.user)[1]} and writes for {rng.choice(READERS)}."


def request(prompt: Prompt, rng: random.Random) -> str | None:
    if "[End of author]" not in prompt.user:
        return None
    page, _, persona = prompt.user.partition("[Author]")
    town, facts, job = TITLE.search(page)[1], facts_of(page), JOB.search(persona)[1]
    label = rng.choice(sorted(facts))
    if "[End of text]" in page:  # web as response
        return f"I am a {job} and wonder about {town}. {QUESTIONS[label].format(town=town)}"
    labels = rng.sample(sorted(facts), min(2, len(facts)))
    wanted = " and then on the ".join(labels)
    return f"Write plain sentences for {rng.choice(READERS)}, from a {job}, on the {wanted} of {town}."


def refined(prompt: Prompt, rng: random.Random) -> str | None:
    if "[First answer]" not in prompt.user:
        return None
    page, _, rest = prompt.user.partition("[End of text]")
    label, town = asked_about(rest)
    return sentence(label, town, facts_of(page)[label])


def response(prompt: Prompt, rng: random.Random) -> str | None:
    page, _, wish = prompt.user.rpartition("\n\n\n")
    if wish.startswith("Write plain sentences"):
        facts, town = facts_of(page), TITLE.search(page)[1]
        labels = re.search(r"on the (.+) of \w+\.$", wish)[1].split(" and then on the ")
        return " ".join(sentence(label, town, facts[label]) for label in labels)
    if found := asked_about(prompt.user):
        label, town = found
        return sentence(label, town, rng.choice(VALUES[label]))
    return None


MARK_RULES = (author, refined, request, response)
