"""Supervised fine-tuning for every method: full, LoRA or QLoRA, on TRL's trainer under DeepSpeed.

    deepspeed --num_gpus 8 common/training/finetune.py --data_path converter.jsonl --output_dir converter_model \\
        --model_name_or_path Qwen/Qwen1.5-7B-Chat --deepspeed zero2

in   {"instruction": …, "output": …} (--prompt_key, --response_key), or {"messages": [{"role": …, "content": …}, …]}
out  the model, its checkpoints, loss.png, and settings.json: a folder begun with other settings is refused
The same command goes on from the last checkpoint. Several machines: --hostfile hosts.txt instead of --num_gpus.
One CPU or GPU without DeepSpeed: python common/training/finetune.py … --deepspeed none
"""

import argparse
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # runs without an install

from common import manifest
from common.errors import BadInput, BadRow, BadValue, CommonError
from common.program import progress, run_main
from common.rows import scan_rows, write_text
from common.training import hush_bars
from common.training.examples import NO_LOSS, conversation, encode, fit

ZERO_CONFIGS = Path(__file__).parent / "deepspeed"
GB = 2**30
PEAK_FLOPS = {
    "A800": 312e12,
    "A100": 312e12,
    "H800": 989e12,
    "H100": 989e12,
    "H200": 989e12,
    "H20": 148e12,
}  # bf16, dense
# What may change between a killed run and the one that goes on.
FREE_SETTINGS = {"data_path", "output_dir", "local_rank", "logging_steps"}
FREE_SETTINGS |= {"save_steps", "save_total_limit", "ignore_memory"}


def read_examples(args: argparse.Namespace, tokenizer: Any) -> tuple[list[dict], dict[str, int]]:
    chat = args.format == "chat" or args.format == "auto" and bool(tokenizer.chat_template)
    examples, counts = [], {"rows": 0, "dropped, too long": 0, "cut": 0, "bad rows": 0}
    for index, row in enumerate(progress(scan_rows(args.data_path), desc="tokenize")):
        counts["rows"] += 1
        try:
            if isinstance(row, BadRow):
                raise row
            messages = conversation(row, args.prompt_key, args.response_key, args.system_prompt)
            whole = encode(tokenizer, messages, chat, args.loss_on)
        except (BadRow, BadValue) as problem:
            if args.on_bad_row == "stop":
                reason = problem.problem if isinstance(problem, BadRow) else problem.reason
                raise BadRow(args.data_path, index, f"{reason} (--on_bad_row skip leaves it out)") from None
            counts["bad rows"] += 1
            continue
        example = fit(whole, args)
        counts["dropped, too long"] += example is None
        if example is not None:
            counts["cut"] += example is not whole
            examples.append(example)
    if not examples:
        raise BadInput(f"{args.data_path}: no row is left to train on: {counts}")
    return examples, counts


# --- the plan: what it takes, before it starts ----------------------------------------------------------------------


def count_parameters(args: argparse.Namespace) -> tuple[int, int]:
    """(all parameters, those of the largest layer), from the configuration alone."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(args.model_name_or_path, trust_remote_code=args.trust_remote_code)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=args.trust_remote_code)
    largest = max(sum(weight.numel() for weight in module.parameters(recurse=False)) for module in model.modules())
    return sum(weight.numel() for weight in model.parameters()), largest


def estimate_memory(args: argparse.Namespace, parameters: int, largest: int, processes: int, nodes: int) -> float:
    """GB a GPU for weights, gradients and optimizer, by DeepSpeed's own estimate; activations come on top."""
    frozen = 0.0
    if args.lora_rank:
        # The base model stands on every GPU (ZeRO-3 shares it) in 16 bits, or 4; what trains is small.
        shared = "zero3" in args.deepspeed and not args.qlora  # 4-bit weights cannot be
        frozen = parameters * (0.55 if args.qlora else 2) / (processes if shared else 1)
        parameters = largest = int(parameters * 0.01 * args.lora_rank / 16)
    if args.deepspeed == "none":
        return (frozen + 16 * parameters) / GB
    per_node = processes // nodes
    offload = "offload" in args.deepspeed
    if "zero3" in args.deepspeed:
        from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs as estimate

        _, gpu, _ = estimate(parameters, largest, per_node, nodes, cpu_offload=offload, cpu_offload_params=offload)
    else:
        from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs as estimate

        _, gpu = estimate(parameters, per_node, nodes, cpu_offload=offload)
    return (frozen + gpu) / GB


