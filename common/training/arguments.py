"""The arguments of a training: TRL's own, and the few that are ours.

    options, training, model = parse_args(__doc__)       # Options, the fields of SFTConfig, ModelConfig

--config FILE names a YAML file of the same arguments; what stands on the command line goes before it. Defaults are
TRL's but for DEFAULTS below, and --help prints them.
"""

import importlib.metadata
import os
import re
import sys
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from common.errors import BadInput
from common.program import make_parser

ZERO_CONFIGS = Path(__file__).parent / "deepspeed"
BITSANDBYTES = re.compile(r"paged|bnb|lion|ademamix|^adamw_8bit")  # names of its optimizers
REQUIRED = ("data_path", "model_name_or_path", "output_dir")
# Where TRL's default would surprise; its help would be wrong then, so ours stands in its place.
DEFAULTS = {
    "deepspeed": (None, "zero2, zero3, zero2_offload, zero3_offload (common/training/deepspeed), a file, or none"),
    "dtype": ("auto", "what is computed in; auto: bfloat16 on a GPU, float32 without; --bf16 and --fp16 go before it"),
    "attn_implementation": ("sdpa", "sdpa, flash_attention_2 or eager"),
    "use_peft": (False, "LoRA: train small matrices beside the frozen weights; --lora_r or --load_in_4bit say so too"),
    "lora_r": (None, "rank of LoRA; 16 if only --use_peft or --load_in_4bit is given"),
    "lora_alpha": (None, "scale of LoRA; twice the rank if not given"),
    "lora_target_modules": (["all-linear"], "layers that LoRA changes"),
    "load_in_4bit": (False, "QLoRA: LoRA on a base in 4 bits; needs bitsandbytes"),
    "use_bnb_nested_quant": (True, "quantize the scales of the 4-bit weights as well"),
    "save_total_limit": (2, "checkpoints kept"),
    "log_on_each_node": (False, "log on every machine instead of the first"),
    "report_to": ("none", "where to report as well: tensorboard, wandb, …"),
}
# TRL's that cannot work on rows which are tokenized here.
NOT_HERE = {
    "assistant_only_loss": "--loss_on response is the default",
    "completion_only_loss": "--loss_on response is the default",
    "dataset_kwargs": "the rows are tokenized before TRL sees them",
    "resume_from_checkpoint": "the same command goes on from the last checkpoint in --output_dir",
    "pad_token": "the tokenizer's own is used",
}


@dataclass
class Options:
    """What TRL does not know: where the rows are, what of them is learned, and what happens to odd ones."""

    data_path: str = field(metadata={"help": "rows to train on, in any format of common/rows"})
    split: str | None = field(default=None, metadata={"help": "split to read when that is a dataset folder"})
    eval_data_path: str | None = field(default=None, metadata={"help": "rows for --eval_strategy, of the same form"})
    prompt_key: str = field(default="instruction", metadata={"help": "key of the prompt; Alpaca's input joins it"})
    response_key: str = field(default="output", metadata={"help": "key of the response"})
    system_prompt: str | None = field(default=None, metadata={"help": "system message for rows that have none"})
    format: Literal["auto", "chat", "alpaca", "text"] = field(
        default="auto",
        metadata={
            "help": "chat: the model's template; alpaca: for a model without one; auto: chat where there is a "
            "template; text: the row's --dataset_text_field as it is, all of it learned"
        },
    )
    loss_on: Literal["response", "all"] = field(default="response", metadata={"help": "tokens that are learned"})
    max_source_length: int | None = field(
        default=None, metadata={"help": "tokens of the prompt, cut apart from the response (with --max_target_length)"}
    )
    max_target_length: int | None = field(default=None, metadata={"help": "tokens of the response"})
    too_long: Literal["drop", "cut"] = field(
        default="drop", metadata={"help": "rows longer than --max_length: left out and counted, or cut at the end"}
    )
    on_bad_row: Literal["stop", "skip"] = field(
        default="stop", metadata={"help": "an unusable row: stop, or note it in <output_dir>.rejected.jsonl"}
    )
    total_batch_size: int | None = field(
        default=None, metadata={"help": "rows a step over all GPUs: sets --gradient_accumulation_steps to reach it"}
    )
    ignore_memory: bool = field(default=False, metadata={"help": "start even if the estimate says it cannot fit"})

    def __post_init__(self) -> None:
        if bool(self.max_source_length) != bool(self.max_target_length):
            raise BadInput("--max_source_length and --max_target_length: give both")
        if self.format == "text":
            self.loss_on = "all"
        if self.max_source_length and self.loss_on == "all":
            raise BadInput("--max_source_length: prompt and response cannot be told apart with --loss_on all")


def make_training_parser(docstring: str | None, options: type = Options, config: str = "SFTConfig") -> Any:
    import trl
    from trl import ModelConfig, TrlParser

    class Wanted(getattr(trl, config)):
        """Only the values: the configuration itself starts the distributed machinery when it is made."""

        def __post_init__(self) -> None:
            pass

    parser = TrlParser(
        (options, Wanted, ModelConfig),
        description=docstring,
        usage="%(prog)s [--config FILE] --data_path … --model_name_or_path … --output_dir … [any argument below]",
        formatter_class=make_parser(None).formatter_class,
        allow_abbrev=False,
    )
    parser.set_defaults(**{name: value for name, (value, _) in DEFAULTS.items()})
    parser.add_argument("--config", help="YAML file of arguments; those of the command line go before it")
    for action in parser._actions:
        action.required = action.dest in REQUIRED
        action.help = DEFAULTS.get(action.dest, (None, action.help))[1]
    return parser


