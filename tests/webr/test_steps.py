"""WebR as a user runs it: five steps on the bundled pages with the embedded server, disturbed and undisturbed."""

import json
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import datasets
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from common.errors import CommonError
from common.rows import read_rows, write_rows
from common.standin_llm import standin_server
from tests.common.scripted_server import ok, scripted_server
from tests.superfiltering.conftest import make_tokenizer
from webr import (
    step1_infer_author,
    step2_make_requests,
    step3_make_responses,
    step4_refine_responses,
    step5_postprocess,
)
from webr.sections import KINDS

ROOT = Path(__file__).parent.parent.parent
PAGES = ROOT / "webr" / "sample" / "pages.json"
STEPS = ["step1_infer_author", "step2_make_requests", "step3_make_responses", "step4_refine_responses"]
FILES = ["authors", "requests", "responses", "refined"]


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    make_tokenizer(bos=False).save_pretrained(folder)
    return folder


def commands(out: Path, url: str, tokenizer: Path) -> list[list[str]]:
    asked = []
    for step, source, target in zip(STEPS, [PAGES, *FILES], FILES, strict=False):
        data = source if isinstance(source, Path) else out / f"{source}.jsonl"
        flags = ["--data_path", data, "--save_path", out / f"{target}.jsonl", "--base_url", url, "--seed", "1"]
        flags += ["--concurrency", "8", "--request_timeout", "1", "--max_attempts", "4"]
        asked.append([f"webr.{step}", *flags, *(["--dedup_pages"] if step == STEPS[0] else [])])
    data = ["--WI_data_paths", out / "refined.jsonl", "--WR_data_paths", out / "refined.jsonl"]
    asked.append(["webr.step5_postprocess", *data, "--tokenizer_model_name", tokenizer, "--save_name", out / "webr"])
    return [[sys.executable, "-m", *map(str, command)] for command in asked]


def run_all(commands: list[list[str]], kills: int = 0, log: Path | None = None) -> None:
    draw, pause = random.Random(5), threading.Event()
    for command in commands:
        for _ in range(kills):
            process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
            wanted = _lines(log) + draw.randrange(1, 6)
            while _lines(log) < wanted and process.poll() is None:
                pause.wait(0.01)
            process.send_signal(signal.SIGKILL)
            process.wait()
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, tokenizer_folder) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    with standin_server(fault_refusal=0.1, fault_empty=0.1) as url:
        run_all(commands(out, url, tokenizer_folder))
    return out


def test_faults_and_kills_change_no_byte(undisturbed, tmp_path, tokenizer_folder):
    log = tmp_path / "log"
    faults = {"faults": 0.3, "hang_seconds": 30, "retry_after": 0, "fault_refusal": 0.1, "fault_empty": 0.1}
    with standin_server(log_path=log, **faults) as url:
        disturbed = commands(tmp_path, url, tokenizer_folder)
        run_all(disturbed[:4], kills=2, log=log)
        run_all(disturbed[4:])
    names = [path.name for path in undisturbed.glob("*.jsonl")] + ["webr.parquet"]
    assert len(names) > 8
    for name in names:
        assert (tmp_path / name).read_bytes() == (undisturbed / name).read_bytes(), name


def test_every_page_ends_once(undisturbed):
    pages, rows = list(read_rows(PAGES)), list(read_rows(undisturbed / "webr.jsonl"))
    rejected = [row for path in undisturbed.glob("*.rejected.jsonl") for row in read_rows(path)]
    left_over = json.loads((undisturbed / "webr.jsonl.manifest.json").read_text())["counts"]["left over"]
    assert len(rows) + len(rejected) + left_over == len(pages)
    reasons = [row["reason"] for row in rejected]
    assert "the page is empty" in reasons and "near-duplicate of page 0" in reasons


