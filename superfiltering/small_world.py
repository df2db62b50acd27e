"""Make a small world of instructions whose right answers are known, and damage part of them in four known ways.

    python superfiltering/small_world.py --save_path small --pool_rows 600 --other_rows 3000 --seed 1

out  all.jsonl    {"instruction": "...", "input": "...", "output": "...", "task": "total", "damage": "", "text": "..."}
     other.jsonl  more rows of that kind, for a weak scorer to learn from
     test.jsonl   rows of other draws, none damaged
Written for this repository; nothing is taken from a data set. Damage: "wrong" (the answer to another question of the
same task), "other" (to another task), "copied" (the question again), "vague" (an answer that fits anything).
"""

import argparse
import random
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.program import make_parser, positive, run_main
from common.rows import write_rows

NAMES = "Anna Ben Clara David Emma Frank Grace Henry Ines Jack Kate Leo Maria Nora Oscar Paul".split()
THINGS = "umbrella camera violin ladder suitcase lamp blanket basket hammer bicycle kettle mirror".split()
PLACES = "library garden station kitchen museum harbour forest bakery school market".split()
ANIMALS = "dog horse rabbit parrot goat squirrel donkey hedgehog".split()
EVENTS = "meeting concert lesson dinner excursion interview rehearsal picnic".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
KINDS = {
    "fruits": "apple pear plum cherry banana peach".split(),
    "tools": "hammer saw drill wrench chisel pliers".split(),
    "animals": ANIMALS,
    "clothes": "coat shirt scarf glove sock skirt".split(),
}
OPPOSITES = "hot cold,big small,early late,open closed,wet dry,light heavy,full empty,fast slow,young old,loud quiet"
STEPS = {
    "make tea": ["Boil fresh water.", "Pour it over the leaves.", "Let it stand for four minutes, then strain it."],
    "plant beans": ["Loosen the soil.", "Put each bean two fingers deep.", "Water the row every evening."],
    "wash a bicycle": ["Rinse off the mud.", "Wipe the frame with soapy water.", "Dry the chain and oil it."],
    "wrap a present": ["Cut the paper to size.", "Fold it over the box and tape it.", "Tie a ribbon around it."],
    "clean a window": ["Brush off the dust.", "Wash the glass from top to bottom.", "Wipe it dry with a soft cloth."],
    "light a stove": ["Open the air valve.", "Lay thin wood on paper.", "Light the paper and close the door."],
}
VAGUE = [
    "I am not sure about that.",
    "That is a very good question.",
    "It depends.",
    "There are many ways to see this.",
]
SHARE_DAMAGED = 0.2
TEST_ROWS = 120

Asked = tuple[str, str, str]  # instruction, input, right answer


def opposite(rng: random.Random) -> Asked:
    pair = rng.choice(OPPOSITES.split(",")).split()
    rng.shuffle(pair)
    return f"What is the opposite of {pair[0]}?", "", f"The opposite of {pair[0]} is {pair[1]}."


def total(rng: random.Random) -> Asked:
    first, second = rng.randint(2, 60), rng.randint(2, 40)
    return f"What is {first} plus {second}?", "", f"{first} plus {second} is {first + second}."


def largest(rng: random.Random) -> Asked:
    numbers = rng.sample(range(2, 99), 4)
    return "Which number is the largest?", ", ".join(map(str, numbers)), f"The largest number is {max(numbers)}."


def stranger(rng: random.Random) -> Asked:
    kind, odd_kind = rng.sample(sorted(KINDS), 2)
    odd = rng.choice(KINDS[odd_kind])
    words = [*rng.sample(KINDS[kind], 3), odd]
    rng.shuffle(words)
    answer = f"{odd.capitalize()} does not belong there, because the others are {kind}."
    return "Which word does not belong with the others?", ", ".join(words), answer


