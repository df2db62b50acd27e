"""edu_filter against recorded outputs of the released code: `python tests/parity.py edu_filter FOLDER`."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from matplotlib.figure import Figure

from common.errors import BadInput, CommonError
from common.rows import read_rows, write_rows
from edu_filter import step1_rate, step2_train_head, step3_score_corpus, step4_filter, step5_label, step6_plot_labels
from edu_filter.labels import released_labels
from edu_filter.metrics import released_metrics, released_report
from edu_filter.ratings import released_class, released_int_score, released_rating
from edu_filter.split import released_split
from tests.common.scripted_server import ok, scripted_server
from tests.in_process import Verdicts, run_program

FOLDER = Path(step1_rate.__file__).parent


def verdict(ours: object, released: object) -> tuple[bool, str]:
    return ours == released, f"ours {str(ours)[:300]}, released {str(released)[:300]}"


def near(ours: Iterable[float], released: Iterable[float], tolerance: float) -> bool:
    first, second = np.asarray(list(ours), dtype=float), np.asarray(list(released), dtype=float)
    return first.shape == second.shape and bool(np.all(np.abs(first - second) <= tolerance))


# ---------------------------------------------------------------- parsing


def check_ratings(path: Path) -> Verdicts:
    for row in read_rows(path):
        score = released_rating(row["reply"] if "reply" in row else row["text"])
        if "train" not in row:
            yield verdict(score, row["score"])
            continue
        try:
            train = None if score is None else {"float": float(score.split(".")[0]), "label": released_class(score)}
        except ValueError:
            train = {"error": "ValueError"}
        yield verdict((score, train), (row["score"], row["train"]))


def check_labels(path: Path) -> Verdicts:
    for row in read_rows(path):
        reply = row["reply"] if "reply" in row else row["text"]
        yield verdict(released_labels(reply), (row["domains"], row["use_cases"]))


def check_int_scores(path: Path) -> Verdicts:
    for row in read_rows(path):
        ours = [released_int_score(float(row[f"score_{kind}"])) for kind in ("fp32", "bf16")]
        yield verdict(ours, [row["int_score_fp32"], row["int_score_bf16"]])


# ---------------------------------------------------------------- steps that ask


def check_runs(step: object, path: Path) -> Verdicts:
    """The file of each run, byte for byte, and what was asked: a server gives each document its recorded reply."""
    replies: dict[str, str] = {}
    with scripted_server(lambda body, number: ok(replies[body["prompt"]], chat=False)) as server:
        for row in read_rows(path):
            case, server.bodies[:] = row["case"], []
            replies.clear()
            for document, reply in zip(row["rows"], row["replies"], strict=True):
                for text in (document["texto"], document["otro"]):
                    replies[case["prompt"].replace("<EJEMPLO>", text)] = reply
            ours = run_asking_step(step, row, server.url)
            bodies = server.bodies
            asked = bool(bodies) and {key: bodies[0].get(key) for key in row["sampling"] or {}} == row["sampling"]
            prompts = {body["prompt"] for body in bodies}
            same = ours == row["output_file"] and len(bodies) == sum(row["batches_asked"])
            same = same and (not bodies or (asked and row["first_prompt"] in prompts))
            yield same, f"{case}: {len(bodies)} asked; {str(ours)[:200]} for {str(row['output_file'])[:200]}"


def run_asking_step(step: object, row: dict, url: str) -> str | None:
    with TemporaryDirectory() as folder:
        source, prompt, target = Path(folder, "in.arrow"), Path(folder, "prompt.txt"), Path(folder, "out.json")
        write_rows(source, row["rows"])
        prompt.write_text(row["case"]["prompt"], encoding="utf-8")
        run_program(
            step, "--paper_exact", "--dataset_path", source, "--output_path", target, "--prompt_path", prompt,
            "--batch_size", row["case"]["batch_size"], "--text_column", row["case"]["text_column"],
            "--base_url", url, "--model", "scripted", "--on_bad_row", "skip",
        )  # fmt: skip
        return target.read_text(encoding="utf-8") if target.exists() else None


# ---------------------------------------------------------------- training and scoring


def check_split(path: Path) -> Verdicts:
    for row in read_rows(path):
        try:
            labels = [released_class(score) for score in row["scores"]]
            ours = {"labels": labels} | dict(zip(("train", "test"), released_split(labels), strict=True))
        except (BadInput, ValueError) as error:
            ours = {"error": f"ValueError: {error}"}
        yield verdict(ours, {key: value for key, value in row.items() if key != "scores"})


def check_metrics(path: Path) -> Verdicts:
    for row in read_rows(path):
        logits = np.array(row["logits"], dtype=np.float32)
        try:
            ours = released_metrics(logits, row["labels"])
        except BadInput:
            yield verdict("error" in row["metrics"], True)
            continue
        same = ours.keys() == row["metrics"].keys() and near(ours.values(), row["metrics"].values(), 1e-12)
        yield same and released_report(logits, row["labels"]) == row["printed"], f"ours {ours}, {row['metrics']}"


def check_training(path: Path) -> Verdicts:
    """Step 2 on the rating rows beside the file, from the tiny model beside it."""
    for row in read_rows(path):
        with TemporaryDirectory() as folder:
            flags = [
                part for name, value in row["args"].items() if name != "save_steps" for part in (f"--{name}", value)
            ]
            run_program(
                step2_train_head, "--paper_exact", "--json_file", path.with_name("train_rows.jsonl"), "--text_column",
                "Prompt", "--rating_key", "Score", "--base_model", path.with_name("tiny_bert"),
                "--checkpoint_dir", folder, "--device", "cpu", *flags,
            )  # fmt: skip
            yield same_training(Path(folder), row)


def same_training(folder: Path, row: dict) -> tuple[bool, str]:
    from safetensors.numpy import load_file

    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    predictions = {one["row"]: one["score"] for one in read_rows(folder / "predictions.jsonl")}
    training, log = metrics["training"], row["log"]
    weights = load_file(folder / "model" / "model.safetensors")
    found = {
        "split": sorted(predictions) == sorted(row["test"]) and metrics["rows"]["trained_on"] == len(row["train"]),
        "steps": (training["total_steps"], training["best_step"]) == (row["total_steps"], row["best_step"]),
        "log": len(training["log"]) == len(log) and all(map(same_entry, training["log"], log)),
        "scores": near((predictions.get(at, np.nan) for at in row["test"]), row["test_logits_after"], 1e-4),
        "weights": all(near(weights[n].ravel(), np.ravel(v), 1e-5) for n, v in row["head_after"].items()),
    }
    if row["best_step"] is not None:
        found["best F1"] = abs(training["best_f1_macro"] - row["best_f1_macro"]) <= 1e-9
    return all(found.values()), f"not equal: {', '.join(name for name, same in found.items() if not same)}"


def same_entry(ours: dict, released: dict) -> bool:
    tolerances = {"step": 0, "learning_rate": 1e-12, "grad_norm": None, "loss": 1.01e-4, "eval_loss": 1e-4}
    for key, value in ours.items():
        tolerance = tolerances.get(key, 1e-9)
        if tolerance is None:
            tolerance = 1e-3 * max(1, abs(released[key]))
        if key not in released or abs(value - released[key]) > tolerance:
            return False
    return True


def check_scores(path: Path) -> Verdicts:
    """Step 3 with the model beside the file: in fp32 as it is, in bf16 under --paper_exact."""
    wanted = list(read_rows(path))
    found = {}
    for kind in ("fp32", "bf16"):
        with TemporaryDirectory() as folder:
            source = Path(folder, "in.jsonl")
            write_rows(source, ({"texto": row["texto"]} for row in wanted))
            flags = ["--paper_exact", "--dtype", kind, "--batch_tokens", "100000"]
            model = path.with_name("tiny_bert_trained")
            run_program(
                step3_score_corpus, "--model_path", model, "--dataset", source, "--output_dir", f"{folder}/out", *flags
            )
            found[kind] = list(read_rows(f"{folder}/out/in.jsonl"))
    for place, row in enumerate(wanted):
        fp32, bf16 = found["fp32"][place], found["bf16"][place]
        same = abs(fp32["score"] - row["score_fp32"]) <= 1e-5 and fp32["int_score"] == row["int_score_fp32"]
        same = same and abs(bf16["score"] - row["score_bf16"]) <= 0.05
        near_half = abs(row["score_bf16"] % 1 - 0.5) <= 0.05
        yield same and (near_half or bf16["int_score"] == row["int_score_bf16"]), f"ours {fp32} and {bf16}, {row}"


def check_filter(path: Path) -> Verdicts:
    """What the released README means by its filter; what the released function does is kept by nobody."""
    for row in read_rows(path):
        scores = row["int_scores"] or [(7 * i + i // 11) % 6 for i in range(row["rows"])]
        with TemporaryDirectory() as folder:
            size = -(-len(scores) // row["shards"])
            for shard in range(row["shards"]):
                part = range(shard * size, min(len(scores), (shard + 1) * size))
                write_rows(Path(folder, "in", f"{shard:03}.arrow"), ({"row": i, "int_score": scores[i]} for i in part))
            target = Path(folder, "out.jsonl")
            run_program(
                step4_filter, f"--dataset_path={folder}/in", f"--score={row['threshold']}",
                f"--num_proc={row['num_proc']}", f"--output_path={target}",
            )  # fmt: skip
            kept = [one["row"] for one in read_rows(target)]
        wanted = row["intended_keeps"]
        yield verdict(kept if isinstance(wanted, list) else len(kept), wanted)


# ---------------------------------------------------------------- labels


@contextmanager
def recorded_figures() -> Iterator[list[dict]]:
    figures: list[dict] = []

    def record(figure: Figure, path: Path, *_: object, **__: object) -> None:
        Path(path).touch()  # what is renamed when it is whole
        axes = figure.axes[0]
        figures.append(
            {
                "labels": [label.get_text() for label in axes.get_xticklabels()],
                "percentages": [bar.get_height() for bar in axes.patches],
                "title": axes.get_title(),
                "file": Path(path).name.removesuffix(".part"),
                "xlabel": axes.get_xlabel(),
                "ylabel": axes.get_ylabel(),
                "yticks": axes.get_yticks().tolist(),
                "bar_texts": [text.get_text() for text in axes.texts],
                "figsize": figure.get_size_inches().tolist(),
            }
        )

    before, Figure.savefig = Figure.savefig, record
    try:
        yield figures
    finally:
        Figure.savefig = before


def check_shares(path: Path) -> Verdicts:
    for row in read_rows(path):
        with TemporaryDirectory() as folder, recorded_figures() as figures:
            for name, content in row["files"].items():
                file = Path(folder, row["result_path"].partition("/")[0], name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps(content), encoding="utf-8")
            failed = False
            try:
                result_path, output_dir = Path(folder, row["result_path"]), Path(folder, "out")
                run_program(
                    step6_plot_labels, "--paper_exact", "--result_path", result_path, "--output_dir", output_dir
                )
            except CommonError:
                failed = True
            same = failed == (row["error"] is not None) and len(figures) == len(row["figures"])
            yield same and all(map(same_figure, figures, row["figures"])), f"ours {figures}, released {row['figures']}"


def same_figure(ours: dict, released: dict) -> bool:
    numbers = ("percentages", "yticks")
    return all(
        near(ours[key], released[key], 1e-9) if key in numbers else ours[key] == released[key] for key in released
    )


# ---------------------------------------------------------------- launchers

RECORDER = """#!{python}
import json, os, sys
with open({calls!r}, "a") as file:
    file.write(json.dumps([*sys.argv[1:], "CUDA=" + os.environ.get("CUDA_VISIBLE_DEVICES", "")]) + "\\n")
