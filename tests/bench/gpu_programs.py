"""The parts of tests/bench/gpu.sh that start programs: a training with each method's settings, and a server."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from common import manifest
from common.rows import write_rows
from common.training import finetune, small_model
from tests.bench import figures
from tests.bench.gpu_sizes import SMALL, Size
from tests.in_process import run_program

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ("web_to_sft/train_converter.yaml", "superfiltering/train.yaml", "webr/train.yaml", "augcon/train.yaml")


def make_language_model(size: Size, folder: Path) -> Path:
    tokenizer = small_model.tokenizer_of(map(chr, range(32, 127)), "characters", max_length=4096)
    small_model.small_model(tokenizer, size.hidden, size.layers, seed=0).save_pretrained(folder / "llama")
    tokenizer.save_pretrained(folder / "llama")
    return folder / "llama"


def measure_training(size: Size, folder: Path) -> list[dict]:
    """A few steps with the settings of each method's file. Without DeepSpeed they are taken all the same, and said."""
    model, rows = make_language_model(size, folder), folder / "rows.jsonl"
    answer = "To add two numbers, write one below the other. " * (1 if size is SMALL else 16)
    texts = ({"question": f"What is {n}?", "answer": answer} for n in range(size.rows))
    write_rows(rows, ({"instruction": text["question"], "output": answer} | text for text in texts))
    deepspeed = size is not SMALL and importlib.util.find_spec("deepspeed") is not None
    found = []
    for config in CONFIGS:
        if needs_bitsandbytes(config) and not importlib.util.find_spec("bitsandbytes"):
            print(f"{config}: not measured, needs bitsandbytes", file=sys.stderr)
            continue
        output = folder / config.replace("/", "_").removesuffix(".yaml")
        words = ["--config", config, "--data_path", rows, "--model_name_or_path", model, "--output_dir", output]
        words += ["--max_steps", 1 if size is SMALL else 8, "--logging_steps", 1, "--save_strategy", "no"]
        if deepspeed:
            launcher = ["deepspeed", "--num_gpus", 1, "--master_port", free_port(), "common/training/finetune.py"]
            subprocess.run([*map(str, launcher + words)], cwd=ROOT, check=True, env=environment())
        else:
            run_program(finetune, *words, "--deepspeed", "none")
        found.append(speed_of(config, manifest.read(output), deepspeed))
        shutil.rmtree(output)
    return found


def needs_bitsandbytes(config: str) -> bool:
    return "load_in_4bit: true" in (ROOT / config).read_text(encoding="utf-8")


def speed_of(config: str, said: dict, deepspeed: bool) -> dict:
    speed, parameters = said["speed"], said["plan"]["parameters"] / 1e6
    what = f"a training step with {config}, {parameters:,.0f}M parameters{'' if deepspeed else ', without DeepSpeed'}"
    detail = f"{speed['tokens_per_second']:,.0f} tokens/s, last loss {said['loss'][-1][1]:.2f}"
    detail += f", {speed['share_of_peak']:.0%} of the peak" if "share_of_peak" in speed else ""
    return figures.figure(what, speed["seconds"] / len(said["loss"]), "s", detail=detail)


def measure_vllm(size: Size, folder: Path) -> list[dict]:
    """Our client on a server of its own: vLLM where it is installed; the stand-in, which shows that this runs."""
    engine = "standin" if size is SMALL else "vllm"
    if engine == "vllm" and not shutil.which("vllm", path=environment()["PATH"]):
        print("vLLM: not measured, not installed", file=sys.stderr)
        return []
    model, answers = make_language_model(size, folder), folder / "answers.jsonl"
    write_rows(folder / "questions.jsonl", ({"prompt": f"What is {n} and why?"} for n in range(size.questions)))
    serve = ["bash", "common/llm/serve.sh", "--engine", engine, "--port", free_port()]
    if engine == "vllm":
        serve += ["--model", model, "--tensor_parallel", 1, "--limit", 240, "--max-model-len", 2048]
    ask = [sys.executable, "eval/generate.py", "--data_path", folder / "questions.jsonl", "--save_path", answers]
    ask += ["--max_tokens", 128, "--keep_truncated", "--keep_empty"]
    command = [*map(str, [*serve, "--", *ask])]
    subprocess.run(command, cwd=ROOT, check=True, env=environment())
    said = manifest.read(answers)
    rate = said["counts"]["requests"] / said["seconds"]
    detail = f"{said['counts']['tokens out'] / said['seconds']:,.0f} tokens/s"
    return [figures.figure(f"requests a second on {engine}, a small model, 128 tokens", rate, "/s", detail=detail)]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def environment() -> dict[str, str]:
    """This Python's programs come first, and no server but our own is asked."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    return kept | {"PYTHONPATH": str(ROOT), "PATH": path, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
