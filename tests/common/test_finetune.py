"""Training on a tiny model made on the spot: loss falls, a killed run goes on to the same weights, LoRA merges."""

import importlib.metadata
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import types
from argparse import Namespace
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from common import manifest
from common.errors import BadInput, BadRow, CommonError, OutputInUse
from common.rows import read_rows, write_rows
from common.training import arguments, finetune, merge, small_model
from common.training.arguments import parse_args
from common.training.examples import read_examples
from common.training.plan import estimate_memory, refuse_what_cannot_fit
from common.training.restart import last_checkpoint
from tests.in_process import run_program

ROOT = Path(__file__).resolve().parents[2]
ROWS = [{"instruction": f"{a}+{b}=?", "output": str(a + b)} for a in range(10) for b in range(4)]
CONFIGS = sorted(path.relative_to(ROOT) for path in ROOT.glob("*/train*.yaml") if "scorer" not in path.name)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with rows and a model that has learned nothing."""
    folder = tmp_path_factory.mktemp("finetune")
    write_rows(folder / "rows.jsonl", ROWS)
    tokenizer = small_model.tokenizer_of(["0123456789+=?"], "characters", max_length=64)
    small_model.small_model(tokenizer, hidden=32, layers=1, seed=0).save_pretrained(folder / "start")
    tokenizer.save_pretrained(folder / "start")
    return folder


def command_line(place, name, *more):
    words = ["--data_path", place / "rows.jsonl", "--model_name_or_path", place / "start"]
    words += ["--output_dir", place / name, "--per_device_train_batch_size", 4, "--learning_rate", 3e-3]
    words += ["--logging_steps", 1, "--no_gradient_checkpointing", "--save_steps", 6]
    words += [] if "--num_train_epochs" in more else ["--max_steps", 12]
    return [*map(str, words), *map(str, more)]


def train(monkeypatch, capsys, place, name, *more):
    """The first and the last line that it prints as JSON."""
    monkeypatch.setattr(sys, "argv", ["finetune.py", *command_line(place, name, *more)])
    finetune.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith('{"')]
    return json.loads(lines[0]), json.loads(lines[-1])


def manifest_of(place, name):
    return json.loads((place / f"{name}.manifest.json").read_text(encoding="utf-8"))


def begun_from(place, name, other, *checkpoints):
    """What a run leaves behind that is killed after these checkpoints."""
    (place / name).mkdir()
    shutil.copy(place / other / "settings.json", place / name)
    for checkpoint in checkpoints:
        shutil.copytree(place / other / f"checkpoint-{checkpoint}", place / name / f"checkpoint-{checkpoint}")
    return place / name


def weights(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()


def logits(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        return model(**tokenizer("1+2=?", return_tensors="pt")).logits


@pytest.fixture(scope="module")
def whole(place):
    """A training that nobody disturbed; all tests share it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["finetune.py", *command_line(place, "whole")])
        finetune.main()
    return place / "whole"


# ---------------------------------------------------------------- restarts


def test_the_loss_falls_and_a_run_begun_again_ends_with_the_same_weights(monkeypatch, capsys, place, whole):
    facts = manifest_of(place, "whole")
    curve = dict(facts["loss"])
    assert curve[12] < curve[1] - 0.3
    assert (whole / "loss.png").stat().st_size > 1000
    assert manifest.verify(whole) == []
    assert facts["plan"]["steps"] == 12 and facts["counts"]["rows"] == len(ROWS)
    killed = begun_from(place, "killed", "whole", 6, 12)
    (killed / "checkpoint-12" / "trainer_state.json").unlink()  # it is written last
    timed: list[int] = []
    monkeypatch.setattr(finetune, "speed_of", lambda plan, steps, seconds: timed.append(steps) or {"seconds": seconds})
    plan, _ = train(monkeypatch, capsys, place, "killed")
    assert plan["goes_on_from"].endswith("checkpoint-6") and timed == [6]  # the speed is that of this run
    assert dict(manifest_of(place, "killed")["loss"]) == pytest.approx(curve, abs=1e-5)
    before, again = weights(whole), weights(killed)
    assert all(torch.allclose(before[name], again[name], atol=1e-6) for name in before)


