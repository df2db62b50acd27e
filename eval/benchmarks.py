"""The papers' benchmarks with lm_eval: generation tasks through our client and store, likelihood tasks in the process.

    python eval/benchmarks.py likelihood --model_name_or_path DIR --tasks mmlu,arc_challenge --save_path results/mine
    python eval/benchmarks.py generation --tasks ifeval,gsm8k --save_path results/mine --model NAME
    python eval/benchmarks.py fetch --tasks ifeval,mmlu --data DIR     # where there is a hub; then --data DIR anywhere

in   the tasks of eval/benchmark_tasks.py; --data DIR holds TASK/SPLIT.jsonl in the columns of the official data set
out  <save_path>/TASK.json {"accuracy": 0.31, "rows": 541, "settings": {…}, "note": "…"}, which compare_with_paper.py
     reads, and beside it the rows: TASK.samples.jsonl
"""

import argparse
import json
import os
import shutil
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from common.errors import BadInput, CommonError
from common.llm import LLMOptions, add_llm_arguments, llm_options
from common.manifest import hash_file, hash_text
from common.program import make_parser, positive, run_main
from common.rows import read_rows, write_rows, write_text
from eval import humaneval
from eval.benchmark_tasks import ALPACA_EVAL, HUB_FILES, QUESTIONS, SOURCES, SUITES, TASKS, limited
from eval.store_model import make_store_model

KINDS = ("likelihood", "generation", "own")  # what computes a task
KEPT = ("doc", "filtered_resps", "target")  # of a sample


def chosen_tasks(args: argparse.Namespace, kind: str | None = None) -> list[str]:
    names = [name for name in (args.tasks or "").split(",") if name] or SUITES.get(args.suite or "", [])
    if unknown := [name for name in names if name not in TASKS]:
        raise BadInput(f"--tasks: no {', '.join(unknown)}; there are {', '.join(TASKS)}")
    return [name for name in names if kind in (None, TASKS[name]["by"])]


def need_lm_eval() -> Any:
    os.environ.setdefault("HF_DATASETS_OFFLINE", os.environ.get("HF_HUB_OFFLINE", "0"))
    try:
        import lm_eval
    except ImportError:
        raise CommonError("these tasks are computed by lm_eval: pip install -c constraints.txt -e '.[eval]'") from None
    return lm_eval


def need_sentence_rules() -> None:
    """IFEval counts sentences with nltk's punkt_tab, and misses it only after everything was paid for."""
    import nltk

    try:
        nltk.data.find("tokenizers/punkt_tab")
    except LookupError:
        raise CommonError(
            "ifeval needs nltk's punkt_tab: python -m nltk.downloader punkt_tab where there is a network, "
            "then NLTK_DATA=THAT_FOLDER here"
        ) from None


# ---------------------------------------------------------------- local data


def leaves(manager: Any, name: str) -> list[str]:
    """The single tasks of a task or group."""
    entry = manager.task_index.get(name)
    if entry is None:
        raise BadInput(f"lm_eval knows no task {name}")
    inner = (entry.cfg or {}).get("task") if entry.kind.name == "GROUP" else None
    if entry.kind.name == "TAG":
        inner = [task for task, one in manager.task_index.items() if name in one.tags]
    if inner is None:
        return [name]
    names = [one if isinstance(one, str) else one["task"] for one in inner]
    return [leaf for one in names for leaf in leaves(manager, one)]


def task_file(manager: Any, name: str, data: Path | None, settings: dict, folder: Path) -> str:
    """The official task with our number of examples and longest answer, and with rows from DIR/NAME/SPLIT.jsonl."""
    entry = manager.task_index[name]
    task: dict[str, Any] = {"include": str(entry.yaml_path), "task": name, "tag": [], "num_fewshot": settings["shots"]}
    if "max_tokens" in settings:
        official = (entry.cfg or {}).get("generation_kwargs") or {}
        task["generation_kwargs"] = official | {"max_gen_toks": settings["max_tokens"]}
    if data is not None:
        files = {path.stem: str(path.resolve()) for path in sorted((data / name).glob("*.jsonl"))}
        if not files:
            raise BadInput(
                f"{data / name}: no SPLIT.jsonl there; `python eval/benchmarks.py fetch --tasks … --data {data}` makes "
                "it where there is a network"
            )
        task |= {"dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": files}}
    path = folder / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(task, ensure_ascii=False, indent=1) + "\n")  # JSON is YAML
    return str(path)


def task_files(manager: Any, name: str, args: argparse.Namespace) -> list[str]:
    settings = TASKS[name]
    data = Path(args.data) if args.data else None
    names = leaves(manager, settings["task"])
    if data is not None and len(names) > 1:  # of a group, the parts that are there
        names = [one for one in names if (data / one).is_dir()] or names[:1]
    return [task_file(manager, one, data, settings, Path(args.save_path, "tasks", name)) for one in names]


