"""Where the stand-in finds its rules: beside common/, whatever the methods are called, and in files that are named."""

import json
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import BadInput
from common.llm.standin import prompts, rules
from common.llm.standin.rules import answer, load_rules
from tests.common.standin_texts import SEEDS, TEXTS, rule

ROOT = Path(__file__).parents[2]
TOY = """
def shout(prompt, rng):
    return prompt.user.upper() if "TOY MARK" in prompt.user else None

def whisper(prompt, rng):
    return "…" if "please whisper" in prompt.asked else None

MARK_RULES = (shout,)
WISH_RULES = (whisper,)
"""
YES_NO = "Context: The moon is far. TOY MARK\nQuestion: Is it?\nAnswer: yes it is\n\nReply yes or no; please whisper."


@pytest.fixture
def house(tmp_path):
    """common/ and a toy method, nothing else."""
    shutil.copytree(ROOT / "common", tmp_path / "common", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "standin.py").write_text(TOY)
    return tmp_path


def said(house, *flags, text="a TOY MARK b"):
    """What a server started in that house answers."""
    command = [sys.executable, "common/llm/standin/__main__.py", *flags]
    with subprocess.Popen(command, cwd=house, stdout=subprocess.PIPE, text=True, env={"PATH": ""}) as server:
        try:
            url = server.stdout.readline().split()[-1]
            body = {"model": "stand-in", "messages": [{"role": "user", "content": text}], "temperature": 0}
            request = urllib.request.Request(f"{url}/chat/completions", json.dumps(body).encode())
            with urllib.request.urlopen(request) as response:
                return json.load(response)["choices"][0]["message"]["content"]
        finally:
            server.terminate()


def test_a_method_that_nobody_heard_of_is_found(house):
    assert said(house) == "A TOY MARK B"


def test_rules_that_are_named_come_first(house, tmp_path):
    (tmp_path / "mine.py").write_text(
        "MARK_RULES = (lambda prompt, rng: 'mine' if 'TOY MARK' in prompt.user else None,)"
    )
    assert said(house, "--rules", "mine.py") == "mine"
    assert said(house, "--rules", "mine.py", text="please whisper") == "…"


def test_marks_come_before_wishes_and_folders_in_the_order_of_their_names(house, monkeypatch):
    for name, text in (("aaa", "first"), ("zzz", "last")):
        (house / name).mkdir()
        (house / name / "standin.py").write_text(f"WISH_RULES = (lambda prompt, rng: {text!r},)")
    monkeypatch.setattr(rules, "FOLDERS", house)
    found = load_rules()
    assert answer(found, YES_NO) == YES_NO.upper()
    assert answer(found, YES_NO.replace("TOY", "")) == "first"


def test_a_text_and_a_question_are_answered_without_any_rule():
    assert answer([], "Context: The moon is far. Ships sail.\nQuestion: How far is the moon?\nAnswer:") == (
        "The moon is far. Ships sail."
    )


@pytest.mark.parametrize("content", ["def broken(", None])
def test_a_file_that_holds_no_rules_is_named(tmp_path, content):
    if content:
        (tmp_path / "rules.py").write_text(content)
    with pytest.raises(BadInput, match="rules.py: not a file of rules"):
        load_rules([tmp_path / "rules.py"])
    command = [sys.executable, "-m", "common.llm.standin", "--rules", str(tmp_path / "rules.py")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 2 and "not a file of rules" in ended.stderr and "Traceback" not in ended.stderr


def test_each_method_answers_prompts_of_its_own_only():
    """No rule takes another method's prompts: what each says with all rules is what it says with its own."""
    texts = [json.loads(line)["webpage"] for line in open(ROOT / "webr" / "sample" / "pages.jsonl", encoding="utf-8")]
    folders = [path.parent.name for path in sorted(ROOT.glob("*/standin.py"))]
    every = load_rules()
    for folder in folders:
        own = [rule for rule in every if rule.__module__ == f"standin_rules_of_{folder}"]
        for path in sorted((ROOT / "common" / "prompts" / folder).glob("*.txt")):
            prompt = path.read_text(encoding="utf-8").replace("{page}", texts[0]).replace("{limit}", "50")
            with_all, with_own = answer(every, prompt), answer(own, prompt)
            assert with_all == with_own, f"{path}: {with_all[:80]!r}, by its own rules {with_own[:80]!r}"


@pytest.mark.parametrize("language", TEXTS)
def test_language_is_kept(language):
    assert prompts.language_of(TEXTS[language]) == language
    assert prompts.language_of(rule(TEXTS[language])) == language


@settings(max_examples=200)
@given(st.text(max_size=500), st.text(max_size=100), SEEDS)
def test_any_prompt_gets_an_answer_and_always_the_same(user, system, seed):
    answer = rule(user, system, seed)
    assert answer.strip() and answer == rule(user, system, seed)
