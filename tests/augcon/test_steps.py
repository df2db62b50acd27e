"""The steps as a user runs them: what comes out, what is set aside, what faults, kills and concurrency change."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from itertools import groupby, islice
from pathlib import Path

import datasets
import pytest

from augcon import compare_modes
from augcon import step1_generate_questions as step1
from augcon import step3_rank_and_filter as step3
from augcon import step4_answer as step4
from augcon import step7_infer as step7
from augcon.question_filter import rouge_l, words
from common import manifest
from common.errors import BadInput
from common.llm.standin import standin_server
from common.rows import read_rows, write_rows
from tests.augcon.conftest import ARTICLES, EXAMPLES, SAMPLE
from tests.common.scripted_server import completion, ok, scripted_server

ROOT = Path(__file__).parents[2]
OUTPUTS = ("questions.roots", "questions", "questions.pairs", "filtered", "filtered.dropped", "filtered.short", "sft")


def rows_of(folder: Path, name: str) -> list[dict]:
    return list(read_rows(folder / f"{name}.jsonl", allow_nan=True))


def bytes_of(folder: Path) -> dict[str, bytes]:
    files = [folder / f"{name}.jsonl" for name in OUTPUTS]
    files += [folder / "queries.json", folder / "filtered_queries.json"]
    return {path.name: path.read_bytes() for path in files if path.exists()}


def f1(one: str, other: str) -> float:
    return rouge_l(words(one), words(other))["f"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, url):
    """One whole run on the sample by the launchers, up to the training data."""
    folder = tmp_path_factory.mktemp("augcon")
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "VIRTUAL_ENV": sys.prefix}
    environment |= {"OPENAI_BASE_URL": url, "MODEL": "stand-in", "DATA": str(ARTICLES), "OUT": str(folder)}
    environment |= {"RANK_BY": "random", "NUM_GPUS": "0", "TRAIN": "0", "TMPDIR": str(folder)}
    script = ["bash", ROOT / "augcon" / "augcon.sh"]
    done = subprocess.run(script, env=environment, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def two_articles(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "articles.jsonl"
    write_rows(path, islice((row for place, row in enumerate(read_rows(ARTICLES)) if place in (0, 2)), 2))
    return path


# ---------------------------------------------------------------- what comes out


def test_each_root_has_a_question_for_35_characters_of_its_own_text(finished):
    roots = rows_of(finished, "questions")
    articles = [row["article"] for row in read_rows(ARTICLES)]
    assert [row["root"] for row in roots] == list(range(len(roots)))
    assert "".join("".join(row["text"].split()) for row in roots) == "".join("".join(one.split()) for one in articles)
    assert all(row["quota"] == len(row["text"]) // 35 <= len(row["questions"]) for row in roots)
    assert Counter(row["lang"] for row in roots) == {"zh": 2, "en": 6, "es": 6, "pt": 6}
    for row in roots:
        for node in row["questions"]:
            assert set(" ".join(node["context"].split()).split()) <= set(row["text"].split()) or row["lang"] == "zh"


def test_kept_questions_are_ranked_unlike_one_another_and_as_many_as_the_quota(finished):
    kept = rows_of(finished, "filtered")
    roots = {row["root"]: row for row in rows_of(finished, "questions")}
    assert [row["root"] for row in kept] == sorted(row["root"] for row in kept)
    for root, rows in groupby(kept, key=lambda row: row["root"]):
        rows = list(rows)
        assert len(rows) == roots[root]["quota"] and [row["rank"] for row in rows] == list(range(len(rows)))
        assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
        questions = [row["question"] for row in rows]
        assert all(f1(one, other) <= 0.7 for place, one in enumerate(questions) for other in questions[:place])
    counts = manifest.read(finished / "filtered.jsonl")["counts"]
    assert counts["questions wanted"] == counts["kept"] + counts["missing"] == len(kept)
    assert sum(len(row["questions"]) for row in roots.values()) == len(kept) + len(
        rows_of(finished, "filtered.dropped")
    )


def test_training_data_is_question_and_answer_in_the_order_of_the_questions(finished):
    answered, kept = rows_of(finished, "sft"), rows_of(finished, "filtered")
    assert all(list(row) == ["question", "answer"] and row["answer"] for row in answered)
    assert [row["question"] for row in answered] == [row["question"] for row in kept]
    assert datasets.load_dataset("json", data_files=str(finished / "sft.jsonl"), split="train").num_rows == len(
        answered
    )
    info = json.loads((finished / "dataset_info.json").read_text())["sft"]
    assert info == {"file_name": "sft.jsonl", "columns": {"prompt": "question", "response": "answer"}}
    assert set(manifest.read(finished / "sft.jsonl")["examples"]) == {"zh", "en", "es", "pt"}


def test_pairs_are_about_the_same_context_and_unlike(finished):
    pairs = rows_of(finished, "questions.pairs")
    asked = {(node["context"], node["question"]) for row in rows_of(finished, "questions") for node in row["questions"]}
    assert len(pairs) > 100 and all((row["context"], row["pos_query"]) in asked for row in pairs)
    assert all(f1(row["neg_query"], row["pos_query"]) <= 0.7 for row in pairs)


def test_the_released_files_hold_the_same(finished):
    text = (finished / "queries.json").read_text()
    queries = json.loads(text)
    assert text == json.dumps(queries)
    roots = rows_of(finished, "questions")
    assert list(queries) == [str(row["root"]) for row in roots]
    assert [queries[str(row["root"])] for row in roots] == [
        [[node["context"], node["question"]] for node in row["questions"]] for row in roots
    ]
    kept = json.loads((finished / "filtered_queries.json").read_text())
    flat = [pair for pairs in kept.values() for pair in pairs]
    assert flat == [[row["context"], row["question"]] for row in rows_of(finished, "filtered")]


def test_the_report_says_how_it_went(finished):
    page = (finished / "report.html").read_text(encoding="utf-8")
    for words_ in (
        "Quotas",
        "Granularity",
        "Coverage",
        "depth 0",
        "detail, kept",
        "beyond the quota",
        "Trees",
        "enough questions",
    ):
        assert words_ in page
    assert "<script" not in page


# ---------------------------------------------------------------- the same at any concurrency, after any kill


def step1_words(two_articles, target, url, *more) -> list:
    base = ["--data_path", two_articles, "--save_path", target / "questions.jsonl", "--base_url", url]
    return [*base, "--model", "stand-in", *more]


@pytest.fixture(scope="module")
def plain_run(tmp_path_factory, two_articles, url):
    """Steps 1, 3, 4 on two articles, each by itself, undisturbed."""
    folder = tmp_path_factory.mktemp("plain")
    for command in commands(two_articles, folder, url):
        subprocess.run(command, check=True, capture_output=True, env=clean_environment())
    return folder


def clean_environment() -> dict:
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def commands(two_articles, folder, url, *more) -> list[list[str]]:
    ask = ["--base_url", url, "--model", "stand-in", *more]
    steps = [
        ["step1_generate_questions", "--data_path", two_articles, "--save_path", folder / "questions.jsonl"],
        ["step3_rank_and_filter", "--data_path", folder / "questions.jsonl", "--save_path", folder / "filtered.jsonl"],
        ["step4_answer", "--data_path", folder / "filtered.jsonl", "--save_path", folder / "sft.jsonl"],
    ]
    steps[1] += ["--rank", "judge"]
    steps[2] += ["--examples_path", EXAMPLES]
    return [list(map(str, [sys.executable, ROOT / "augcon" / f"{name}.py", *words, *ask])) for name, *words in steps]


@pytest.mark.parametrize("concurrency", [1, 8, 256])
def test_concurrency_and_latency_change_no_byte(concurrency, plain_run, two_articles, tmp_path, run):
    with standin_server(jitter=0.01) as slow:
        run(step1, *step1_words(two_articles, tmp_path, slow, "--concurrency", concurrency))
    expected = bytes_of(plain_run)
    assert bytes_of(tmp_path) == {name: expected[name] for name in bytes_of(tmp_path)} and len(bytes_of(tmp_path)) == 4


def test_faults_and_kills_change_no_byte_and_no_answer_is_paid_twice(plain_run, two_articles, tmp_path):
    """30 % protocol faults, and each step killed -9 again and again while it runs."""
    kills = 0
    with standin_server(faults=0.3, hang_seconds=2) as faulty:
        more = ("--request_timeout", "0.3", "--concurrency", "12")
        for command in commands(two_articles, tmp_path, faulty, *more):
            before = stored(tmp_path)
            for answers in (20, 135):
                kills += killed(command, tmp_path, before + answers)
            done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
    assert kills >= 4
    assert bytes_of(tmp_path) == bytes_of(plain_run)
    went_on = 0
    for name in ("questions", "questions.pairs", "filtered.scored", "sft"):
        made, again = (manifest.read(folder / f"{name}.jsonl")["counts"] for folder in (plain_run, tmp_path))
        asked, asked_again = (run.get("requests", 0) + run.get("from the store", 0) for run in (made, again))
        assert asked == asked_again
        went_on += again.get("from the store", 0) > 0
    assert went_on >= 3


def killed(command: list[str], folder: Path, answers: int) -> bool:
    """Start the command and kill it once so many answers are in the stores beside its outputs."""
    process = subprocess.Popen(command, env=clean_environment(), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline and stored(folder) < answers:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    process.kill()
    return process.wait() == -signal.SIGKILL


def stored(folder: Path) -> int:
    total = 0
    for store in folder.glob("*.answers.sqlite"):
        try:
            with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
                total += connection.execute("SELECT count(*) FROM answers").fetchone()[0]
        except sqlite3.Error:
            continue
    return total


# ---------------------------------------------------------------- bad models and short roots


def one_article(tmp_path, text: str = "") -> Path:
    path = tmp_path / "one.jsonl"
    stalls = (f"城西第{n}个菜市场每天清晨{n}点开门，摊主们先把地面冲洗干净，再把菜码成{n}排。" for n in range(4))
    write_rows(path, [{"article": text or "".join(stalls)}])
    return path


@pytest.mark.parametrize("answer", ["", "I cannot do that.", " " * 10_000, "Q\nContext 1: a\nContext 2: b"])
def test_a_bad_model_ends_every_root_with_a_reason_and_exit_0(answer, tmp_path, run, capsys):
    with scripted_server(lambda body, number: (200, completion(answer, chat=False), {})) as server:
        run(step1, "--data_path", one_article(tmp_path), "--save_path", tmp_path / "q.jsonl", "--base_url", server.url)
        assert len(server.bodies) == 40
    (row,) = rows_of(tmp_path, "q")
    assert row["questions"] == [] and row["ended"] == "max_trees" and row["trees"] == 10
    assert "1 roots short of questions, 1 roots ended: max_trees" in capsys.readouterr().err


def numbered_tree(body: dict, number: int):
    """Each answer asks another question; the context is halved."""
    context = body["prompt"].rpartition("Context: ")[2].rpartition("\n\nQuestion:")[0]
    half = len(context) // 2
    question = f"why{number} how{number} when{number} who{number}?"
    text = f"{question}\n\nContext 1: {context[:half]}\n\nContext 2: {context[half:]}"
    return 200, completion(text, chat=False), {}


def test_a_root_that_falls_short_after_the_filter_grows_another_tree_with_new_samples(tmp_path, run):
    seeds = []

    def reply(body, number):
        seeds.append((body["prompt"], body["seed"]))
        return numbered_tree(body, 0 if body["seed"] < 4 else number)

    corpus = one_article(tmp_path)
    with scripted_server(reply) as server:
        ask = ["--base_url", server.url, "--sampling_seed", 0]
        run(step1, "--data_path", corpus, "--save_path", tmp_path / "q.jsonl", "--pairs", 0, *ask)
        run(step3, "--data_path", tmp_path / "q.jsonl", "--save_path", tmp_path / "f.jsonl", "--rank", "random")
        (short,) = rows_of(tmp_path, "f.short")
        assert (short["kept"], short["quota"], short["trees"]) == (1, 4, 2)
        first = list(seeds)
        again = ["--short_path", tmp_path / "f.short.jsonl"]
        run(step1, "--data_path", corpus, "--save_path", tmp_path / "q.jsonl", "--pairs", 0, *again, *ask)
        run(step3, "--data_path", tmp_path / "q.jsonl", "--save_path", tmp_path / "f.jsonl", "--rank", "random")
    second = seeds[len(first) :]
    assert {seed for _, seed in first} == {0} and {seed for _, seed in second} == {4}
    assert len(set(seeds)) == len(seeds)  # what the first tree asked came from the store
    assert rows_of(tmp_path, "f.short") == [] and len(rows_of(tmp_path, "f")) == 4


def test_a_context_that_holds_a_stop_text_is_not_cut_by_it(tmp_path, run):
    stops = []

    def reply(body, number):
        stops.append(body["stop"])
        return numbered_tree(body, number)

    text = "这一段里有一条分隔线---它不该结束回答。" * 6
    with scripted_server(reply) as server:
        run(
            step1,
            "--data_path",
            one_article(tmp_path, text),
            "--save_path",
            tmp_path / "q.jsonl",
            "--base_url",
            server.url,
        )
    assert "---" not in stops[0] and "<|eot_id|>" in stops[0]


def test_prompts_begin_alike_and_end_with_the_context(tmp_path, run):
    with scripted_server(numbered_tree) as server:
        run(step1, "--data_path", ARTICLES, "--save_path", tmp_path / "q.jsonl", "--base_url", server.url, "--pairs", 0)
        prompts = [body["prompt"] for body in server.bodies]
    for opening in ("你会读到", "You will read", "Va a leer", "Você vai ler"):
        own = [prompt for prompt in prompts if prompt.startswith(opening)]
        common = len(os.path.commonprefix(own))
        assert common / (sum(map(len, own)) / len(own)) >= 0.9
        assert all(prompt.endswith("\n\nQuestion:") for prompt in own)


def test_repeated_texts_are_asked_about_once_unless_wanted(tmp_path, run, url):
    article = next(iter(read_rows(ARTICLES)))
    write_rows(tmp_path / "twice.jsonl", [article, article])
    words_ = ["--data_path", tmp_path / "twice.jsonl", "--save_path", tmp_path / "q.jsonl", "--base_url", url]
    run(step1, *words_, "--pairs", 0)
    assert len(rows_of(tmp_path, "q")) == 1
    run(step1, *words_, "--pairs", 0, "--keep_repeated")
    assert [row["article"] for row in rows_of(tmp_path, "q")] == [0, 1]


def test_dry_run_is_close_to_what_a_run_asks(finished, tmp_path, run, capsys):
    run(
        step1,
        "--data_path",
        ARTICLES,
        "--save_path",
        tmp_path / "q.jsonl",
        "--dry_run",
        "--price_in",
        1,
        "--price_out",
        1,
    )
    said = capsys.readouterr().out.split()
    counts = manifest.read(finished / "questions.jsonl")["counts"]
    numbers = [int(word.replace(",", "")) for word in said if word.replace(",", "").isdigit()][:3]
    for estimate, name in zip(numbers, ("requests", "tokens in", "tokens out"), strict=True):
        assert estimate == pytest.approx(counts[name], rel=0.3)
    assert not (tmp_path / "q.jsonl").exists()


@pytest.mark.parametrize("split", ["middle", "none"])
def test_the_papers_ablations_of_the_tree(split, tmp_path, run, two_articles, url):
    run(step1, *step1_words(two_articles, tmp_path, url, "--split_at", split, "--pairs", 0, "--sampling_seed", 1))
    for row in rows_of(tmp_path, "questions"):
        contexts = [node["context"] for node in row["questions"]]
        assert (set(contexts) == {row["text"]}) == (split == "none")
        assert len(contexts) >= row["quota"] * 1.15 - 1


# ---------------------------------------------------------------- released files


def test_a_released_queries_file_is_filtered_and_answered(finished, tmp_path, run, url):
    run(step3, "--data_path", finished / "queries.json", "--save_path", tmp_path / "f.jsonl", "--rank", "random")
    assert (tmp_path / "filtered_queries.json").read_text() == (finished / "filtered_queries.json").read_text()
    words_ = ["--data_path", tmp_path / "filtered_queries.json", "--save_path", tmp_path / "sft", "--base_url", url]
    run(step4, *words_, "--paper_exact", "--examples_path", EXAMPLES)
    rows = list(read_rows(tmp_path / "sft"))
    assert list(rows[0]) == ["context", "question", "answer"]
    assert [row["question"] for row in rows] == [row["question"] for row in rows_of(tmp_path, "f")]


def test_a_file_that_is_not_of_that_form_is_named(tmp_path, run):
    (tmp_path / "queries.json").write_text('{"0": ["a", 3]}')
    with pytest.raises(BadInput, match="list of"):
        run(step3, "--data_path", tmp_path / "queries.json", "--save_path", tmp_path / "f.jsonl", "--rank", "random")


def test_a_corpus_folder_with_splits_is_read_as_released(tmp_path, run, url):
    rows = {"article": [row["article"] for row in islice(read_rows(ARTICLES), 2)]}
    questions = {"question": [row["question"] for row in read_rows(SAMPLE / "test.jsonl")]}
    folder = datasets.DatasetDict(train=datasets.Dataset.from_dict(rows), test=datasets.Dataset.from_dict(questions))
    folder.save_to_disk(tmp_path / "DailyM")
    run(
        step1,
        "--data_path",
        tmp_path / "DailyM",
        "--save_path",
        tmp_path / "q.jsonl",
        "--base_url",
        url,
        "--paper_exact",
    )
    assert {row["article"] for row in rows_of(tmp_path, "q")} == {0, 1}
    run(step7, "--data_path", tmp_path / "DailyM", "--save_path", tmp_path / "outputs", "--base_url", url)
    assert [row["question"] for row in read_rows(tmp_path / "outputs")] == questions["question"]


# ---------------------------------------------------------------- ranks and answers


def test_equal_seeds_rank_alike_and_test_questions_are_left_out(finished, tmp_path, run):
    words_ = ["--data_path", finished / "questions.jsonl", "--save_path", tmp_path / "f.jsonl", "--rank", "random"]
    run(step3, *words_)
    assert bytes_of(tmp_path)["filtered_queries.json"] == bytes_of(finished)["filtered_queries.json"]
    tests = [row["question"] for row in rows_of(finished, "filtered")[:3]]
    write_rows(tmp_path / "test.jsonl", [{"question": question} for question in tests])
    run(step3, *words_, "--exclude_questions", tmp_path / "test.jsonl", "--seed", 0)
    assert not any(f1(row["question"], test) > 0.7 for row in rows_of(tmp_path, "f") for test in tests)
    assert Counter(row["why"] for row in rows_of(tmp_path, "f.dropped"))["near an excluded question"] >= 3


ANSWERS = {
    "cut": completion("Thought.\nAnswer: half of", reason="length"),
    "empty": completion("Thought.\nAnswer:  "),
    "nothing": completion(""),
    "no mark": completion("It is because of the hills."),
    "refusal": completion("Answer: I'm sorry, but I can't help with that."),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_answers_that_will_not_do_are_asked_for_again_and_then_set_aside(kind, tmp_path, run):
    asked = Counter()

    def reply(body, number):
        question = body["messages"][-1]["content"].rpartition("Question: ")[2]
        asked[question] += 1
        good = question == "good?" or (question == "later?" and asked[question] == 3)
        return ok("Thought.\n\nAnswer: Because\n1. a\n\n2. b") if good else (200, ANSWERS[kind], {})

    rows = [{"context": "Tea grows on hills.", "question": question} for question in ("good?", "later?", "never?")]
    write_rows(tmp_path / "f.jsonl", rows)
    with scripted_server(reply) as server:
        run(step4, "--data_path", tmp_path / "f.jsonl", "--save_path", tmp_path / "sft.jsonl", "--base_url", server.url)
    answered = [(row["question"], row["answer"]) for row in rows_of(tmp_path, "sft")]
    assert answered == [("good?", "Because\n1. a\n\n2. b"), ("later?", "Because\n1. a\n\n2. b")]
    (entry,) = read_rows(tmp_path / "sft.jsonl.rejected.jsonl")
    assert entry["row"]["question"] == "never?" and asked["never?"] == 3


def test_the_best_judged_examples_are_shown_as_people_wrote_them(tmp_path, run):
    examples = [{"context": f"Fact {n}.", "question": f"Why {n}?", "answer": f"Line {n}\nand more"} for n in range(5)]
    write_rows(tmp_path / "examples.jsonl", examples)
    write_rows(tmp_path / "f.jsonl", [{"context": "Tea.", "question": "Tea?", "lang": "en"}])
    final = []

    async def reply(body, number):
        await asyncio.sleep(0.02)
        said = body["messages"][-1]["content"]
        if "[yes/no]" in said:
            return ok("Yes." if "shown 4 and 1" in said else "No." if number % 2 else "Hm.")
        if said.endswith("Question: Tea?"):
            final.append(said)
        shown = [f"{n}" for n in (4, 1) if f"Line {n}" in said or said.endswith(f"Why {n}?")]
        return ok(f"Answer: shown {' and '.join(shown)}")

    words_ = ["--data_path", tmp_path / "f.jsonl", "--save_path", tmp_path / "sft.jsonl", "--seed", 3]
    with scripted_server(reply) as server:
        ask = ["--base_url", server.url, "--examples_path", tmp_path / "examples.jsonl", "--provenance", "--messages"]
        run(step4, *words_, *ask)
        assert server.most_in_flight > 20  # all candidates together
    facts = manifest.read(tmp_path / "sft.jsonl")["examples"]["en"]
    assert len(facts["accepted"]) == 10 and {1, 4} <= set(facts["shown"])
    assert max(facts["accepted"].values()) == facts["accepted"][str(facts["shown"])] == 1.0
    assert all(f"Answer: Line {n}\nand more" in final[0] for n in facts["shown"])
    (row,) = rows_of(tmp_path, "sft")
    assert row["context"] == "Tea." and [turn["role"] for turn in row["messages"]] == ["user", "assistant"]


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("more", [(), ("--paper_exact",), ("--demos", "fixed", "--no_principles")])
def test_few_examples_and_a_judge_that_never_decides(count, more, tmp_path, run):
    write_rows(tmp_path / "f.jsonl", [{"context": "Tea.", "question": "Tea?"}])
    examples = [] if count == 0 else ["--examples_path", tmp_path / "examples.jsonl"]
    write_rows(tmp_path / "examples.jsonl", [{"context": "Salt.", "question": "Salt?", "answer": "Salty."}])

    def reply(body, number):
        return 200, completion("Hm.\n\nAnswer: it depends", chat="messages" in body), {}

    with scripted_server(reply) as server:
        words_ = ["--data_path", tmp_path / "f.jsonl", "--save_path", tmp_path / "sft.jsonl", "--base_url", server.url]
        run(step4, *words_, *examples, *more)
    (row,) = rows_of(tmp_path, "sft")
    assert row["answer"].endswith("it depends")


@pytest.mark.parametrize("how", ["column", "drop"])
def test_answers_that_their_context_does_not_support(how, tmp_path, run):
    rows = [{"context": "Tea is green.", "question": f"{n}?"} for n in ("good", "bad", "odd")]
    write_rows(tmp_path / "f.jsonl", rows)
    verdicts = {"good": "Yes", "bad": "No, it is made up.", "odd": "Hm"}

    def reply(body, number):
        said = body["messages"][-1]["content"]
        if "[yes/no]" in said:
            return ok(next(verdict for name, verdict in verdicts.items() if f"{name} answer" in said))
        return ok(f"Answer: {said.rpartition('Question: ')[2][:-1]} answer")

    with scripted_server(reply) as server:
        words_ = ["--data_path", tmp_path / "f.jsonl", "--save_path", tmp_path / "sft.jsonl", "--base_url", server.url]
        run(step4, *words_, "--check_answers", how)
    supported = [row["supported"] for row in rows_of(tmp_path, "sft")]
    assert supported == ([True, False, None] if how == "column" else [True])


def test_as_released_answers_are_raw_completions_of_150_tokens_and_of_75(tmp_path, run):
    write_rows(tmp_path / "f.jsonl", [{"context": "Tea.", "question": "Why  tea?", "lang": "zh"}])
    replies = ["because of the hills", "the hills"]
    with scripted_server(lambda body, number: (200, completion(replies[number], chat=False), {})) as server:
        words_ = ["--data_path", tmp_path / "f.jsonl", "--save_path", tmp_path / "sft.jsonl", "--base_url", server.url]
        run(step4, *words_, "--paper_exact")
        first, second = server.bodies
    assert [(body["max_tokens"], body["temperature"], body["stop"]) for body in (first, second)] == [
        (150, 0.0, ["---"]),
        (75, 0.0, ["---"]),
    ]
    assert first["prompt"].endswith(
        "Context: Tea.\n\nQuestion: Why tea?\n\nReasoning: Let's think step by step in order to"
    )
    assert second["prompt"] == f"{first['prompt']} because of the hills\n\nAnswer:"
    assert rows_of(tmp_path, "sft") == [{"context": "Tea.", "question": "Why  tea?", "answer": "the hills"}]


def test_compare_modes_counts_what_each_point_touches(finished, tmp_path, run, capsys):
    def counts(path) -> dict[str, tuple[int, int]]:
        run(compare_modes, "--data_path", path)
        lines = [line[5:].split("--")[0].rsplit(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
        return {what: (int(concerned), int(touched)) for what, concerned, touched in lines}

    assert counts(ARTICLES) == {
        "roots": (8, 8),
        "a root of more than 500 characters": (8, 0),
        "a paragraph left out": (8, 8),
    }
    assert counts(finished / "filtered.scored.jsonl") == {"questions that stay": (20, 0)}
    write_rows(tmp_path / "replies.jsonl", [{"reply": reply} for reply in ("是", "不是", "unknown")])
    assert counts(tmp_path / "replies.jsonl") == {"the judge's verdict": (3, 2)}
    form = ["Why tea?\n\nContext 1: a\n\nContext 2: b", "Why\n\n**Context 1:** a\n**Context 2:** b", "no form"]
    write_rows(tmp_path / "answers.jsonl", [{"completion": text} for text in form])
    expected = {"what is read of an answer": (3, 1), "the question is too short": (3, 1)}
    assert counts(tmp_path / "answers.jsonl") == expected