def parse_args(
    docstring: str | None = None, arguments: list[str] | None = None, kind: type = Options, config: str = "SFTConfig"
) -> tuple[Any, Any, Any]:
    """`kind` and `config` are others for another trainer of TRL's than that of fine-tuning."""
    import yaml

    parser = make_training_parser(docstring, kind, config)
    words = sys.argv[1:] if arguments is None else arguments
    words = [part for word in words for part in _halves(word)]
    try:
        options, training, model, *_, unknown = parser.parse_args_and_config(words, return_remaining_strings=True)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BadInput(str(error)) from None
    if unknown:
        parser.error(f"not known, here or in --config: {' '.join(unknown)}")
    for name, instead in NOT_HERE.items():
        if getattr(training, name, None):
            raise BadInput(f"--{name} has no use here: {instead}")
    check_choices(options)
    settle_batch(options, training)
    settle_adapter(model, training)
    settle_machine(model, training)
    return options, training, model


def _halves(word: str) -> list[str]:
    """--config=FILE in two words, as TRL wants it."""
    return list(word.partition("=")[::2]) if word.startswith("--config=") else [word]


def check_choices(options: Any) -> None:
    """argparse does not look at what a file says."""
    for entry in fields(options):
        choices, value = get_args(entry.type), getattr(options, entry.name)
        if get_origin(entry.type) is Literal and value not in choices:
            raise BadInput(f"--{entry.name} {value}: expected one of {', '.join(choices)}")


def settle_batch(options: Options, training: Any) -> None:
    """The same batch on any number of GPUs."""
    if not options.total_batch_size:
        return
    at_once = training.per_device_train_batch_size * int(os.environ.get("WORLD_SIZE", 1))
    accumulated, rest = divmod(options.total_batch_size, at_once)
    if rest:
        raise BadInput(
            f"--total_batch_size {options.total_batch_size}: {at_once} rows at once do not divide it; choose another "
            "--per_device_train_batch_size"
        )
    if training.gradient_accumulation_steps not in (1, accumulated):
        raise BadInput("--total_batch_size sets --gradient_accumulation_steps; give one of them")
    training.gradient_accumulation_steps = accumulated


def settle_adapter(model: Any, training: Any) -> None:
    """What LoRA is asked for, and whether it can be had."""
    model.use_peft = model.use_peft or model.lora_r is not None or model.load_in_4bit or model.load_in_8bit
    model.lora_r = model.lora_r or 16
    model.lora_alpha = model.lora_alpha or 2 * model.lora_r
    quantized = "--load_in_4bit" if model.load_in_4bit else "--load_in_8bit" if model.load_in_8bit else ""
    wants = quantized or (f"--optim {training.optim}" if BITSANDBYTES.search(training.optim) else "")
    if wants:
        other = "--use_peft trains LoRA on a base in 16 bits" if quantized else "--optim adamw_torch works without"
        require("bitsandbytes", wants, other)
    if quantized and "zero3" in str(training.deepspeed):
        raise BadInput(f"{quantized}: quantized weights cannot be shared among GPUs; use --deepspeed zero2")


def require(package: str, wanted_by: str, instead: str) -> None:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        command = "pip install -c constraints.txt -e '.[train]'"
        raise BadInput(f"{wanted_by} needs {package}, which is not installed: {command}; {instead}") from None


def settle_machine(model: Any, training: Any) -> None:
    """What is `auto`: number format, device, the file behind a short name for DeepSpeed."""
    import torch

    if model.dtype not in ("auto", "bfloat16", "float16", "float32"):
        raise BadInput(f"--dtype {model.dtype}: expected auto, bfloat16, float16 or float32")
    training.use_cpu = training.use_cpu or not torch.cuda.is_available()
    if model.dtype == "auto":
        model.dtype = "float32" if training.use_cpu else "bfloat16"
    if training.bf16 is None:
        training.bf16 = model.dtype == "bfloat16" and not training.fp16
        training.fp16 = training.fp16 or model.dtype == "float16"
    training.deepspeed = zero_config(training.deepspeed)
    if training.deepspeed is not None:
        require("deepspeed", f"--deepspeed {Path(str(training.deepspeed)).stem}", "--deepspeed none trains on one GPU")
    if training.disable_tqdm is None:
        training.disable_tqdm = not sys.stderr.isatty()


def zero_config(name: Any) -> Any:
    """The file of a short name; a file of the user's, or the settings themselves, as they are."""
    if name in (None, "none", "None"):
        return None
    if not isinstance(name, str) or name.startswith("{"):
        return name
    file = ZERO_CONFIGS / f"{name}.json"
    if not file.is_file() and not Path(name).is_file():
        known = ", ".join(sorted(path.stem for path in ZERO_CONFIGS.glob("*.json")))
        raise BadInput(f"--deepspeed {name}: no such file; known by name: {known}, none")
    return str(file) if file.is_file() else name
