"""Make a small web: pages on invented towns, each with a few facts among menus and notices, and questions about them.

    python webr/small_world.py --save_path small --pages 300 --seed 1

out  pages.jsonl    {"webpage": "Home | Towns\\n\\nVelmora at a glance\\n\\nriver: Alda ..."}
     titles.jsonl   {"instruction": "Velmora at a glance", "output": "<the page>"}, the simplest pairs
     facts.jsonl    {"town": "Velmora", "label": "river", "value": "Alda", "instruction": "Which ...", "output": "..."}
     unseen.jsonl   the same questions behind pages on towns that are on no page of pages.jsonl
Written for this repository; nothing is taken from a data set.
"""

import argparse
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.program import make_parser, positive, run_main
from common.rows import write_rows

VALUES = {
    "river": "Alda Brenn Corvo Dane Elster Fulda Garra Hevel".split(),
    "dish": "soup pie stew bread cheese noodles dumplings pancakes".split(),
    "craft": "glass paper leather pottery silk candles clocks violins".split(),
    "feast": "January February March April June August October December".split(),
    "founder": "sailors monks miners weavers shepherds soldiers merchants fishermen".split(),
}
QUESTIONS = {
    "river": "Which river runs through {town}?",
    "dish": "What do people like to eat in {town}?",
    "craft": "What do the workshops of {town} make?",
    "feast": "In which month is the feast of {town}?",
    "founder": "Who founded {town}?",
}
SENTENCES = {
    "river": "The river that runs through {town} is the {value}.",
    "dish": "People in {town} like to eat {value}.",
    "craft": "The workshops of {town} make {value}.",
    "feast": "The feast of {town} is held in {value}.",
    "founder": "The town of {town} was founded by {value}.",
}
BEGINNINGS, ENDS = "Vel Tal Mor Kes Ran Bel Dor Fen".split(), "mora dero lune sted wick hama nice vara toll".split()
SHOWN = ["{label}: {value}", "{value} ({label})", "{label} - {value}", "* {label} = {value}"]
MENUS = ["Home | Towns | Contact", "You are here: start > towns", "Log in | Search | Help"]
NOTICES = [
    "We use cookies. Accept all",
    "Share this page with a friend",
    "Last change: spring",
    "Sign up for our letter",
]
FACTS_A_PAGE = 3
SEEN, UNSEEN = 16, 30  # towns

Town = tuple[str, dict[str, str]]


def make_towns(rng: random.Random) -> list[Town]:
    names = rng.sample([first + last for first in BEGINNINGS for last in ENDS], SEEN + UNSEEN)
    return [(name, {label: rng.choice(values) for label, values in VALUES.items()}) for name in names]


def title_of(town: str) -> str:
    return f"{town} at a glance"


def make_page(town: Town, rng: random.Random) -> str:
    """The first section holds the title and a fact, so that a part of the page is about something too."""
    name, facts = town
    labels = rng.sample(sorted(facts), FACTS_A_PAGE)
    shown = [rng.choice(SHOWN).format(label=label, value=facts[label]) for label in labels]
    sections = [f"{rng.choice(MENUS)}\n{title_of(name)}\n{shown[0]}", *shown[1:], rng.choice(NOTICES)]
    return "\n\n".join(sections)


def facts_of(text: str) -> dict[str, str]:
    """What a page says: each value stands for one label."""
    words = set(text.replace("\n", " ").replace("(", " ").replace(")", " ").split())
    return {label: value for label, values in VALUES.items() for value in values if value in words}


def question(town: Town, label: str) -> dict[str, str]:
    name, facts = town
    answer = SENTENCES[label].format(town=name, value=facts[label])
    asked = QUESTIONS[label].format(town=name)
    return {"town": name, "label": label, "value": facts[label], "instruction": asked, "output": answer}


def behind_a_page(town: Town, rng: random.Random) -> dict[str, str]:
    page = make_page(town, rng)
    asked = question(town, rng.choice(sorted(facts_of(page))))
    return asked | {"instruction": f"{page}\n\n{asked['instruction']}"}


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--save_path", required=True, help="folder for the four files")
    parser.add_argument("--pages", type=positive, default=300, help="pages on the towns that are asked about")
    parser.add_argument("--seed", type=int, default=0, help="of the random draws")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    rng, folder = random.Random(args.seed), Path(args.save_path)
    folder.mkdir(parents=True, exist_ok=True)
    towns = make_towns(rng)
    seen, unseen = towns[:SEEN], towns[SEEN : SEEN + UNSEEN]
    about = [seen[number % SEEN] for number in range(args.pages)]
    rng.shuffle(about)
    pages = [make_page(town, rng) for town in about]
    titles = [{"instruction": title_of(name), "output": page} for (name, _), page in zip(about, pages, strict=True)]
    stated = {(name, label) for (name, _), page in zip(about, pages, strict=True) for label in facts_of(page)}
    write_rows(folder / "pages.jsonl", [{"webpage": page} for page in pages])
    write_rows(folder / "titles.jsonl", titles)
    facts = [question(town, label) for town in seen for label in VALUES if (town[0], label) in stated]
    write_rows(folder / "facts.jsonl", facts)
    write_rows(folder / "unseen.jsonl", [behind_a_page(town, rng) for town in unseen for _ in range(4)])
    print(f"{folder}: {len(pages):,} pages, {len(facts):,} facts on {SEEN} towns")


if __name__ == "__main__":
    run_main(main)
