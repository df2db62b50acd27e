"""Training on a tiny model made on the spot: loss falls, a killed run goes on to the same weights, LoRA merges."""

import json
import shutil
import sys
from argparse import Namespace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from common.errors import BadRow, CommonError
from common.rows import write_rows
from common.training import finetune, merge
from common.training.small_model import character_tokenizer, small_model

ROWS = [{"instruction": f"{a}+{b}=?", "output": str(a + b)} for a in range(10) for b in range(4)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with rows and a model that has learned nothing."""
    folder = tmp_path_factory.mktemp("finetune")
    write_rows(folder / "rows.jsonl", ROWS)
    tokenizer = character_tokenizer("0123456789+=?", max_length=64)
    small_model(tokenizer, hidden=32, layers=1, seed=0).save_pretrained(folder / "start")
    tokenizer.save_pretrained(folder / "start")
    return folder


def train(monkeypatch, capsys, place, name, *more):
    arguments = [
        "--data_path",
        place / "rows.jsonl",
        "--model_name_or_path",
        place / "start",
        "--output_dir",
        place / name,
    ]
    arguments += ["--deepspeed", "none", "--per_device_train_batch_size", 4, "--learning_rate", 3e-3, "--max_steps", 12]
    arguments += ["--logging_steps", 1, "--no_gradient_checkpointing", "--save_steps", 6]
    monkeypatch.setattr(sys, "argv", ["finetune.py", *map(str, arguments), *map(str, more)])
    finetune.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith('{"')]
    return json.loads(lines[0]), json.loads(lines[-1])


def weights(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()


def logits(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        return model(**tokenizer("1+2=?", return_tensors="pt")).logits


def test_the_loss_falls_and_a_run_begun_again_ends_with_the_same_weights(monkeypatch, capsys, place):
    plan, _ = train(monkeypatch, capsys, place, "whole")
    curve = dict(json.loads((place / "whole.manifest.json").read_text(encoding="utf-8"))["loss"])
    assert curve[12] < curve[1] - 0.3
    assert (place / "whole" / "loss.png").stat().st_size > 1000
    assert plan["plan"]["steps"] == 12 and plan["counts"]["rows"] == len(ROWS) and plan["goes_on_from"] is None
    # What a run leaves behind that is killed while it writes its second checkpoint.
    (place / "killed").mkdir()
    shutil.copy(place / "whole" / "settings.json", place / "killed")
    shutil.copytree(place / "whole" / "checkpoint-6", place / "killed" / "checkpoint-6")
    shutil.copytree(place / "whole" / "checkpoint-12", place / "killed" / "checkpoint-12")
    (place / "killed" / "checkpoint-12" / "trainer_state.json").unlink()
    plan, _ = train(monkeypatch, capsys, place, "killed")
    assert plan["goes_on_from"].endswith("checkpoint-6")
    again = dict(json.loads((place / "killed.manifest.json").read_text(encoding="utf-8"))["loss"])
    assert again == pytest.approx(curve, abs=1e-5)
    whole, killed = weights(place / "whole"), weights(place / "killed")
    assert all(torch.allclose(whole[name], killed[name], atol=1e-6) for name in whole)


def test_a_folder_begun_with_other_data_or_settings_is_refused(monkeypatch, capsys, place):
    train(monkeypatch, capsys, place, "begun", "--max_steps", 6)
    write_rows(place / "other.jsonl", ROWS[1:])
    for more, named in [
        (["--learning_rate", 1e-4], "learning_rate 0.003, now 0.0001"),
        (["--data_path", place / "other.jsonl"], "data"),
    ]:
        with pytest.raises(CommonError, match=f"begun with other settings.*{named}"):
            train(monkeypatch, capsys, place, "begun", "--max_steps", 6, *more)
    plan, _ = train(monkeypatch, capsys, place, "begun", "--max_steps", 6, "--logging_steps", 2)
    assert plan["goes_on_from"].endswith("checkpoint-6")


def test_lora_merges_to_the_same_logits(monkeypatch, capsys, place):
    from peft import AutoPeftModelForCausalLM

    train(monkeypatch, capsys, place, "adapter", "--lora_rank", 4)
    arguments = ["--adapter_path", place / "adapter", "--save_path", place / "merged", "--dtype", "float32"]
    monkeypatch.setattr(sys, "argv", ["merge.py", *map(str, arguments)])
    merge.main()
    tokenizer = AutoTokenizer.from_pretrained(place / "adapter")
    adapted = AutoPeftModelForCausalLM.from_pretrained(place / "adapter", dtype=torch.float32).eval()
    with torch.inference_mode():
        expected = adapted(**tokenizer("1+2=?", return_tensors="pt")).logits
    assert torch.allclose(logits(place / "merged"), expected, atol=1e-5)
    assert not torch.allclose(logits(place / "start"), expected, atol=1e-3)


def test_packed_examples_do_not_see_each_other(monkeypatch, place):
    args = args_of(monkeypatch, "--packing", "--deepspeed", "none", "--max_length", "64", "--no_gradient_checkpointing")
    args.model_name_or_path, args.output_dir = str(place / "start"), str(place / "packed")
    args.data_path, args.use_cpu, args.bf16 = str(place / "rows.jsonl"), True, False
    tokenizer = AutoTokenizer.from_pretrained(place / "start")
    examples, _ = finetune.read_examples(args, tokenizer)
    trainer = finetune.make_trainer(args, finetune.training_arguments(args), tokenizer, examples, 1)
    batch = next(iter(trainer.get_train_dataloader()))
    model, ids = trainer.model.eval(), batch["input_ids"]
    starts = (batch["position_ids"][0] == 0).nonzero().flatten().tolist()
    assert len(starts) > ids.shape[0]
    with torch.inference_mode():
        packed = model(**{key: value for key, value in batch.items() if key != "labels"}).logits[0]
        for start, end in zip(starts, [*starts[1:], ids.shape[1]], strict=True):
            alone = model(input_ids=ids[:, start:end]).logits[0]
            assert torch.allclose(packed[start:end], alone, atol=1e-4)


def test_what_is_no_adapter_is_named(monkeypatch, place):
    monkeypatch.setattr(sys, "argv", ["merge.py", "--adapter_path", str(place / "start"), "--save_path", "x"])
    with pytest.raises(CommonError, match="adapter_config.json"):
        merge.main()


def args_of(monkeypatch, *more):
    monkeypatch.setattr(sys, "argv", ["f", "--data_path", "d", "--model_name_or_path", "m", "--output_dir", "o", *more])
    return finetune.parse_args()


def test_the_papers_settings_are_the_defaults(monkeypatch):
    args = args_of(monkeypatch)
    assert (args.learning_rate, args.weight_decay, args.adam_beta2, args.warmup_ratio) == (5e-6, 0.01, 0.95, 0.01)
    assert (args.num_train_epochs, args.per_device_train_batch_size, args.lr_scheduler_type) == (3, 16, "cosine")
    assert (args.deepspeed, args.no_gradient_checkpointing, args.loss_on) == ("zero2", False, "response")
    exact = args_of(monkeypatch, "--paper_exact")
    assert (exact.loss_on, exact.max_length, exact.too_long) == ("all", 512, "cut")
    assert args_of(monkeypatch, "--qlora").lora_rank == 16


@pytest.mark.parametrize(("zero", "advice"), [("none", "zero2"), ("zero2", "zero3"), ("zero3", "zero3_offload")])
def test_what_cannot_fit_is_refused_with_advice(zero, advice):
    plan = {"gb_per_gpu_without_activations": 120.0, "gb_there": 80.0, "parameters": 7_700_000_000}
    args = Namespace(deepspeed=zero, ignore_memory=False)
    with pytest.raises(CommonError, match=f"7.7B parameters take 120.0 GB.*{advice}"):
        finetune.refuse_what_cannot_fit(plan, args)
    args.ignore_memory = True
    finetune.refuse_what_cannot_fit(plan, args)


def test_memory_without_deepspeed(monkeypatch):
    full = finetune.estimate_memory(args_of(monkeypatch, "--deepspeed", "none"), 2**30, 2**20, 1, 1)
    lora = finetune.estimate_memory(
        args_of(monkeypatch, "--deepspeed", "none", "--lora_rank", "16"), 2**30, 2**20, 1, 1
    )
    qlora = finetune.estimate_memory(args_of(monkeypatch, "--deepspeed", "none", "--qlora"), 2**30, 2**20, 1, 1)
    assert full == 16 and 2 < lora < 3 and qlora < 1


def test_a_bad_row_is_named_or_left_out(monkeypatch, capsys, place):
    write_rows(place / "bad.jsonl", [ROWS[0], {"instruction": "1+1=?"}, *ROWS[1:3]])
    tokenizer = AutoTokenizer.from_pretrained(place / "start")
    args = args_of(monkeypatch)
    args.data_path = str(place / "bad.jsonl")
    with pytest.raises(BadRow, match="row 1: no key 'output'"):
        finetune.read_examples(args, tokenizer)
    args.on_bad_row = "skip"
    examples, counts = finetune.read_examples(args, tokenizer)
    assert len(examples) == 3 and counts["bad rows"] == 1
    write_rows(place / "turns.jsonl", [{"messages": []}, {"messages": [{"role": "user", "content": "1"}]}, ROWS[0]])
    args.data_path = str(place / "turns.jsonl")
    assert finetune.read_examples(args, tokenizer)[1]["bad rows"] == 2
    args.data_path = str(place / "bad.jsonl")
    args.max_length = 3
    with pytest.raises(CommonError, match="'dropped, too long': 3"):
        finetune.read_examples(args, tokenizer)
