"""The small world of replicate_small.sh, and what is said of selections from it."""

import random

import pytest

from superfiltering import score_small, small_world


def test_damaged_answers_are_never_right_and_damage_is_as_told():
    rng = random.Random(5)
    rows = [small_world.make_row(rng, 0.5) for _ in range(400)]
    assert {row["damage"] for row in rows} == {"", "wrong", "other", "copied", "vague"}
    assert 0.4 < sum(bool(row["damage"]) for row in rows) / len(rows) < 0.6
    for row in rows:
        if row["damage"] == "copied":
            assert row["output"] == f"{row['instruction']} {row['input']}".strip()
        if row["task"] == "total" and row["damage"] in ("", "wrong"):
            first, second = row["instruction"].removesuffix("?").removeprefix("What is ").split(" plus ")
            right = f"{first} plus {second} is {int(first) + int(second)}."
            assert (row["output"] == right) == (not row["damage"])
        assert row["text"].endswith(row["output"])


def test_agreement_of_a_scorer_with_itself_with_length_and_with_chance():
    strong = [{"ifd_ppl": (at % 10) / 10, "ppl_A_direct": 1.0 + at, "output": "x" * (100 - at)} for at in range(100)]
    found = score_small.agreement(strong, strong, seed=1)
    rhos = [found[name]["rho"] for name in ("weak IFD with strong IFD", "weak PPL with strong PPL")]
    assert rhos == pytest.approx([1, 1])
    assert found["weak IFD with strong IFD"]["shared of best 10 %"] == 1
    assert found["length with strong IFD"]["shared of best 10 %"] < 0.5
    assert 0.05 < found["chance"]["shared of best 10 %"] < 0.15