def test_a_killed_process_goes_on_to_the_same_loss(monkeypatch, capsys, place, whole):
    command = [sys.executable, ROOT / "common/training/finetune.py", *command_line(place, "shot", "--save_steps", 2)]
    process = subprocess.Popen([*map(str, command)], cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (place / "shot" / "checkpoint-4").exists() and process.poll() is None:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    plan, _ = train(monkeypatch, capsys, place, "shot", "--save_steps", 2)
    assert plan["goes_on_from"] is not None
    loss = dict(manifest_of(place, "shot")["loss"])
    assert loss == pytest.approx(dict(manifest_of(place, "whole")["loss"]), abs=1e-5)


@pytest.mark.parametrize("length", [["--max_steps", 5], ["--num_train_epochs", 0.5]])
def test_a_training_that_is_done_is_not_done_again(monkeypatch, capsys, place, length):
    name = f"done{length[0]}"
    plan, last = train(monkeypatch, capsys, place, name, *length)
    assert plan["plan"]["steps"] == last["steps"] == 5
    files = {path: path.read_bytes() for path in place.rglob(f"{name}*/**/*") if path.is_file()}
    files[place / f"{name}.manifest.json"] = (place / f"{name}.manifest.json").read_bytes()
    assert train(monkeypatch, capsys, place, name, *length)[0] == {
        "done": str(place / name),
        "why": "trained with these data and settings before",
    }
    assert {path: path.read_bytes() for path in files} == files
    # Killed behind the last checkpoint: the model is saved, and no step is taken.
    (place / name / "model.safetensors").unlink()
    _, last = train(monkeypatch, capsys, place, name, *length)
    assert last["steps"] == 5 and manifest_of(place, name)["loss"] == json.loads(
        files[place / f"{name}.manifest.json"]
    ).get("loss")
    assert (place / name / "model.safetensors").read_bytes() == files[place / name / "model.safetensors"]
    assert not list((place / name).glob("checkpoint-6"))


def test_a_finished_model_without_checkpoints_is_kept(monkeypatch, capsys, place):
    more = ["--save_strategy", "no", "--max_steps", 2]
    train(monkeypatch, capsys, place, "no_checkpoints", *more)
    before = (place / "no_checkpoints" / "model.safetensors").read_bytes()
    assert "done" in train(monkeypatch, capsys, place, "no_checkpoints", *more)[0]
    with pytest.raises(BadInput, match="begun with other settings"):
        train(monkeypatch, capsys, place, "no_checkpoints", *more, "--weight_decay", 0.1)
    assert (place / "no_checkpoints" / "model.safetensors").read_bytes() == before


def test_steps_are_rounded_up(monkeypatch, capsys, place):
    plan, last = train(monkeypatch, capsys, place, "epochs", "--num_train_epochs", 2, "--total_batch_size", 12)
    assert plan["plan"]["batch_size"] == 12
    assert plan["plan"]["steps"] == last["steps"] == 8  # 40 rows, 12 a step, two times


def damage(checkpoint, what):
    file, size = what
    if size is None:
        (checkpoint / file).unlink()
    else:
        os.truncate(checkpoint / file, size)


@pytest.mark.parametrize(
    "what",
    [
        *[("trainer_state.json", size) for size in (None, 0, 100)],
        *[("model.safetensors", size) for size in (None, 0, 7, 100, 5000)],
        *[("optimizer.pt", size) for size in (None, 0, 3000)],
    ],
)
def test_torn_checkpoints_are_passed_over(tmp_path, whole, what):
    for step in (6, 12):
        shutil.copytree(whole / f"checkpoint-{step}", tmp_path / f"checkpoint-{step}")
    assert last_checkpoint(tmp_path).name == "checkpoint-12"
    damage(tmp_path / "checkpoint-12", what)
    assert last_checkpoint(tmp_path).name == "checkpoint-6"
    shutil.rmtree(tmp_path / "checkpoint-6")
    assert last_checkpoint(tmp_path) is None


def test_checkpoints_are_ordered_as_numbers(tmp_path, whole):
    for step in (9, 10, 100):
        checkpoint = shutil.copytree(whole / "checkpoint-6", tmp_path / f"checkpoint-{step}")
        state = json.loads((checkpoint / "trainer_state.json").read_text()) | {"global_step": step}
        (checkpoint / "trainer_state.json").write_text(json.dumps(state))
    (tmp_path / "checkpoint-best").mkdir()
    assert last_checkpoint(tmp_path).name == "checkpoint-100"
    shutil.rmtree(tmp_path / "checkpoint-100")
    assert last_checkpoint(tmp_path).name == "checkpoint-10"
    shutil.rmtree(tmp_path / "checkpoint-10")
    (tmp_path / "checkpoint-9").rename(tmp_path / "checkpoint-11")  # not what it says to be
    assert last_checkpoint(tmp_path) is None


@pytest.mark.parametrize(
    "more",
    [
        ["--learning_rate", 1e-4],
        ["--seed", 43],
        ["--max_length", 32],
        ["--lora_r", 4],
        ["--system_prompt", "1"],
        ["--per_device_train_batch_size", 2],
    ],
)
def test_other_settings_are_refused_with_a_sentence(monkeypatch, capsys, place, whole, more):
    begun_from(place, f"begun{more[0]}", "whole", 6)
    for name in (f"begun{more[0]}", "whole"):
        before = (place / name / "settings.json").read_bytes()
        with pytest.raises(CommonError, match=rf"begun with other settings.*[( ]{more[0][2:]} .*, now .*--output_dir"):
            train(monkeypatch, capsys, place, name, *more)
        assert (place / name / "settings.json").read_bytes() == before


def test_other_data_or_another_model_in_the_same_place_are_refused(monkeypatch, capsys, place, whole):
    begun_from(place, "elsewhere", "whole", 6)
    write_rows(place / "other.jsonl", ROWS[1:])
    with pytest.raises(CommonError, match="other settings .data "):
        train(monkeypatch, capsys, place, "elsewhere", "--data_path", place / "other.jsonl")
    with pytest.raises(CommonError, match="other settings .model "):
        train(monkeypatch, capsys, place, "elsewhere", "--model_name_or_path", whole / "checkpoint-6")
    # What does not change the result is free.
    shutil.copy(place / "rows.jsonl", place / "same.jsonl")
    more = ["--data_path", place / "same.jsonl", "--logging_steps", 2, "--save_steps", 3, "--ignore_memory"]
    plan, _ = train(monkeypatch, capsys, place, "elsewhere", *more)
    assert plan["goes_on_from"].endswith("checkpoint-6")


def test_a_model_of_somebody_elses_is_not_written_over(monkeypatch, capsys, place):
    before = (place / "start" / "model.safetensors").read_bytes()
    with pytest.raises(BadInput, match="both input and output"):
        train(monkeypatch, capsys, place, "start")
    shutil.copytree(place / "start", place / "foreign")
    with pytest.raises(BadInput, match="holds what was not made here"):
        train(monkeypatch, capsys, place, "foreign")
    for program, words in (
        (small_model, ["--data_path", place / "rows.jsonl"]),
        (merge, ["--adapter_path", place / "start"]),
    ):
        (place / "start" / "adapter_config.json").write_text("{}", encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["program", *map(str, words), "--save_path", str(place / "start")])
        with pytest.raises(BadInput, match="holds what was not made here"):
            program.main()
        (place / "start" / "adapter_config.json").unlink()
    assert (place / "start" / "model.safetensors").read_bytes() == before
    # Its own folder is another matter.
    words = ["--data_path", place / "rows.jsonl", "--save_path", place / "small", "--hidden", 32, "--layers", 1]
    monkeypatch.setattr(sys, "argv", ["small_model.py", *map(str, words)])
    small_model.main()
    first = (place / "small" / "model.safetensors").read_bytes()
    small_model.main()
    assert (place / "small" / "model.safetensors").read_bytes() == first


def test_a_full_disk_ends_with_a_sentence_and_the_run_goes_on(monkeypatch, capsys, place, whole):
    shutil.copy(place / "whole.manifest.json", place / "full.manifest.json")  # of an earlier training, since removed
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (10_000, 100_000):  # the weights do not fit; they do, the optimizer does not
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            with pytest.raises(CommonError, match="full: cannot be written: .*; the same command goes on"):
                train(monkeypatch, capsys, place, "full")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert not (place / "full.manifest.json").exists()  # it would say that the training is done
    train(monkeypatch, capsys, place, "full")
    loss = dict(manifest_of(place, "full")["loss"])
    assert loss == pytest.approx(dict(manifest_of(place, "whole")["loss"]), abs=1e-5)


def test_data_that_change_while_they_are_read_are_not_trained_on(monkeypatch, capsys, place):
    shutil.copy(place / "rows.jsonl", place / "growing.jsonl")

    def read(*what):
        found = read_examples(*what)
        with open(place / "growing.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(ROWS[0]) + "\n")
        return found

    monkeypatch.setattr(finetune, "read_examples", read)
    with pytest.raises(BadInput, match="growing.jsonl: changed while it was read"):
        train(monkeypatch, capsys, place, "unread", "--data_path", place / "growing.jsonl")
    assert not (place / "unread").exists()


def test_a_place_that_is_no_folder_is_named(monkeypatch, capsys, place):
    (place / "a_file").write_text("work", encoding="utf-8")
    (place / "notes").mkdir()
    (place / "notes" / "work.txt").write_text("work", encoding="utf-8")
    for name, problem in (("a_file", "cannot be used as a folder"), ("notes", "holds what was not made here")):
        with pytest.raises(BadInput, match=problem):
            train(monkeypatch, capsys, place, name)
    assert (place / "a_file").read_text() == (place / "notes" / "work.txt").read_text() == "work"


def test_two_runs_on_one_folder(monkeypatch, capsys, place):
    holder = (
        "from common.rows import locked; import sys\nwith locked(sys.argv[1]): print(1, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", holder, place / "taken"]
    with subprocess.Popen([*map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as other:
        other.stdout.readline()
        with pytest.raises(OutputInUse):
            train(monkeypatch, capsys, place, "taken")
        assert not (place / "taken").exists()
        other.stdin.close()


# ---------------------------------------------------------------- what is trained


def test_lora_merges_to_the_same_logits(monkeypatch, capsys, place):
    from peft import AutoPeftModelForCausalLM

    train(monkeypatch, capsys, place, "adapter", "--lora_r", 4)
    adapter = json.loads((place / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert (adapter["r"], adapter["lora_alpha"]) == (4, 8)
    ends = {name.rpartition(".")[2] for name in adapter["target_modules"]}
    assert ends >= {"q_proj", "v_proj", "up_proj", "down_proj"} and "lm_head" not in ends
    words = ["--adapter_path", place / "adapter", "--save_path", place / "merged", "--dtype", "float32"]
    monkeypatch.setattr(sys, "argv", ["merge.py", *map(str, words)])
    merge.main()
    tokenizer = AutoTokenizer.from_pretrained(place / "adapter")
    adapted = AutoPeftModelForCausalLM.from_pretrained(place / "adapter", dtype=torch.float32).eval()
    with torch.inference_mode():
        expected = adapted(**tokenizer("1+2=?", return_tensors="pt")).logits
    assert torch.allclose(logits(place / "merged"), expected, atol=1e-5)
    assert not torch.allclose(logits(place / "start"), expected, atol=1e-3)


def test_what_is_no_adapter_is_named(monkeypatch, place):
    monkeypatch.setattr(sys, "argv", ["merge.py", "--adapter_path", str(place / "start"), "--save_path", "x"])
    with pytest.raises(CommonError, match="adapter_config.json"):
        merge.main()


def test_packed_examples_do_not_see_each_other(place):
    options, training, model = parse_args(None, command_line(place, "packed", "--packing", "--max_length", 64))
    tokenizer = AutoTokenizer.from_pretrained(place / "start")
    examples, _, _ = read_examples(options.data_path, tokenizer, options, training)
    trainer = finetune.make_trainer(finetune.trainer_settings(training), model, tokenizer, examples)
    batch = next(iter(trainer.get_train_dataloader()))
    model, ids = trainer.model.eval(), batch["input_ids"]
    starts = (batch["position_ids"][0] == 0).nonzero().flatten().tolist()
    assert len(starts) > ids.shape[0]
    with torch.inference_mode():
        packed = model(**{key: value for key, value in batch.items() if key != "labels"}).logits[0]
        for start, end in zip(starts, [*starts[1:], ids.shape[1]], strict=True):
            alone = model(input_ids=ids[:, start:end]).logits[0]
            assert torch.allclose(packed[start:end], alone, atol=1e-4)


def test_source_and_target_may_be_longer_than_max_length_together(place):
    more = ["--max_source_length", 20, "--max_target_length", 5, "--too_long", "cut", "--max_length", 8]
    options, training, model = parse_args(None, command_line(place, "apart", *more))
    tokenizer = AutoTokenizer.from_pretrained(place / "start")
    examples, _, _ = read_examples(options.data_path, tokenizer, options, training)
    trainer = finetune.make_trainer(finetune.trainer_settings(training), model, tokenizer, examples)
    assert [len(row["input_ids"]) for row in trainer.train_dataset] == [len(row["input_ids"]) for row in examples]
    assert len(examples[0]["input_ids"]) > 20


def test_rows_to_evaluate_and_a_row_left_out(monkeypatch, capsys, place):
    write_rows(place / "with_bad.jsonl", [*ROWS[:8], {"instruction": "1"}, {"instruction": "1" * 90, "output": "1"}])
    more = ["--data_path", place / "with_bad.jsonl", "--on_bad_row", "skip", "--max_length", 60, "--max_steps", 2]
    more += ["--eval_data_path", place / "rows.jsonl", "--eval_strategy", "steps", "--eval_steps", 1]
    plan, _ = train(monkeypatch, capsys, place, "evaluated", *more)
    assert plan["counts"] == {"rows": 10, "dropped, too long": 1, "cut": 0, "bad rows": 1}
    left_out = list(read_rows(place / "evaluated.rejected.jsonl"))
    assert [row["index"] for row in left_out] == [8, 9]
    state = json.loads((place / "evaluated" / "checkpoint-2" / "trainer_state.json").read_text(encoding="utf-8"))
    assert sum("eval_loss" in entry for entry in state["log_history"]) == 2


# ---------------------------------------------------------------- arguments


def arguments_of(*more):
    return parse_args(None, ["--data_path", "d", "--model_name_or_path", "m", "--output_dir", "o", *map(str, more)])


def test_the_arguments_are_trls():
    more = ["--max_grad_norm", 0.5, "--lr_scheduler_type", "constant_with_warmup", "--warmup_steps", 50]
    _, training, model = arguments_of(*more, "--report_to", "tensorboard", "--neftune_noise_alpha", 5, "--use_rslora")
    assert (training.max_grad_norm, training.lr_scheduler_type, training.warmup_steps) == (
        0.5,
        "constant_with_warmup",
        50,
    )
    assert (training.report_to, training.neftune_noise_alpha, model.use_rslora) == ("tensorboard", 5, True)


def test_nothing_leaves_the_machine_or_grows_unasked():
    options, training, model = arguments_of()
    assert (training.report_to, training.push_to_hub, training.trust_remote_code) == ("none", False, False)
    assert (training.save_total_limit, training.deepspeed, model.use_peft) == (2, None, False)
    assert (options.loss_on, options.too_long, options.on_bad_row) == ("response", "drop", "stop")


@pytest.fixture
def installed(monkeypatch):
    """With the extra `train`."""
    monkeypatch.setattr(arguments, "require", lambda *what: None)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_every_methods_settings_are_read(config, installed, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("WORLD_SIZE", "8")
    options, training, model = arguments_of("--config", config)
    wanted = yaml.safe_load(config.read_text(encoding="utf-8"))
    found = vars(options) | vars(training) | vars(model)
    assert {name: found[name] for name in wanted if name != "deepspeed"} == {
        name: float(value) if isinstance(found[name], float) else value
        for name, value in wanted.items()
        if name != "deepspeed"
    }
    assert Path(training.deepspeed).stem == wanted["deepspeed"]
    batch = training.per_device_train_batch_size * training.gradient_accumulation_steps * 8
    assert batch == wanted["total_batch_size"]
    # The command line goes before the file, wherever it stands.
    assert arguments_of(f"--config={config}", "--learning_rate", 1, "--deepspeed", "none")[1].learning_rate == 1
    assert arguments_of("--learning_rate", 1, "--config", config)[1].learning_rate == 1


def test_the_papers_settings(installed):
    _, training, _ = arguments_of("--config", ROOT / "web_to_sft/train_converter.yaml")
    assert (training.learning_rate, training.weight_decay, training.adam_beta2) == (5e-6, 0.01, 0.95)
    assert (training.num_train_epochs, training.lr_scheduler_type, training.warmup_steps) == (3, "cosine", 0.01)
    assert training.per_device_train_batch_size * training.gradient_accumulation_steps == 128
    exact, training, _ = arguments_of("--config", ROOT / "web_to_sft/train_paper_exact.yaml")
    assert (exact.loss_on, training.max_length, exact.too_long) == ("all", 512, "cut")
    solver = (ROOT / "web_to_sft/train_solver.yaml").read_text(encoding="utf-8").split("\n", 1)[1]
    assert (ROOT / "web_to_sft/train_converter.yaml").read_text(encoding="utf-8").endswith(solver)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("loss_on: everything", "--loss_on everything: expected one of response, all"),
        ("dtype: int8", "--dtype int8: expected auto, bfloat16"),
        ("- a\n- b", "must contain a YAML mapping"),
        ("a: [", "expected"),
        ("assistant_only_loss: true", "--assistant_only_loss has no use here"),
        ("max_source_length: 5", "give both"),
        ("deepspeed: zero9", "--deepspeed zero9: no such file; known by name: zero2"),
        ("total_batch_size: 12", "8 rows at once do not divide it"),
        ("total_batch_size: 16\ngradient_accumulation_steps: 3", "give one of them"),
    ],
)
def test_a_file_that_will_not_do_is_named(tmp_path, text, problem):
    (tmp_path / "train.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=problem):
        arguments_of("--config", tmp_path / "train.yaml")


def test_what_is_not_known_is_named(tmp_path, capsys):
    (tmp_path / "train.yaml").write_text("learning_rat: 1", encoding="utf-8")
    for more in (["--config", tmp_path / "train.yaml"], ["--learning_rat", 1]):
        with pytest.raises(SystemExit):
            arguments_of(*more)
        assert "--learning_rat 1" in capsys.readouterr().err
    with pytest.raises(BadInput, match="none.yaml"):
        arguments_of("--config", tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "more",
    [
        ["--load_in_4bit"],
        ["--load_in_8bit"],
        ["--optim", "paged_adamw_8bit"],
        ["--optim", "adamw_bnb_8bit"],
        ["--deepspeed", "zero2"],
    ],
)
def test_what_needs_a_package_that_is_absent_is_refused(monkeypatch, more):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    package = "deepspeed" if "--deepspeed" in more else "bitsandbytes"
    with pytest.raises(BadInput, match=f"{' '.join(more)} needs {package}, which is not installed: pip install"):
        arguments_of(*more)
    assert arguments_of("--use_peft", "--optim", "adamw_torch_4bit")[2].lora_r == 16


def test_qlora(installed):
    _, _, model = arguments_of("--load_in_4bit")
    assert model.use_peft and model.use_bnb_nested_quant and (model.lora_r, model.lora_alpha) == (16, 32)
    with pytest.raises(BadInput, match="zero2"):
        arguments_of("--load_in_4bit", "--deepspeed", "zero3")


# ---------------------------------------------------------------- the plan


@pytest.mark.parametrize(("zero", "advice"), [(None, "zero2"), ("zero2", "zero3"), ("zero3", "zero3_offload")])
def test_what_cannot_fit_is_refused_with_advice(zero, advice):
    plan = {"gb_per_gpu_without_activations": 120.0, "gb_there": 80.0, "parameters": 7_700_000_000}
    with pytest.raises(CommonError, match=f"7.7B parameters take 120.0 GB.*{advice}.*--lora_r 16"):
        refuse_what_cannot_fit(plan, zero, use_peft=False)
    refuse_what_cannot_fit(plan | {"gb_there": 121.0}, zero, use_peft=False)


def test_memory_without_deepspeed():
    full, lora, qlora = (
        Namespace(use_peft=rank > 0, lora_r=rank, load_in_4bit=four, load_in_8bit=False)
        for rank, four in ((0, False), (16, False), (16, True))
    )
    needed = [estimate_memory(None, model, 2**30, 2**20, 1, 1) for model in (full, lora, qlora)]
    assert needed[0] == 16 and 2 < needed[1] < 3 and needed[2] < 1


def test_zero3_shares_the_frozen_base_as_well(monkeypatch):
    stage3 = types.ModuleType("stage3")
    stage3.estimate_zero3_model_states_mem_needs = lambda *what, **how: (0, 0, 0)
    monkeypatch.setitem(sys.modules, "deepspeed.runtime.zero.stage3", stage3)
    for name in ("deepspeed", "deepspeed.runtime", "deepspeed.runtime.zero"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    lora = Namespace(use_peft=True, lora_r=16, load_in_4bit=False, load_in_8bit=False)
    assert estimate_memory("zero3.json", lora, 2**30, 2**20, 8, 1) == 2 / 8


@pytest.mark.parametrize(
    ("more", "dtype"),
    [
        ([], torch.float32),
        (["--dtype", "bfloat16"], torch.float32),  # nothing would keep 32 bits beside them
        (["--dtype", "bfloat16", "--lora_r", 4], torch.bfloat16),  # the frozen base
    ],
)
def test_weights_that_train_stay_in_32_bits_without_deepspeed(place, more, dtype):
    _, training, model = parse_args(None, command_line(place, "dtype", *more))
    assert training.bf16 == ("bfloat16" in more)
    assert finetune.load_model(training, model).dtype == dtype


# ---------------------------------------------------------------- rows


def test_a_bad_row_is_named_or_left_out(place):
    def read(*more):
        options, training, _ = arguments_of(*more)
        return read_examples(str(place / "bad.jsonl"), tokenizer, options, training)

    tokenizer = AutoTokenizer.from_pretrained(place / "start")
    write_rows(place / "bad.jsonl", [ROWS[0], {"instruction": "1+1=?"}, *ROWS[1:3]])
    with pytest.raises(BadRow, match="row 1: no key 'output'"):
        read()
    examples, counts, left_out = read("--on_bad_row", "skip")
    assert len(examples) == 3 and counts["bad rows"] == 1 and left_out[0]["index"] == 1
    with pytest.raises(CommonError, match="'dropped, too long': 3"):
        read("--on_bad_row", "skip", "--max_length", 3)
    write_rows(place / "bad.jsonl", [{"messages": []}, {"messages": [{"role": "user", "content": "1"}]}, ROWS[0]])
    assert read("--on_bad_row", "skip")[1]["bad rows"] == 2


def test_a_model_that_does_not_fit_on_the_disk_is_a_sentence_and_the_same_command_goes_on(monkeypatch, tmp_path):
    write_rows(tmp_path / "rows.jsonl", [{"text": "abc"}])
    words = ["--data_path", tmp_path / "rows.jsonl", "--save_path", tmp_path / "model", "--hidden", 32, "--layers", 1]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (0, 600, 10_000):  # neither does anything fit, nor the settings, nor the weights
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            with pytest.raises(CommonError, match="cannot be written: "):
                run_program(small_model, *words)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "parameters" in run_program(small_model, *words)