def test_the_set_loads_in_datasets_and_has_card_info_and_report(undisturbed):
    rows = list(read_rows(undisturbed / "webr.jsonl"))
    parquet = datasets.load_dataset("parquet", data_files=str(undisturbed / "webr.parquet"), split="train")
    assert parquet.to_list() == rows and rows
    for row in rows:
        assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"]
    info = json.loads((undisturbed / "dataset_info.json").read_text())["webr"]
    assert info["file_name"] == "webr.jsonl" and info["formatting"] == "sharegpt"
    assert f"{len(rows)} conversations" in (undisturbed / "README.md").read_text()
    report = (undisturbed / "webr.report.html").read_bytes()
    assert len(report) < 2_000_000 and b"<script" not in report


def test_trl_takes_the_set_as_it_is(undisturbed, tmp_path):
    import trl

    from tests.superfiltering.conftest import make_model

    tokenizer = make_tokenizer(bos=False)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    data = datasets.load_dataset("parquet", data_files=str(undisturbed / "webr.parquet"), split="train")
    options = {"max_length": 32, "max_steps": 1, "report_to": "none", "use_cpu": True, "bf16": False}
    args = trl.SFTConfig(output_dir=str(tmp_path), **options)
    model = make_model("llama", len(tokenizer))
    trainer = trl.SFTTrainer(model, args, train_dataset=data, processing_class=tokenizer)
    assert trainer.train().training_loss > 0


def test_kinds_and_draws_are_the_same_in_every_run_and_share_the_pages(undisturbed):
    rows = list(read_rows(undisturbed / "requests.jsonl.plan.jsonl"))
    counts = {kind: sum(row["kind"] == kind for row in rows) for kind in KINDS}
    assert sum(counts.values()) == len(rows) and abs(counts["WI_all"] - 2 * counts["WR_all"]) <= 2
    assert [row["kind"] for row in rows] == sorted((row["kind"] for row in rows), key=KINDS.index)
    plans = [step2_make_requests.plan(rows[0], "WI_all", seed, False) for seed in (0, 0, 1, 2, 3)]
    assert plans[0] == plans[1] and len({json.dumps(plan) for plan in plans}) > 1


def run(monkeypatch, step, **flags):
    words = [[f"--{name}"] if value is True else [f"--{name}", str(value)] for name, value in flags.items()]
    monkeypatch.setattr(sys, "argv", [step.__name__, *sum(words, [])])
    step.main()


def finished_rows(count: int) -> list[dict]:
    """Rows as step 4 leaves them, with requests that share no words."""
    subjects = "bread rivers chairs trains apples bees lamps ropes".split()
    rows = []
    for number in range(count):
        words = " ".join(f"{subject}{number * 31 % 97}{number}" for subject in subjects)
        kind = "WI_all" if number % 3 else "WR_all"
        page = f"The page about the {words} is for all who want to know."
        rows.append({"kind": kind, "lang": "en", "section": page, "request": f"What is to be said about the {words}?"})
        rows[-1]["response"] = f"It is said that they are of use to the people of the village, number {number}."
    return rows


@pytest.fixture(scope="session")
def word_tokenizer(tmp_path_factory) -> Path:
    """One token a word, so that requests of other words share none."""
    words = sorted({word for row in finished_rows(60) for word in row["request"].split()} | {"<unk>"})
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    folder = tmp_path_factory.mktemp("words")
    PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>").save_pretrained(folder)
    return folder


@pytest.fixture
def post(tmp_path, monkeypatch, word_tokenizer):
    def postprocess(rows, **flags):
        write_rows(tmp_path / "refined.jsonl", rows)
        paths = {"WI_data_paths": tmp_path / "refined.jsonl", "WR_data_paths": tmp_path / "refined.jsonl"}
        flags = {"tokenizer_model_name": word_tokenizer, "save_name": tmp_path / "set"} | flags
        run(monkeypatch, step5_postprocess, **paths, **flags)
        rejected = tmp_path / "set.jsonl.rejected.jsonl"
        reasons = {row["index"]: row["reason"] for row in read_rows(rejected)} if rejected.exists() else {}
        return list(read_rows(tmp_path / "set.jsonl")), reasons

    return postprocess