def memory_a_process(local_processes: int) -> float:
    """GB of the GPU, or this process's share of the machine's memory."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory / GB
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GB / local_processes


def make_plan(args: argparse.Namespace, examples: list[dict], processes: int, nodes: int) -> dict:
    tokens = sum(len(example["input_ids"]) for example in examples)
    learned = sum(label != NO_LOSS for example in examples for label in example["labels"])
    parameters, largest = count_parameters(args)
    batch = args.per_device_train_batch_size * args.gradient_accumulation_steps * processes
    sequences = math.ceil(tokens / args.max_length) if args.packing else len(examples)
    steps = math.ceil(math.ceil(sequences / batch) * args.num_train_epochs)
    return {
        "parameters": parameters,
        "examples": len(examples),
        "sequences": sequences,
        "tokens_per_epoch": tokens,
        "learned_tokens_per_epoch": learned,
        "batch_size": batch,
        "steps": min(steps, args.max_steps) if args.max_steps > 0 else steps,
        "processes": processes,
        "gb_per_gpu_without_activations": round(estimate_memory(args, parameters, largest, processes, nodes), 2),
        "gb_there": round(memory_a_process(processes // nodes), 2),
    }


def refuse_what_cannot_fit(plan: dict, args: argparse.Namespace) -> None:
    if plan["gb_per_gpu_without_activations"] <= plan["gb_there"] or args.ignore_memory:
        return
    advice = {
        "none": "--deepspeed zero2 shares the optimizer among GPUs",
        "zero2": "--deepspeed zero3 shares the weights too",
        "zero3": "--deepspeed zero3_offload keeps the optimizer in the machine's memory",
    }.get(args.deepspeed, "more GPUs")
    raise CommonError(
        f"{plan['parameters'] / 1e9:.1f}B parameters take {plan['gb_per_gpu_without_activations']} GB a GPU before any "
        f"activation, {plan['gb_there']} GB are there: {advice}; or train --lora_rank 16 or --qlora; "
        "--ignore_memory tries it all the same"
    )


# --- training --------------------------------------------------------------------------------------------------------


def training_arguments(args: argparse.Namespace) -> Any:
    from trl import SFTConfig

    config = None if args.deepspeed == "none" else str(ZERO_CONFIGS / f"{args.deepspeed}.json")
    if config and Path(args.deepspeed).suffix == ".json":
        config = args.deepspeed
    settings = SFTConfig(
        output_dir=args.output_dir,
        deepspeed=config,
        num_train_epochs=args.num_train_epochs,
        max_steps=args.max_steps,
        per_device_train_batch_size=args.per_device_train_batch_size,
        gradient_accumulation_steps=args.gradient_accumulation_steps,
        learning_rate=args.learning_rate,
        weight_decay=args.weight_decay,
        adam_beta2=args.adam_beta2,
        warmup_steps=args.warmup_ratio,
        lr_scheduler_type=args.lr_scheduler_type,
        bf16=args.bf16,
        use_cpu=args.use_cpu,
        gradient_checkpointing=not args.no_gradient_checkpointing,
        packing=args.packing,
        max_length=args.max_length if args.packing else None,
        logging_steps=args.logging_steps,
        log_on_each_node=False,
        save_strategy="steps",
        save_steps=args.save_steps,
        save_total_limit=args.save_total_limit,
        seed=args.seed,
        data_seed=args.seed,
        report_to="none",
        disable_tqdm=not sys.stderr.isatty(),
    )
    if args.deepspeed == "none" and settings.n_gpu > 1:
        settings._n_gpu = 1  # else one process would use all GPUs, with as many times the batch
    return settings


def load_model(args: argparse.Namespace) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    quantized = None
    if args.qlora:
        quantized = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16 if args.bf16 else torch.float32,
        )  # fmt: skip
    # Without DeepSpeed nothing keeps weights in 32 bits beside those in 16, so they stay in 32.
    small = args.bf16 and (args.deepspeed != "none" or args.lora_rank)
    return AutoModelForCausalLM.from_pretrained(
        args.model_name_or_path,
        dtype=torch.bfloat16 if small else torch.float32,
        attn_implementation=args.attn_implementation,
        quantization_config=quantized,
        trust_remote_code=args.trust_remote_code,
    )


def lora_config(args: argparse.Namespace) -> Any:
    if not args.lora_rank:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=args.lora_rank,
        lora_alpha=args.lora_alpha or 2 * args.lora_rank,
        lora_dropout=args.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def refuse_without_engine(trainer: Any, processes: int) -> None:
    """Accelerate's launcher can leave DeepSpeed out without a word; then this is not the training asked for."""
    import torch.distributed

    world = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    engine = type(trainer.model_wrapped).__name__
    if world != processes or engine != "DeepSpeedEngine":
        raise CommonError(f"asked for DeepSpeed on {processes} processes, got {engine} on {world}; use its launcher")