def capitals(rng: random.Random) -> Asked:
    text = f"the {rng.choice(ANIMALS)} in the {rng.choice(PLACES)}"
    return "Write this in capital letters.", text, text.upper()


def ordered(rng: random.Random) -> Asked:
    words = rng.sample(THINGS, 4)
    return "Sort these words by the alphabet.", ", ".join(words), ", ".join(sorted(words))


def who(rng: random.Random) -> Asked:
    (one, other), (thing, more) = rng.sample(NAMES, 2), rng.sample(THINGS, 2)
    text = f"{one} bought a {thing} and {other} bought a {more}."
    return f"Who bought the {more}?", text, f"{other} bought the {more}."


def short(rng: random.Random) -> Asked:
    (one, other), thing, place = rng.sample(NAMES, 2), rng.choice(THINGS), rng.choice(PLACES)
    text = f"On {rng.choice(DAYS)} {one} forgot a {thing} in the {place}. Nobody noticed it for hours. In the evening "
    text += f"{other} came by, saw the {thing} and took it home to give it back."
    answer = f"{one} forgot a {thing} in the {place}, and {other} found it."
    return "Say in one sentence what happened.", text, answer


def note(rng: random.Random) -> Asked:
    name, event, day = rng.choice(NAMES), rng.choice(EVENTS), rng.choice(DAYS)
    answer = f"Dear {name},\n\nthe {event} is moved to {day}. I hope that this suits you.\n\nKind regards"
    return f"Write a short note to {name}: the {event} is moved to {day}.", "", answer


def guide(rng: random.Random) -> Asked:
    work = rng.choice(sorted(STEPS))
    return (
        f"Explain to {rng.choice(NAMES)} how to {work}.",
        "",
        "\n".join(f"{number}. {step}" for number, step in enumerate(STEPS[work], 1)),
    )


TASKS: dict[str, Callable[[random.Random], Asked]] = {
    task.__name__: task for task in (opposite, total, largest, stranger, capitals, ordered, who, short, note, guide)
}


def damaged(asked: Asked, task: str, damage: str, rng: random.Random) -> str:
    """An answer that should not be learned; never the right one."""
    instruction, more, right = asked
    if damage == "copied":
        return f"{instruction} {more}".strip()
    if damage == "vague":
        return rng.choice(VAGUE)
    others = [task] if damage == "wrong" else [name for name in TASKS if name != task]
    while (answer := TASKS[rng.choice(others)](rng)[2]) == right:
        pass
    return answer


def make_row(rng: random.Random, share_damaged: float) -> dict:
    task = rng.choice(sorted(TASKS))
    instruction, more, right = asked = TASKS[task](rng)
    damage = rng.choice(["wrong", "other", "copied", "vague"]) if rng.random() < share_damaged else ""
    output = damaged(asked, task, damage, rng) if damage else right
    row = {"instruction": instruction, "input": more, "output": output, "task": task, "damage": damage}
    return row | {"text": "\n".join(filter(None, (instruction, more, output)))}


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--save_path", required=True, help="folder for the three files")
    parser.add_argument("--pool_rows", type=positive, default=600, help="rows of all.jsonl")
    parser.add_argument("--other_rows", type=positive, default=3000, help="rows of other.jsonl")
    parser.add_argument("--seed", type=int, default=0, help="of the random draws")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    rng, folder = random.Random(args.seed), Path(args.save_path)
    folder.mkdir(parents=True, exist_ok=True)
    for name, count, share in (
        ("all", args.pool_rows, SHARE_DAMAGED),
        ("other", args.other_rows, SHARE_DAMAGED),
        ("test", TEST_ROWS, 0.0),
    ):
        write_rows(folder / f"{name}.jsonl", [make_row(rng, share) for _ in range(count)])
    print(f"{folder}: {args.pool_rows:,} rows, {args.other_rows:,} more, {TEST_ROWS:,} to test on")


if __name__ == "__main__":
    run_main(main)
