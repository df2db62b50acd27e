"""AlpacaEval 2: preferences from the judge's probabilities, in either order; the package's length-controlled rate."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.errors import BadInput
from common.llm.standin import standin_server
from common.rows import read_rows, write_rows
from eval import alpaca_eval, length_controlled
from tests.in_process import run_program
from tests.oracles import length_controlled as oracle

ROOT = Path(__file__).parents[2]
PACKAGE = Path(os.environ.get("ALPACA_PYTHON", ROOT / ".venv-alpaca" / "bin" / "python"))


def likeliest(**chances):
    top = [{"token": token, "logprob": math.log(chance)} for token, chance in chances.items()]
    return {"content": [{"token": "x", "logprob": 0.0, "top_logprobs": top}]}


@pytest.mark.parametrize(
    ("logprobs", "preference"),
    [
        (likeliest(m=0.2, M=0.6), 0.75),
        (likeliest(M=0.9, Both=0.1), 1.0),
        (likeliest(m=0.9), 0.0),
        (likeliest(Both=0.9, The=0.1), None),
        ({"content": []}, None),
        (None, None),
    ],
)
def test_the_preference_is_the_share_of_m_and_capital_m(logprobs, preference):
    found = alpaca_eval.preference_for_capital(logprobs)
    assert found == pytest.approx(preference) if preference is not None else found is None


def test_a_template_in_chatml_keeps_its_turns():
    template = (
        "<|im_start|>system\nBe fair.\n<|im_end|>\n<|im_start|>user\n{instruction}: {output_1} {output_2}\n<|im_end|>"
    )
    messages = alpaca_eval.judge_messages(template, "Do {it}", ["a", "b"])
    assert messages == [{"role": "system", "content": "Be fair."}, {"role": "user", "content": "Do {it}: a b"}]


@pytest.fixture
def files(tmp_path):
    instructions = [f"Name {n} rivers of Europe and say where each of them ends." for n in range(2, 22)]
    baseline = [{"instruction": text, "output": "The Rhine."} for text in instructions]
    long = "The Rhine, the Danube and the Loire are rivers of Europe; each of them ends in a sea."
    answers = [{"instruction": text, "response": long} for text in instructions]
    same = [row | {"response": row["output"]} for row in baseline]
    for name, rows in (("baseline", baseline), ("answers", answers), ("same", same)):
        write_rows(tmp_path / f"{name}.jsonl", rows)
    return tmp_path


def judged(folder, name, url):
    verdicts = folder / f"{name}.verdicts.jsonl"
    words = ["judge", "--data_path", folder / f"{name}.jsonl", "--baseline", folder / "baseline.jsonl"]
    run_program(alpaca_eval, *words, "--save_path", verdicts, "--base_url", url)
    said = run_program(alpaca_eval, "score", "--data_path", verdicts, "--save_path", folder / f"{name}.json")
    return list(read_rows(verdicts)), json.loads((folder / f"{name}.json").read_text(encoding="utf-8")), said


def test_the_better_output_wins_whichever_is_shown_as_m(files):
    with standin_server() as url:
        rows, result, said = judged(files, "answers", url)
        _, equal, _ = judged(files, "same", url)
    assert {row["m"] for row in rows} == {1, 2} and [row["index"] for row in rows] == list(range(20))
    assert all(1.5 < row["preference"] < 2 for row in rows)
    assert result["win_rate"] == pytest.approx(100 * np.mean([row["preference"] - 1 for row in rows]))
    assert result["settings"] == {"judge": "stand-in", "prompt": "ours"} and result["unparsed"] == 0
    assert "first 20 of 805 rows" in said and "length-controlled: not computed" in said
    assert 10 < equal["win_rate"] < 90  # the stand-in takes m of two equal ones: what is drawn decides


def test_verdicts_that_cannot_be_read_are_counted_and_all_of_them_is_an_error(tmp_path):
    row = {"index": 0, "preference": 2.0, "output_1": "a", "output_2": "b", "m": 1}
    result = alpaca_eval.score([row, row | {"preference": None}])
    assert (result["win_rate"], result["rows"], result["unparsed"]) == (100, 2, 1)
    assert alpaca_eval.score([row | {"preference": 1.5}])["win_rate"] == 50
    with pytest.raises(BadInput, match="no verdict"):
        alpaca_eval.score([row | {"preference": None}])
    write_rows(tmp_path / "other.jsonl", [{"question": "?"}])
    with pytest.raises(BadInput, match="row 0: no 'preference'"):
        length_controlled.read_verdicts(str(tmp_path / "other.jsonl"))


def test_without_the_package_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "alpaca_eval", None)
    with pytest.raises(length_controlled.CommonError, match=r"setup_alpaca\.sh"):
        length_controlled.length_controlled([], str(tmp_path / "df_gamed.csv"))


# ---------------------------------------------------------------- the package itself

QUESTIONS = 120


def made_up(length_bias: float, seed: int = 0) -> tuple[list[dict], list[dict]]:
    """Verdicts that grow with the length of the model's output, and gamed ones in the official columns."""
    draw = np.random.default_rng(seed)
    difficulty = draw.normal(size=QUESTIONS)
    verdicts, gamed = [], []
    for index in range(QUESTIONS):
        lengths = draw.integers(20, 400, size=2)
        chance = 1 / (
            1 + np.exp(-(0.1 + 0.3 * difficulty[index] + length_bias * np.tanh((lengths[1] - lengths[0]) / 150)))
        )
        texts = {f"output_{place + 1}": "x" * int(length) for place, length in enumerate(lengths)}
        verdicts.append({"index": index, "preference": 1 + float(chance)} | texts)
    for model in ("gamed", "concise"):
        for index in range(QUESTIONS):
            row = {"preference": float(draw.random()), "index": index, "std_delta_len": float(draw.normal())}
            row |= {"instruction_difficulty": float(difficulty[index]), "not_gamed_baseline": False, "model": model}
            gamed.append(row)
    return verdicts, gamed


@pytest.mark.peers
@pytest.mark.parametrize("length_bias", [0.0, 1.5])
def test_the_packages_length_controlled_rate_is_that_of_a_few_lines_of_our_own(tmp_path, length_bias):
    import pandas

    verdicts, gamed = made_up(length_bias)
    write_rows(tmp_path / "verdicts.jsonl", verdicts)
    pandas.DataFrame(gamed).to_csv(tmp_path / "df_gamed.csv", index=False)
    command = [PACKAGE, "eval/length_controlled.py", "--data_path", tmp_path / "verdicts.jsonl"]
    command += ["--gamed", tmp_path / "df_gamed.csv", "--save_path", tmp_path / "lc.json"]
    done = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "lc.json").read_text(encoding="utf-8"))
    assert result["length_controlled_winrate"] == pytest.approx(oracle.win_rate(verdicts, gamed), abs=1e-6)
    assert result["win_rate"] == pytest.approx(100 * np.mean([row["preference"] - 1 for row in verdicts]))


def test_a_planted_bias_for_length_is_taken_out():
    (fair, gamed), (biased, _) = made_up(0.0), made_up(1.5)
    assert oracle.win_rate(biased, gamed) == pytest.approx(oracle.win_rate(fair, gamed), abs=3)