def make_trainer(args: argparse.Namespace, settings: Any, tokenizer: Any, examples: list[dict], processes: int) -> Any:
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import SFTTrainer

    class EngineCheck(TrainerCallback):
        def on_train_begin(self, *unused: Any, **also_unused: Any) -> None:
            if args.deepspeed != "none":
                refuse_without_engine(trainer, processes)

    trainer = SFTTrainer(
        model=load_model(args),
        args=settings,
        train_dataset=Dataset.from_list(examples),
        processing_class=tokenizer,
        peft_config=lora_config(args),
        callbacks=[EngineCheck()],
    )
    return trainer


def last_checkpoint(args: argparse.Namespace) -> str | None:
    """The last whole one: the trainer writes its state at the end."""
    found = [path.parent for path in Path(args.output_dir).glob("checkpoint-*/trainer_state.json")]
    return str(max(found, key=lambda path: int(path.name.rpartition("-")[2]))) if found else None


def keep_settings(args: argparse.Namespace, processes: int, checkpoint: str | None) -> None:
    """Refuse to go on from what other data or settings began; note these for the next start."""
    settings = {name: value for name, value in vars(args).items() if name not in FREE_SETTINGS}
    settings |= {"processes": processes, "data": list(manifest.hash_inputs([args.data_path]).values())}
    path = Path(args.output_dir, "settings.json")
    if checkpoint and path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = [name for name in settings if settings[name] != before.get(name)]
        if changed:
            shown = ", ".join(f"{name} {before.get(name)!r}, now {settings[name]!r}" for name in changed)
            raise BadInput(
                f"{args.output_dir}: was begun with other settings ({shown}); name another --output_dir, or remove it"
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(settings, indent=1) + "\n")


