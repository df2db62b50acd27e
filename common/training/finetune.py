"""Supervised fine-tuning for every method: full, LoRA or QLoRA, on TRL's trainer under DeepSpeed.

    deepspeed --num_gpus 8 common/training/finetune.py --config web_to_sft/train_converter.yaml \\
        --data_path converter.jsonl --model_name_or_path Qwen/Qwen1.5-7B-Chat --output_dir converter_model

in   rows as in common/conversations.py: {"instruction": …, "input": …, "output": …}, {"messages": […]}, ShareGPT
out  the model, its checkpoints, loss.png, settings.json; <output_dir>.manifest.json, <output_dir>.rejected.jsonl
The same command goes on from the last whole checkpoint, and does nothing once it is done. Several machines: --hostfile
hosts.txt instead of --num_gpus. One CPU or GPU: python common/training/finetune.py … --deepspeed none
"""

import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without an install

from common import manifest
from common.errors import BadInput, CommonError
from common.model_identity import model_identity
from common.program import run_main
from common.rows import input_files, locked, refuse_overlap, replacing
from common.training import hush_bars
from common.training.arguments import Options, parse_args
from common.training.examples import Example, left_out_path, read_examples, write_left_out
from common.training.plan import make_plan, processes_and_nodes, refuse_what_cannot_fit, speed_of
from common.training.restart import begin, is_done, last_checkpoint, saying_what_cannot_be_written, settings_of, step_of


class AlreadyTrained(Exception):
    """The checkpoint to go on from is that of the last step; only the model is still to be saved."""


