"""Each method's output, as its README's sample commands leave it, goes into the trainers that others wrote.

TRL needs the extra `train`; LLaMA-Factory has an environment of its own (setup_llama_factory.sh).
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from datasets import load_dataset

from tests.superfiltering.conftest import make_model, make_tokenizer
from tests.test_alone import METHODS, ROOT, SAMPLE_BLOCK, lift  # noqa: F401

pytestmark = pytest.mark.peers

LLAMA_FACTORY = ROOT / ".venv-llamafactory" / "bin" / "llamafactory-cli"
CHAT = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
OUTPUTS = {
    "augcon": "augcon_sample/sft.jsonl",
    "edu_filter": "edu_filter_sample/kept.jsonl",
    "superfiltering": "superfiltering_sample/selected.json",
    "web_to_sft": "web_to_sft_sample/solver.jsonl",
    "webr": "webr/data/webr.jsonl",
}


@pytest.fixture(params=METHODS)
def data(request, lift):  # noqa: F811
    """The method's last output, its card and LLaMA-Factory's table beside it."""
    method, run = request.param, lift("common", request.param)
    block = SAMPLE_BLOCK.findall((ROOT / method / "README.md").read_text(encoding="utf-8"))[0]
    output = Path("results") / OUTPUTS[method]
    card = f"python -m common.dataset_card --method {method} --data_path {output}"
    done = run("bash", "-euo", "pipefail", "-c", f"{block}\n{card}\nrealpath {output}")
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip().splitlines()[-1])


@pytest.fixture
def model(tmp_path):
    tokenizer = make_tokenizer(bos=False)
    tokenizer.chat_template = CHAT
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(tmp_path / "start")
    make_model("gpt2", len(tokenizer)).save_pretrained(tmp_path / "start")
    return tmp_path / "start"


def test_trl_and_llama_factory_train_on_it(data, model, tmp_path):
    entry = json.loads(data.with_name("dataset_info.json").read_text(encoding="utf-8"))[data.stem]
    rows = load_dataset(str(data.parent), split="train", cache_dir=str(tmp_path / "cache"))
    train_with_trl(rows, entry["columns"], model, tmp_path / "trl")
    train_with_llama_factory(data, entry, model, tmp_path / "llama_factory")


def train_with_trl(rows, columns, model, output):
    from trl import SFTConfig, SFTTrainer

    names = {"prompt": "prompt", "response": "completion"} if "response" in columns else {"prompt": "text"}
    if "messages" not in columns:
        rows = rows.rename_columns({columns[role]: name for role, name in names.items()}).select_columns(
            list(names.values())
        )
    settings = SFTConfig(
        output_dir=str(output),
        max_length=64,
        max_steps=2,
        per_device_train_batch_size=2,
        use_cpu=True,
        bf16=False,
        report_to=[],
        save_strategy="no",
    )
    result = SFTTrainer(str(model), settings, train_dataset=rows).train()
    assert result.global_step == 2 and result.training_loss > 0


def train_with_llama_factory(data, entry, model, output):
    settings = {
        "model_name_or_path": str(model),
        "stage": "sft" if "response" in entry["columns"] or "messages" in entry["columns"] else "pt",
        "do_train": True,
        "finetuning_type": "full",
        "dataset_dir": str(data.parent),
        "dataset": data.stem,
        "template": "default",
        "cutoff_len": 64,
        "output_dir": str(output),
        "max_steps": 2,
        "per_device_train_batch_size": 2,
        "use_cpu": True,
        "report_to": "none",
    }
    config = output.with_suffix(".yaml")  # JSON is YAML, and its own JSON reader fails
    config.write_text(json.dumps(settings))
    env = os.environ | {"DISABLE_VERSION_CHECK": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    env |= {"HF_HOME": str(output.parent / "hf")}
    env.pop("PYTHONPATH", None)
    done = subprocess.run([LLAMA_FACTORY, "train", config], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    trained = json.loads((output / "trainer_state.json").read_text())
    assert trained["global_step"] == 2 and trained["log_history"][-1]["train_loss"] > 0