sys.exit(any("FAILME" in word for word in sys.argv))
"""


def check_launchers(path: Path) -> Verdicts:
    """What each launcher runs under PAPER_EXACT=1: data sets, outputs, prompts, models, GPUs, and its exit code."""
    for row in read_rows(path):
        with TemporaryDirectory() as folder:
            calls, done = run_launcher(row, Path(folder))
        wanted = [call_facts(call) for call in row["calls"]]
        found = [call_facts([word.replace(folder, "DIR") for word in call]) for call in calls]
        if row["script"] == "run_plot_labeled_results.sh":
            found = sorted(found[:-1], key=str) + found[-1:]
            wanted = sorted(wanted[:-1], key=str) + wanted[-1:]
        ours, released = (done.returncode, found), (row["exit"], wanted)
        yield ours == released, f"ours {ours} {done.stderr[-300:]}, released {released}"


def run_launcher(row: dict, folder: Path) -> tuple[list[list[str]], subprocess.CompletedProcess]:
    calls = folder / "calls.jsonl"
    fake = folder / "bin" / "python"
    fake.parent.mkdir()
    fake.write_text(RECORDER.format(python=sys.executable, calls=str(calls)), encoding="utf-8")
    fake.chmod(0o755)
    if row["script"] == "run_label_datasets.sh":
        (folder / "sets.txt").write_bytes(row["list_file"].encode())
        command = ["step5_label.sh", "-d", f"{folder}/sets.txt", "-o", f"{folder}/out", *row["arguments"]]
    else:
        for name in row["files"]:
            file = folder / "b" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("{}", encoding="utf-8")
        command = ["step6_plot_labels.sh", "-b", f"{folder}/b", "-o", f"{folder}/out"]
    environment = {
        **{key: value for key, value in os.environ.items() if key not in ("CUDA_VISIBLE_DEVICES", "DRY_RUN")},
        "PATH": f"{fake.parent}:{os.environ['PATH']}",
        "VIRTUAL_ENV": str(folder),  # launch.sh looks for no other
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "PAPER_EXACT": "1",
    }
    done = subprocess.run(
        ["bash", FOLDER / command[0], *command[1:]], env=environment, cwd=folder, capture_output=True, text=True
    )
    found = [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []
    return found, done


def call_facts(call: list[str]) -> dict[str, str]:
    """Flags and values; which script, and flags of ours alone, left out."""
    flags = {word: value for word, value in zip(call, call[1:], strict=False) if word.startswith("--")}
    flags.pop("--paper_exact", None)
    return flags | {"CUDA": call[-1]}


CHECKS: dict[str, Callable[[Path], Verdicts]] = {
    "edu_scores_expected.jsonl": check_ratings,
    "edu_labels_expected.jsonl": check_labels,
    "edu_filter/rating_parse.jsonl": check_ratings,
    "edu_filter/label_parse.jsonl": check_labels,
    "edu_filter/int_score.jsonl": check_int_scores,
    "edu_filter/rate_run.jsonl": functools.partial(check_runs, step1_rate),
    "edu_filter/label_run.jsonl": functools.partial(check_runs, step5_label),
    "edu_filter/split.jsonl": check_split,
    "edu_filter/metrics.jsonl": check_metrics,
    "edu_filter/training*.jsonl": check_training,
    "edu_filter/scored_corpus.jsonl": check_scores,
    "edu_filter/filter.jsonl": check_filter,
    "edu_filter/label_shares.jsonl": check_shares,
    "edu_filter/launchers.jsonl": check_launchers,
}
COMPANIONS = ("edu_filter/train_rows.jsonl", "edu_filter/tiny_bert/*", "edu_filter/tiny_bert_trained/*")
