"""edu_filter's files in the hands of others: the released scripts' loops, FineWeb-Edu's own kind of folder, Ray.

The loops are restated here. With LLM_DATA_EVAL=FOLDER (a clone of latam-gpt/llm-data-eval) and
LLM_DATA_EVAL_PYTHON=PROGRAM (one with transformers 4.46, datasets, scikit-learn) the released scripts run too.
"""

import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, load_from_disk
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

from common.rows import read_rows, write_rows
from edu_filter import step1_rate, step2_train_head, step3_score_corpus
from tests.common.scripted_server import ok, scripted_server
from tests.edu_filter.conftest import SAMPLE, documents, encoders  # noqa: F401
from tests.oracles import edu_head

pytestmark = pytest.mark.peers

RELEASED = os.environ.get("LLM_DATA_EVAL")
HOW = ["restated", *(["released"] if RELEASED else [])]
EVALUATE = '''"""What the hub's module of this name does, without a network."""
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
FUNCTIONS = {"precision": precision_score, "recall": recall_score, "f1": f1_score, "accuracy": accuracy_score}
class load:
    def __init__(self, name): self.name = name
    def compute(self, predictions, references, **how):
        return {self.name: FUNCTIONS[self.name](references, predictions, **how)}
'''


def run_released(script: str, folder: Path, *words: object) -> None:
    """In a home of its own: it deletes the cache of datasets."""
    (folder / "evaluate.py").write_text(EVALUATE)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_OFFLINE": "1",
    }
    environment |= {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [os.environ["LLM_DATA_EVAL_PYTHON"], Path(RELEASED) / script, *words]
    done = subprocess.run(list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "ERROR - Error" not in done.stderr, done.stderr[-3000:]


@pytest.fixture
def base(tmp_path, encoders):  # noqa: F811
    """A BERT with a head, without drop-out, so that two trainings can be compared."""
    folder = tmp_path / "base"
    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_pretrained(
        encoders["bert"],
        num_labels=1,
        attention_probs_dropout_prob=0.0,
        hidden_dropout_prob=0.0,
        classifier_dropout=0.0,
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(encoders["bert"]).save_pretrained(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # what transformers 4 calls it
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture
def ratings(tmp_path, documents, run):  # noqa: F811
    """The released file as our step 1 writes it."""
    words = " ".join(documents).split()
    texts = [f"Texto {place}: " + " ".join(words[12 * place : 12 * place + 12]) for place in range(160)]
    scores = ["0", "1.5", "2", "3", "3.5"] * 32
    write_rows(tmp_path / "in.jsonl", [{"texto": text} for text in texts])

    def reply(body: dict, number: int) -> tuple:
        place = re.search(r"Texto (\d+):", body["messages"][0]["content"])[1]
        return ok(f"Bien.\nPUNTUACIÓN EDUCATIVA: {scores[int(place)]}")

    with scripted_server(reply) as server:
        run(step1_rate, "--data_path", tmp_path / "in.jsonl", "--save_path", tmp_path / "ratings.json", "--lang", "es",
            "--base_url", server.url)  # fmt: skip
    entries = json.loads((tmp_path / "ratings.json").read_text(encoding="utf-8"))
    assert [(entry["Prompt"], entry["Score"]) for entry in entries.values()] == list(zip(texts, scores, strict=True))
    return tmp_path / "ratings.json"


def train_restated(file: Path, base: Path, folder: Path, epochs: int) -> Path:
    """The Trainer on a frozen encoder, in fp32: half precision is what two runs differ by."""
    entries = json.loads(file.read_text(encoding="utf-8")).values()
    rows = [{"text": e["Prompt"], "score": min(max(int(float(e["Score"].split(".")[0])), 0), 5)} for e in entries]
    data = Dataset.from_list(rows).cast_column("score", ClassLabel(names=list("012345")))
    data = data.train_test_split(train_size=0.95, seed=42, stratify_by_column="score")
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    model.bert.embeddings.requires_grad_(False)
    model.bert.encoder.requires_grad_(False)
    data = data.map(lambda row: {**tokenizer(row["text"], truncation=True), "labels": float(row["score"])})
    settings = TrainingArguments(
        folder, num_train_epochs=epochs, per_device_train_batch_size=16, learning_rate=1e-2, seed=0, use_cpu=True,
        report_to=[], save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    trainer = Trainer(model, settings, DataCollatorWithPadding(tokenizer), data["train"], processing_class=tokenizer)
    trainer.train()
    trainer.save_model(folder / "final")
    return folder / "final"


@pytest.mark.parametrize("how", HOW)
def test_the_released_file_trains_in_both_and_gives_the_same_head(tmp_path, run, base, ratings, how):  # noqa: F811
    words = ["--json_file", ratings, "--base_model", base, "--num_train_epochs", 4, "--train_batch_size", 16]
    words += ["--learning_rate", 0.01]
    run(step2_train_head, *words, "--checkpoint_dir", tmp_path / "ours", "--paper_exact", "--device", "cpu")
    if how == "restated":
        theirs = train_restated(ratings, base, tmp_path / "theirs", 4)
    else:
        run_released("train_bert_eval.py", tmp_path, *words, "--checkpoint_dir", tmp_path / "theirs",
                     "--cache_dir", tmp_path / "cache")  # fmt: skip
        theirs = tmp_path / "theirs" / "final"
    texts = [row["texto"] for row in read_rows(tmp_path / "in.jsonl")]
    found, wanted = (np.array(edu_head.score(folder, texts)) for folder in (tmp_path / "ours" / "model", theirs))
    assert np.ptp(found) > 1
    assert np.abs(found - wanted).max() < (1e-3 if how == "restated" else 0.1)  # the released script trains in bf16


def score_restated(model: Path, texts: list[str], dtype: torch.dtype) -> list[float]:
    tokenizer = AutoTokenizer.from_pretrained(model)
    loaded = AutoModelForSequenceClassification.from_pretrained(model, dtype=dtype)
    batch = tokenizer(texts, return_tensors="pt", padding="longest", truncation=True)
    with torch.no_grad():
        return loaded(**batch).logits.squeeze(-1).float().tolist()


@pytest.fixture
def corpus(tmp_path, documents):  # noqa: F811
    write_rows(tmp_path / "corpus" / "web.arrow", [{"texto": text, "number": at} for at, text in enumerate(documents)])
    return tmp_path / "corpus"


@pytest.mark.parametrize("how", HOW)
def test_our_folder_scores_in_the_released_loop(tmp_path, run, base, ratings, corpus, how):  # noqa: F811
    run(step2_train_head, "--json_file", ratings, "--base_model", base, "--checkpoint_dir", tmp_path / "head",
        "--num_train_epochs", 5, "--train_batch_size", 16, "--learning_rate", 0.01, "--device", "cpu")  # fmt: skip
    model = tmp_path / "head" / "model"
    words = ["--model_path", model, "--dataset", corpus, "--device", "cpu", "--output_dir"]
    run(step3_score_corpus, *words, tmp_path / "fp32")
    run(step3_score_corpus, *words, tmp_path / "bf16", "--paper_exact")
    ours = {name: list(read_rows(tmp_path / name / "web.arrow")) for name in ("fp32", "bf16")}
    texts = [row["texto"] for row in read_rows(corpus / "web.arrow")]
    if how == "restated":
        theirs = score_restated(model, texts, torch.bfloat16)
        assert [row["score"] for row in ours["fp32"]] == pytest.approx(
            score_restated(model, texts, torch.float32), abs=1e-5
        )
    else:
        run_released("run_bert_eval.py", tmp_path, "--model_path", model, "--dataset", corpus, "--num_gpus", 1,
                     "--output_dir", tmp_path / "released")  # fmt: skip
        rows = load_from_disk(str(tmp_path / "released" / "web.arrow"))["train"]
        assert rows["texto"][:] == texts
        theirs = rows["score"][:]
        for row, int_score in zip(ours["bf16"], rows["int_score"][:], strict=True):
            assert row["int_score"] == int_score or abs(row["score"] % 1 - 0.5) < 0.05
    assert np.ptp(theirs) > 0.5
    assert [row["score"] for row in ours["bf16"]] == pytest.approx(theirs, abs=0.05)


def test_a_folder_like_fineweb_edus_classifier_scores(tmp_path, run, base, corpus):  # noqa: F811
    """As published: BertForSequenceClassification, one label, float32 or float16; a tokenizer without a limit."""
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    model.config.problem_type, model.config.id2label = "regression", {0: "LABEL_0"}
    texts = [row["texto"] for row in read_rows(corpus / "web.arrow")]
    for dtype in (torch.float32, torch.float16):
        folder = tmp_path / f"classifier_{str(dtype).removeprefix('torch.')}"
        model.to(dtype).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        settings = json.loads((folder / "tokenizer_config.json").read_text())
        settings["model_max_length"] = 10**30
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        run(step3_score_corpus, "--model_path", folder, "--dataset", corpus, "--device", "cpu",
            "--output_dir", tmp_path / f"{folder.name}.scored")  # fmt: skip
        settings["model_max_length"] = model.config.max_position_embeddings
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        found = [row["score"] for row in read_rows(tmp_path / f"{folder.name}.scored" / "web.arrow")]
        assert found == pytest.approx(score_restated(folder, texts, torch.float32), abs=1e-5)


def test_ray_gives_the_same_bytes(tmp_path, run, base):  # noqa: F811
    import ray

    rows = list(read_rows(SAMPLE / "documents.jsonl"))
    for shard in range(4):
        write_rows(tmp_path / "in" / f"{shard}.jsonl", rows[shard::4])
    write_rows(tmp_path / "in" / "4.jsonl", [{"texto": None}])
    words = ["--model_path", base, "--dataset", tmp_path / "in", "--device", "cpu", "--on_bad_row", "skip"]
    run(step3_score_corpus, *words, "--output_dir", tmp_path / "here")
    try:
        run(step3_score_corpus, *words, "--output_dir", tmp_path / "ray", "--engine", "ray", "--num_workers", 2)
    finally:
        ray.shutdown()
    names = {file.name for file in (tmp_path / "here").iterdir() if "manifest" not in file.name}
    assert len(names) == 11 and names == {f.name for f in (tmp_path / "ray").iterdir() if "manifest" not in f.name}
    for name in names:
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