def test_exactly_as_many_rows_as_asked_for_two_to_one(post):
    rows, _ = post(finished_rows(60), save_num=20)
    both = [row for row in rows if "The page about" in row["messages"][0]["content"]]
    assert len(rows) == 20 and len(both) == 13
    with pytest.raises(CommonError, match=r"accepted are 40 and 20: start from about 25.0 times as many pages"):
        post(finished_rows(60), save_num=1500)


def test_each_guard_has_its_reason_and_can_be_turned_off(post):
    rows = finished_rows(30)
    rows[1]["response"] = "这条河在春天的时候水很大，住在河边的人都要小心，不要让孩子们在河边玩。"
    rows[2]["response"] = rows[2]["section"]
    rows[4]["request"] = "Why?"
    rows[5]["response"] = "I'm sorry, I cannot help with that at all, my friend."
    rows[7]["response"] = ""
    rows[10]["request"] = rows[8]["request"]
    _, reasons = post(rows)
    assert reasons == {
        1: "response is in 中文, page in English",
        2: "response copies the page (over 80% of its 8-grams)",
        4: "request shorter than 10 characters",
        5: "refusal",
        7: "no request or no response",
        10: "request nearly repeats that of row 8",
    }
    _, reasons = post(rows, any_language=True, max_copied=1, min_request_chars=0)
    assert set(reasons) == {5, 7, 10}
    _, reasons = post(rows, paper_exact=True)
    assert set(reasons) == {5, 7, 10}


def test_web_as_instruction_shows_the_page_in_either_order(post):
    rows, _ = post(finished_rows(60))
    starts = {row["messages"][0]["content"][:8] for row in rows if "\n\n" in row["messages"][0]["content"]}
    assert starts == {"The page", "What is "}


def test_steps_ask_what_they_should(tmp_path, monkeypatch):
    rows = [
        {"webpage": "The river. " * 9, "lang": "en", "author": "a fisher", "kind": kind}
        for kind in ("WI_all", "WR_all")
    ]
    rows = [row | {"section": "The river.", "request": f"Tell me, {row['kind']}"} for row in rows]
    write_rows(tmp_path / "requests.jsonl", rows)
    with scripted_server(
        lambda body, _: ok(f"Here is the answer:\n\nTo {body['messages'][0]['content'][-6:]}")
    ) as server:
        common = {"base_url": server.url, "model": "m"}
        paths = {"data_path": tmp_path / "requests.jsonl", "save_path": tmp_path / "responses.jsonl"}
        run(monkeypatch, step3_make_responses, **paths, **common)
        asked = sorted(body["messages"][0]["content"] for body in server.bodies)
        assert asked == ["Tell me, WR_all", "The river.\n\n\nTell me, WI_all"]
        paths = {"data_path": tmp_path / "responses.jsonl", "save_path": tmp_path / "refined.jsonl"}
        run(monkeypatch, step4_refine_responses, **paths, **common)
        assert len(server.bodies) == 3 and "Draft answer:\nTo WR_all" in server.bodies[2]["messages"][0]["content"]
    wi, wr = read_rows(tmp_path / "refined.jsonl")
    assert wi["response"] == "To WI_all" and "draft" not in wi
    assert wr["draft"] == "To WR_all" and wr["response"].startswith("To ")


@pytest.mark.parametrize(
    ("page", "lang"),
    [("El libro que me prestaste es de la biblioteca.", "español"), ("这是一本书，很有意思。", "中文")],
)
def test_a_page_is_asked_about_in_its_language(tmp_path, monkeypatch, page, lang):
    write_rows(tmp_path / "pages.json", [{"webpage": page}])
    with scripted_server(lambda *_: ok("une profession")) as server:
        paths = {"data_path": tmp_path / "pages.json", "save_path": tmp_path / "authors.jsonl"}
        run(monkeypatch, step1_infer_author, **paths, base_url=server.url)
        assert lang in server.bodies[0]["messages"][0]["content"] and page in server.bodies[0]["messages"][0]["content"]