def draw_loss(curve: list[tuple[int, float]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    axes.plot(*zip(*curve, strict=True))
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot.close(figure)


def speed_of(plan: dict, steps: int, seconds: float) -> dict:
    """Tokens a second over all GPUs, and the share of the GPUs' peak at 6 operations a parameter and token."""
    import torch

    tokens = plan["tokens_per_epoch"] * steps * plan["batch_size"] / plan["sequences"]
    speed = {"seconds": round(seconds, 1), "tokens_per_second": round(tokens / seconds, 1)}
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    peak = next((flops for gpu, flops in PEAK_FLOPS.items() if gpu in name), None)
    if peak:
        speed["share_of_peak"] = round(6 * plan["parameters"] * tokens / seconds / peak / plan["processes"], 3)
    return speed


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_path", required=True, help="rows to train on, in any format of common/rows.py")
    parser.add_argument("--model_name_or_path", required=True, help="folder or name of the model to start from")
    parser.add_argument("--output_dir", required=True, help="folder of the trained model")
    rows = parser.add_argument_group("rows")
    rows.add_argument("--prompt_key", default="instruction", help="key of the prompt (default: instruction)")
    rows.add_argument("--response_key", default="output", help="key of the response (default: output)")
    rows.add_argument("--system_prompt", help="system message before each prompt")
    rows.add_argument(
        "--format", choices=["auto", "chat", "alpaca"], default="auto", help="auto: chat where there is a template"
    )
    rows.add_argument("--loss_on", choices=["response", "all"], default="response", help="default: response")
    rows.add_argument("--max_length", type=int, default=1024, help="tokens of prompt and response (default: 1024)")
    rows.add_argument(
        "--max_source_length", type=int, help="tokens of the prompt, cut apart (with --max_target_length)"
    )
    rows.add_argument("--max_target_length", type=int, help="tokens of the response")
    rows.add_argument(
        "--too_long", choices=["drop", "cut"], default="drop", help="longer rows (default: drop, counted)"
    )
    rows.add_argument("--packing", action="store_true", help="several examples a sequence, kept apart")
    rows.add_argument("--on_bad_row", choices=["stop", "skip"], default="stop", help="an unusable row (default: stop)")
    what = parser.add_argument_group("what trains")
    what.add_argument(
        "--lora_rank", type=int, default=0, help="LoRA of this rank on all linear layers (default: 0, full)"
    )
    what.add_argument("--lora_alpha", type=int, help="default: twice the rank")
    what.add_argument("--lora_dropout", type=float, default=0.05, help="default: 0.05")
    what.add_argument("--qlora", action="store_true", help="LoRA (rank 16 unless named) on a base in 4 bits (nf4)")
    what.add_argument("--attn_implementation", default="sdpa", help="sdpa, flash_attention_2, eager (default: sdpa)")
    what.add_argument(
        "--trust_remote_code", action="store_true", help="run code of the model's folder (ChatGLM2 needs it)"
    )
    how = parser.add_argument_group("how (defaults: the paper's for Qwen1.5-7B-Chat)")
    how.add_argument(
        "--deepspeed", default="zero2", help="zero2, zero2_offload, zero3, zero3_offload, a .json, or none"
    )
    how.add_argument("--num_train_epochs", type=float, default=3, help="default: 3")
    how.add_argument("--max_steps", type=int, default=-1, help="end after so many steps (default: -1, all epochs)")
    how.add_argument("--per_device_train_batch_size", type=int, default=16, help="default: 16, on 8 GPUs 128")
    how.add_argument("--gradient_accumulation_steps", type=int, default=1, help="default: 1")
    how.add_argument("--learning_rate", type=float, default=5e-6, help="default: 5e-6 (ChatGLM2-6B: 5e-5)")
    how.add_argument("--weight_decay", type=float, default=0.01, help="default: 0.01")
    how.add_argument("--adam_beta2", type=float, default=0.95, help="default: 0.95")
    how.add_argument("--warmup_ratio", type=float, default=0.01, help="share of the steps (default: 0.01)")
    how.add_argument("--lr_scheduler_type", default="cosine", help="default: cosine")
    how.add_argument("--precision", choices=["auto", "bf16", "fp32"], default="auto", help="auto: bf16 on a GPU")
    how.add_argument("--no_gradient_checkpointing", action="store_true", help="faster, takes more memory")
    how.add_argument("--seed", type=int, default=42, help="default: 42")
    how.add_argument("--logging_steps", type=int, default=10, help="default: 10")
    how.add_argument("--save_steps", type=int, default=500, help="steps between checkpoints (default: 500)")
    how.add_argument("--save_total_limit", type=int, default=2, help="checkpoints kept (default: 2)")
    how.add_argument("--ignore_memory", action="store_true", help="start even if the estimate says it cannot fit")
    how.add_argument("--paper_exact", action="store_true", help="as released for Qwen: loss on all tokens, cut at 512")
    parser.add_argument("--local_rank", type=int, default=-1, help="set by launchers")
    args = parser.parse_args()
    if args.paper_exact:
        args.loss_on, args.max_length, args.too_long = "all", 512, "cut"
    if bool(args.max_source_length) != bool(args.max_target_length):
        parser.error("--max_source_length and --max_target_length: give both")
    if args.max_source_length and args.loss_on == "all":
        parser.error("--max_source_length: prompt and response cannot be told apart with --loss_on all")
    if args.qlora and not args.lora_rank:
        args.lora_rank = 16
    return args


def main() -> None:
    args = parse_args()
    import torch
    from transformers import AutoTokenizer

    hush_bars()
    args.use_cpu = not torch.cuda.is_available()
    args.bf16 = args.precision == "bf16" or args.precision == "auto" and not args.use_cpu
    processes = int(os.environ.get("WORLD_SIZE", 1))
    local = os.environ.get("LOCAL_WORLD_SIZE") or os.environ.get("LOCAL_SIZE") or processes  # torchrun's, DeepSpeed's
    nodes = max(1, processes // int(local))
    first = int(os.environ.get("RANK", 0)) == 0
    tokenizer = AutoTokenizer.from_pretrained(args.model_name_or_path, trust_remote_code=args.trust_remote_code)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    examples, counts = read_examples(args, tokenizer)
    plan = make_plan(args, examples, processes, nodes)
    checkpoint = last_checkpoint(args)
    if first:
        print(json.dumps({"counts": counts, "plan": plan, "goes_on_from": checkpoint}), flush=True)
    refuse_what_cannot_fit(plan, args)
    if first:
        keep_settings(args, processes, checkpoint)
    if args.deepspeed != "none":
        import deepspeed

        deepspeed.init_distributed()
    settings = training_arguments(args)  # from here on transformers knows of ZeRO-3 and shares weights as it loads them
    trainer = make_trainer(args, settings, tokenizer, examples, processes)
    result = trainer.train(resume_from_checkpoint=checkpoint)
    trainer.save_model()
    if args.deepspeed != "none":
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()  # left to the interpreter's end, it aborts now and then
    if not first:
        return
    tokenizer.save_pretrained(args.output_dir)
    curve = [(entry["step"], entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    if curve:
        draw_loss(curve, Path(args.output_dir, "loss.png"))
    done_before = int(Path(checkpoint).name.rpartition("-")[2]) if checkpoint else 0
    speed = speed_of(plan, trainer.state.global_step - done_before, result.metrics["train_runtime"])
    manifest.write(
        args.output_dir,
        **manifest.about_this_process(),
        arguments={name: value for name, value in vars(args).items() if name != "local_rank"},
        inputs=manifest.hash_inputs([args.data_path]),
        counts=counts,
        plan=plan,
        speed=speed,
        loss=curve,
    )
    print(json.dumps({"steps": trainer.state.global_step, "last_loss": curve[-1][1] if curve else None} | speed))


if __name__ == "__main__":
    run_main(main)