# ---------------------------------------------------------------- running and writing


def accuracy(results: dict, samples: dict, metrics: list[str]) -> tuple[float, int]:
    """The mean of the metrics over all leaves, weighted by their rows."""
    rows = {task: len({sample["doc_id"] for sample in found}) for task, found in samples.items()}  # one a filter
    total = sum(rows.values())
    means = [sum(results[task][metric] for metric in metrics) / len(metrics) * count for task, count in rows.items()]
    return sum(means) / total, total


def write_result(name: str, found: dict, settings: dict, args: argparse.Namespace) -> None:
    value, rows = accuracy(found["results"], found["samples"], TASKS[name]["metric"])
    limited = f"first {args.limit} rows of each task; " if args.limit else ""
    result = {"accuracy": value, "rows": rows, "settings": settings, "note": limited + TASKS[name]["note"]}
    folder = Path(args.save_path)
    samples = [
        {"task": task} | {key: sample[key] for key in KEPT}
        for task, some in found["samples"].items()
        for sample in some
    ]
    write_rows(folder / f"{name}.samples.jsonl", samples, allow_nan=True)
    write_text(folder / f"{name}.json", json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    print(f"{name}: {100 * value:.1f} % of {rows:,} rows{f' ({limited[:-2]})' if limited else ''}")


def data_of(manager: Any, name: str, data: str | None) -> str:
    """What the rows are that a figure is of: those of the hub, or the content of the files."""
    if data is None:
        return "hub"
    files = [path for leaf in leaves(manager, TASKS[name]["task"]) for path in sorted(Path(data, leaf).glob("*.jsonl"))]
    return hash_text("".join(f"{path.name} {hash_file(path)}" for path in files))


def is_done(name: str, settings: dict, save_path: str) -> bool:
    path = Path(save_path, f"{name}.json")
    return path.exists() and json.loads(path.read_text(encoding="utf-8")).get("settings") == settings


def run_tasks(args: argparse.Namespace, names: list[str], model: Any, about: dict, **more: Any) -> None:
    lm_eval = need_lm_eval()
    from lm_eval.tasks import TaskManager

    manager = TaskManager()
    Path(args.save_path).mkdir(parents=True, exist_ok=True)
    planned = Counter()
    for name in names:
        settings = about | {"task": TASKS[name]["task"], "shots": TASKS[name]["shots"], "limit": args.limit}
        settings["data"] = data_of(manager, name, args.data)
        if is_done(name, settings, args.save_path):
            continue
        asked = model(name)
        found = lm_eval.simple_evaluate(
            model=asked, tasks=task_files(manager, name, args), task_manager=manager, limit=args.limit,
            bootstrap_iters=0, log_samples=True, **more,
        )  # fmt: skip
        if getattr(args, "dry_run", False):
            planned += asked.planned
            print(f"{name}: {describe(asked.planned, llm_options(args))}")
        else:
            write_result(name, found, settings, args)
    if planned:
        print(f"all: {describe(planned, llm_options(args))}")


def describe(planned: Counter, options: LLMOptions) -> str:
    cost = options.cost(planned["tokens in"], planned["tokens out"])
    return (
        f"{planned['requests']:,} requests, prompt tokens about {planned['tokens in']:,}, answer tokens at most "
        f"{planned['tokens out']:,}, cost {'unknown' if cost is None else f'at most {cost:,.2f}'}"
    )


def run_generation(args: argparse.Namespace) -> None:
    names = chosen_tasks(args, "generation")
    if refused := chosen_tasks(args, "likelihood") if args.tasks else []:
        raise BadInput(
            f"{', '.join(refused)}: need the probabilities of given texts, which servers do not give; "
            "`likelihood --model_name_or_path DIR` computes them in the process"
        )
    need_lm_eval()
    if "ifeval" in names and not args.dry_run:
        need_sentence_rules()
    options = llm_options(args)
    folder = Path(args.save_path, "requests")

    def model(name: str) -> Any:
        return make_store_model(folder / name, options)

    chat = args.api == "chat"
    run_tasks(args, names, model, {"model": args.model, "api": args.api}, apply_chat_template=chat)


def run_likelihood(args: argparse.Namespace) -> None:
    lm_eval = need_lm_eval()
    import torch

    from common.model_identity import model_identity

    identity = model_identity(args.model_name_or_path)
    cache = Path(args.save_path, f"likelihood_{hash_text(identity)[:12]}")
    cache.parent.mkdir(parents=True, exist_ok=True)
    loaded: list[Any] = []

    def model(name: str) -> Any:
        if not loaded:  # once for all tasks
            settings = {"pretrained": args.model_name_or_path, "dtype": args.dtype, "batch_size": args.batch_size}
            if not torch.cuda.is_available():
                settings["device"] = "cpu"
            loaded.append(lm_eval.api.registry.get_model(args.backend)(**settings))
        return loaded[0]

    names = chosen_tasks(args, "likelihood")
    run_tasks(args, names, model, {"model": identity, "dtype": args.dtype}, use_cache=str(cache))


def run_fetch(args: argparse.Namespace) -> None:
    names, data = chosen_tasks(args), Path(args.data)
    if "alpaca_eval" in names:
        fetch_files(data)
    for place in SOURCES:
        if place.split("/")[0] in names and not (data / place).exists():
            print(f"{data / place}: not on the hub; it comes from {SOURCES[place]}", file=sys.stderr)
    for name in names:
        if TASKS[name]["by"] != "own":
            fetch_task(TASKS[name]["task"], data)


def fetch_task(task: str, data: Path) -> None:
    """TASK/SPLIT.jsonl of the official data set of each single task."""
    need_lm_eval()
    from lm_eval.tasks import TaskManager

    manager = TaskManager()
    for leaf in leaves(manager, task):
        for split, rows in manager.load([leaf])["tasks"][leaf].dataset.items():
            path = data / leaf / f"{split}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            print(f"{path}: {write_rows(path, rows):,} rows")


def fetch_files(data: Path) -> None:
    import huggingface_hub

    for place, name in HUB_FILES.items():
        path, source = data / place, huggingface_hub.hf_hub_download(ALPACA_EVAL, name, repo_type="dataset")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".csv":
            shutil.copyfile(source, path)
        else:
            write_rows(path, read_rows(source))
        print(path)


def run_questions(args: argparse.Namespace) -> None:
    """The questions of the tasks that scripts of this folder compute: all, or the first few."""
    for name in chosen_tasks(args, "own"):
        rows = humaneval.question_rows() if name == "humaneval" else read_rows(file_of(args.data, QUESTIONS[name]))
        written = write_rows(Path(args.save_path, f"{name}.questions.jsonl"), islice(rows, args.limit))
        print(f"{name}: {limited(name, written) or f'{written:,} rows'}")


def file_of(data: str | None, place: str) -> Path:
    path = Path(data or "", place)
    if not path.is_file():
        raise BadInput(f"{Path(data or '--data DIR', place)}: is missing; it comes from {SOURCES[place]}")
    return path


def run_list(args: argparse.Namespace) -> None:
    """A line of each kind, for the launcher; files that no hub has are looked for now."""
    for place in SOURCES:
        if place.split("/")[0] in chosen_tasks(args, "own") and not place.endswith(".csv"):
            file_of(args.data, place)
    for kind in KINDS:
        print(",".join(chosen_tasks(args, kind)))


# ---------------------------------------------------------------- command line


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    likelihood = commands.add_parser("likelihood", help="tasks that need the probabilities of given texts")
    generation = commands.add_parser("generation", help="tasks that a server answers")
    fetch = commands.add_parser("fetch", help="write the tasks' data to a folder, where there is a hub")
    listing = commands.add_parser("list", help="the chosen tasks, a line of each kind: " + ", ".join(KINDS))
    questions = commands.add_parser("questions", help="write the questions of tasks that other scripts here compute")
    programs = {likelihood: run_likelihood, generation: run_generation, fetch: run_fetch, listing: run_list}
    programs[questions] = run_questions
    for command, function in programs.items():
        command.set_defaults(run=function)
        command.add_argument("--tasks", help=f"some of {', '.join(TASKS)}, with commas")
        command.add_argument("--suite", choices=SUITES, help="those of a paper")
        command.add_argument("--data", required=command is fetch, help="folder with TASK/SPLIT.jsonl")
    for command in (likelihood, generation, questions):
        command.add_argument("--save_path", required=True, help="folder of the results")
        command.add_argument("--limit", type=positive, help="only the first rows of each task; the result says so")
    likelihood.add_argument("--model_name_or_path", required=True, help="folder or name of the model")
    likelihood.add_argument("--backend", choices=["hf", "vllm"], default="hf", help="what computes the probabilities")
    likelihood.add_argument("--dtype", default="auto", help="float32, bfloat16; auto: that of the model")
    likelihood.add_argument("--batch_size", type=positive, default=8, help="texts scored together")
    generation.add_argument("--api", choices=["chat", "completions"], default="chat", help="completions: a base model")
    add_llm_arguments(generation, temperature=0.0)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    args.run(args)


if __name__ == "__main__":
    run_main(main)
