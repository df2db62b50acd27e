"""What a training takes, said before it starts: tokens, steps, memory of a GPU; what cannot fit is refused."""

import math
import os
from collections.abc import Sequence
from typing import Any

from common.errors import CommonError
from common.training.examples import NO_LOSS

GB = 2**30
PEAK_FLOPS = {
    "A800": 312e12,
    "A100": 312e12,
    "H800": 989e12,
    "H100": 989e12,
    "H200": 989e12,
    "H20": 148e12,
}  # bf16, dense


def processes_and_nodes() -> tuple[int, int]:
    processes = int(os.environ.get("WORLD_SIZE", 1))
    local = os.environ.get("LOCAL_WORLD_SIZE") or os.environ.get("LOCAL_SIZE") or processes  # torchrun's, DeepSpeed's
    return processes, max(1, processes // int(local))


def count_parameters(model: Any, trust_remote_code: bool) -> tuple[int, int]:
    """(all parameters, those of the largest layer), from the configuration alone."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(
        model.model_name_or_path, revision=model.model_revision, trust_remote_code=trust_remote_code
    )
    with torch.device("meta"):
        shape = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    largest = max(sum(weight.numel() for weight in module.parameters(recurse=False)) for module in shape.modules())
    return sum(weight.numel() for weight in shape.parameters()), largest


def estimate_memory(
    deepspeed: str | None, model: Any, parameters: int, largest: int, processes: int, nodes: int
) -> float:
    """GB a GPU for weights, gradients and optimizer, by DeepSpeed's own estimate; activations come on top."""
    frozen, zero = 0.0, str(deepspeed)
    if model.use_peft:
        # The base model stands on every GPU (ZeRO-3 shares it) in 16 bits, or 8, or 4; what trains is small.
        bytes_each = 0.55 if model.load_in_4bit else 1.1 if model.load_in_8bit else 2
        frozen = parameters * bytes_each / (processes if "zero3" in zero else 1)
        parameters = largest = int(parameters * 0.01 * model.lora_r / 16)
    if deepspeed is None:
        return (frozen + 16 * parameters) / GB
    per_node, offload = processes // nodes, "offload" in zero
    if "zero3" in zero:
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


def make_plan(training: Any, model: Any, examples: Sequence[dict]) -> dict[str, Any]:
    processes, nodes = processes_and_nodes()
    tokens = sum(len(example["input_ids"]) for example in examples)
    parameters, largest = count_parameters(model, training.trust_remote_code)
    needed = estimate_memory(training.deepspeed, model, parameters, largest, processes, nodes)
    batch = training.per_device_train_batch_size * training.gradient_accumulation_steps * processes
    sequences = math.ceil(tokens / training.max_length) if training.packing else len(examples)
    steps = math.ceil(math.ceil(sequences / batch) * training.num_train_epochs)
    return {
        "parameters": parameters,
        "examples": len(examples),
        "sequences": sequences,
        "tokens_per_epoch": tokens,
        "learned_tokens_per_epoch": sum(label != NO_LOSS for example in examples for label in example["labels"]),
        "batch_size": batch,
        "steps": training.max_steps if training.max_steps > 0 else steps,
        "learning_rate": training.learning_rate,
        "schedule": f"{training.lr_scheduler_type}, warm-up {training.warmup_steps}",
        "processes": processes,
        "gb_per_gpu_without_activations": round(needed, 2),
        "gb_there": round(memory_a_process(processes // nodes), 2),
    }


def refuse_what_cannot_fit(plan: dict, deepspeed: str | None, use_peft: bool) -> None:
    if plan["gb_per_gpu_without_activations"] <= plan["gb_there"]:
        return
    zero = str(deepspeed)
    if deepspeed is None:
        advice = "--deepspeed zero2 shares the optimizer among GPUs"
    elif "offload" in zero:
        advice = "more GPUs"
    elif "zero3" in zero:
        advice = "--deepspeed zero3_offload keeps the optimizer in the machine's memory"
    else:
        advice = "--deepspeed zero3 shares the weights too"
    raise CommonError(
        f"{plan['parameters'] / 1e9:.1f}B parameters take {plan['gb_per_gpu_without_activations']} GB a GPU before any "
        f"activation, {plan['gb_there']} GB are there: {advice}; "
        + ("" if use_peft else "or train --lora_r 16 or --load_in_4bit; ")
        + "--ignore_memory tries it all the same"
    )


def speed_of(plan: dict, steps: int, seconds: float) -> dict[str, float]:
    """Tokens a second over all GPUs, and the share of the GPUs' peak at 6 operations a parameter and token."""
    import torch

    tokens = plan["tokens_per_epoch"] * steps * plan["batch_size"] / plan["sequences"]
    speed = {"seconds": round(seconds, 1), "tokens_per_second": round(tokens / seconds, 1)}
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    peak = next((flops for gpu, flops in PEAK_FLOPS.items() if gpu in name), None)
    if peak:
        speed["share_of_peak"] = round(6 * plan["parameters"] * tokens / seconds / peak / plan["processes"], 3)
    return speed