def load_tokenizer(training: Any, model: Any) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            model.model_name_or_path, revision=model.model_revision, trust_remote_code=training.trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise BadInput(f"--model_name_or_path {model.model_name_or_path}: {error}") from None
    # TRL does these two later, when the rows are tokenized already.
    if training.eos_token and training.eos_token not in tokenizer.get_vocab():
        raise BadInput(f"--eos_token {training.eos_token}: the tokenizer does not know it")
    tokenizer.eos_token = training.eos_token or tokenizer.eos_token
    if training.chat_template_path:
        try:
            tokenizer.chat_template = Path(training.chat_template_path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"--chat_template_path: expected a file of Jinja: {error}") from None
        training.chat_template_path = None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(training: Any, model: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM
    from trl import get_quantization_config

    # Without DeepSpeed nothing keeps weights in 32 bits beside those in 16, so they stay in 32.
    small = training.deepspeed is not None or model.use_peft
    options = {
        "dtype": getattr(torch, model.dtype) if small and model.dtype != "float16" else torch.float32,
        "attn_implementation": model.attn_implementation,
        "quantization_config": get_quantization_config(model),
        "revision": model.model_revision,
        "trust_remote_code": training.trust_remote_code,
    } | (training.model_init_kwargs or {})
    training.model_init_kwargs = None
    try:
        return AutoModelForCausalLM.from_pretrained(model.model_name_or_path, **options)
    except (OSError, ValueError, ImportError) as error:
        raise BadInput(f"--model_name_or_path {model.model_name_or_path}: {error}") from None


def refuse_without_engine(trainer: Any, processes: int) -> None:
    """Accelerate's launcher can leave DeepSpeed out without a word; then this is not the training asked for."""
    import torch.distributed

    world = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    engine = type(trainer.model_wrapped).__name__
    if world != processes or engine != "DeepSpeedEngine":
        raise CommonError(f"asked for DeepSpeed on {processes} processes, got {engine} on {world}; use its launcher")


def guard(trainer: Any) -> None:
    """What must be so when a trainer of TRL's begins."""
    from transformers import TrainerCallback

    class Start(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **unused: Any) -> None:
            if args.deepspeed is not None:
                refuse_without_engine(trainer, processes_and_nodes()[0])
            if state.global_step >= state.max_steps:
                raise AlreadyTrained  # the trainer's own loop would take one step more

    trainer.add_callback(Start())


def trainer_settings(wanted: Any) -> Any:
    """TRL's configuration, which starts the distributed machinery; from here on ZeRO-3 shares weights as they load."""
    from trl import SFTConfig

    if wanted.deepspeed is not None:
        import deepspeed

        deepspeed.init_distributed()
    # Examples are within their length already; the sum of a source and a target may be longer than --max_length.
    changed = {} if wanted.packing else {"max_length": None}
    try:
        settings = SFTConfig(**vars(wanted) | changed)
    except ValueError as error:
        raise BadInput(str(error)) from None
    if wanted.deepspeed is None and settings.n_gpu > 1:
        settings._n_gpu = 1  # else one process would use all GPUs, with as many times the batch
    return settings


def make_trainer(
    settings: Any, model: Any, tokenizer: Any, examples: list[Example], to_evaluate: list[Example] | None = None
) -> Any:
    from datasets import Dataset
    from trl import SFTTrainer, get_peft_config

    trainer = SFTTrainer(
        model=load_model(settings, model),
        args=settings,
        train_dataset=Dataset.from_list(examples),
        eval_dataset=Dataset.from_list(to_evaluate) if to_evaluate else None,
        processing_class=tokenizer,
        peft_config=get_peft_config(model),
    )
    guard(trainer)
    return trainer


def train(trainer: Any, checkpoint: Path | None, plan: dict) -> dict[str, float] | None:
    """Train and save; the speed, or None when a run before had trained it all."""
    import torch.distributed

    with saying_what_cannot_be_written(trainer.args.output_dir):
        try:
            result = trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
        except AlreadyTrained:
            result = None
        trainer.save_model()
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()  # left to the interpreter's end, it aborts now and then
    if result is None:
        return None
    steps = trainer.state.global_step - (step_of(checkpoint) if checkpoint else 0)
    return speed_of(plan, steps, result.metrics["train_runtime"])


def draw_loss(curve: list[tuple[int, float]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    axes.plot(*zip(*curve, strict=True))
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    with replacing(path) as part:
        figure.savefig(part, dpi=120, bbox_inches="tight", format="png")
    pyplot.close(figure)


def data_paths(options: Options) -> list[str]:
    return [path for path in (options.data_path, options.eval_data_path) if path]


def refuse_to_write_over(folder: Path, options: Options, model: Any) -> None:
    start = model.model_name_or_path
    reads = [file for path in data_paths(options) for file in input_files(path)]
    reads += [start] if Path(start).is_dir() else []
    refuse_overlap(reads, [folder, manifest.path_of(folder), left_out_path(folder)])


def all_settings(options: Options, training: Any, model: Any, inputs: dict[str, str]) -> dict[str, Any]:
    """What must not change while a training is under way; data and model by what they hold."""
    zero = training.deepspeed and {"deepspeed": Path(str(training.deepspeed)).stem}
    return settings_of(options, training, model, zero or {}) | {
        "processes": processes_and_nodes()[0],
        "data": [inputs[str(file)] for file in input_files(options.data_path)],
        "model": model_identity(model.model_name_or_path),
    }


def finish(folder: Path, trainer: Any, tokenizer: Any, **facts: Any) -> None:
    """Everything beside the weights; the manifest last, because it says that the training is done."""
    tokenizer.save_pretrained(folder)
    curve = [(entry["step"], entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    if curve:
        draw_loss(curve, folder / "loss.png")
    outputs = {str(file): manifest.hash_file(file) for file in sorted(folder.iterdir()) if file.is_file()}
    manifest.write(folder, **manifest.about_this_process(), **facts, outputs=outputs, loss=curve)
    last_loss = curve[-1][1] if curve else None
    print_line({"steps": trainer.state.global_step, "last_loss": last_loss} | (facts["speed"] or {}))


def is_first_process() -> bool:
    return int(os.environ.get("RANK", 0)) == 0


def print_line(facts: dict[str, Any]) -> None:
    if is_first_process():
        print(json.dumps(facts), flush=True)


def main() -> None:
    options, training, model = parse_args(__doc__)
    hush_bars()
    folder, is_first = Path(training.output_dir), is_first_process()
    refuse_to_write_over(folder, options, model)
    before, inputs = manifest.stamps(data_paths(options)), manifest.hash_inputs(data_paths(options))
    settings = all_settings(options, training, model, inputs)
    if is_done(folder, settings):
        print_line({"done": str(folder), "why": "trained with these data and settings before"})
        return
    with locked(folder) if is_first else nullcontext():
        tokenizer = load_tokenizer(training, model)
        examples, counts, left_out = read_examples(options.data_path, tokenizer, options, training)
        to_evaluate = options.eval_data_path and read_examples(options.eval_data_path, tokenizer, options, training)[0]
        if manifest.stamps(data_paths(options)) != before:
            raise BadInput(f"{options.data_path}: changed while it was read; nothing is trained, run again")
        plan, checkpoint = make_plan(training, model, examples), last_checkpoint(folder)
        print_line({"counts": counts, "plan": plan, "goes_on_from": checkpoint and str(checkpoint)})
        if not options.ignore_memory:
            refuse_what_cannot_fit(plan, training.deepspeed, model.use_peft)
        if is_first:
            begin(folder, settings)
            write_left_out(folder, left_out)
        trainer = make_trainer(trainer_settings(training), model, tokenizer, examples, to_evaluate)
        facts = {"arguments": settings, "inputs": inputs, "counts": counts, "plan": plan}
        facts["speed"] = train(trainer, checkpoint, plan)
        if is_first:
            finish(folder, trainer, tokenizer, **facts)


if __name__ == "__main__":
    run_main(main)
