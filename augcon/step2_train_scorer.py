"""AugCon step 2: train the scorer, which ranks questions, on good questions against worse ones about the same context.

    deepspeed --num_gpus 8 augcon/step2_train_scorer.py --config augcon/train_scorer.yaml \\
        --data_path out/questions.pairs.jsonl --model_name_or_path Qwen/Qwen1.5-32B-Chat --output_dir out/scorer

in   {"context": "…", "pos_query": "…", "neg_query": "…"} of step 1, or the released folder scorer_pairs
out  the model (an adapter with --lora_r or --load_in_4bit), scorer.json, settings.json; <output_dir>.manifest.json says
     which share of the pairs held out it puts the right way round
The loss is the paper's, -log sigmoid(good - worse); --paper_exact takes the released one. Without DeepSpeed, on a CPU:
python augcon/step2_train_scorer.py … --deepspeed none; there the first layers of a model may be scorer enough, the last
of which learn: --keep_layers 6 --train_layers 2
"""

import contextlib
import json
import os
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

from augcon.scorer import FACTS_FILE, keep_and_train, load_scorer, pad_id, pair_batch, released_loss, scorer_text
from common import manifest
from common.errors import BadInput, BadRow, BadValue
from common.model_identity import model_identity
from common.program import run_main
from common.rows import input_files, refuse_overlap, scan_rows, write_text
from common.step import need
from common.training import hush_bars
from common.training.arguments import parse_args
from common.training.finetune import AlreadyTrained, guard, load_tokenizer
from common.training.restart import begin, is_done, last_checkpoint, saying_what_cannot_be_written, settings_of

CHANCE = 0.55  # a scorer below this ranks no better than a draw


@dataclass
class Options:
    """What TRL does not know."""

    data_path: str = field(metadata={"help": "pairs, in any format of common/rows"})
    split: str | None = field(default=None, metadata={"help": "split to read when that is a dataset folder"})
    held_out: float = field(default=0.1, metadata={"help": "share of the pairs that is kept to measure the scorer"})
    total_batch_size: int | None = field(default=None, metadata={"help": "pairs of one step, on however many GPUs"})
    on_bad_row: Literal["stop", "skip"] = field(default="stop", metadata={"help": "a pair that cannot be used"})
    keep_layers: int | None = field(default=None, metadata={"help": "first layers of the model that are the scorer's"})
    train_layers: int | None = field(default=None, metadata={"help": "last of them that learn, with the head; 0: none"})
    paper_exact: bool = field(default=False, metadata={"help": "the released loss, head and sigmoid; nothing held out"})


def read_pairs(options: Options) -> tuple[list[dict], list[dict]]:
    """Those to learn from, and those held out."""
    pairs = []
    for index, row in enumerate(scan_rows(options.data_path, options.split)):
        try:
            if isinstance(row, BadRow):
                raise row
            pairs.append({name: need(row, name) for name in ("context", "pos_query", "neg_query")})
        except (BadRow, BadValue) as problem:
            if options.on_bad_row == "stop":
                reason = problem.problem if isinstance(problem, BadRow) else problem.reason
                raise BadRow(options.data_path, index, f"{reason} (--on_bad_row skip leaves it out)") from None
    random.Random(0).shuffle(pairs)
    held_out = 0 if options.paper_exact else round(options.held_out * len(pairs))
    if len(pairs) - held_out < 1:
        raise BadInput(
            f"{options.data_path}: {len(pairs)} pairs, {held_out} of them held out: none is left to learn from"
        )
    return pairs[held_out:], pairs[:held_out]


def tokenized(pairs: list[dict], tokenizer: Any) -> Any:
    from datasets import Dataset

    def ids(name: str) -> list[list[int]]:
        return tokenizer([scorer_text(pair["context"], pair[name]) for pair in pairs])["input_ids"]

    return Dataset.from_dict({"chosen_ids": ids("pos_query"), "rejected_ids": ids("neg_query")})


def load_model(training: Any, model: Any, options: Options) -> Any:
    """One output on the backbone; the released head has a bias and torch's own start."""
    import torch
    from transformers import AutoModelForSequenceClassification, set_seed
    from trl import get_quantization_config

    set_seed(training.seed)  # the head and the adapters are drawn
    small = training.deepspeed is not None or model.use_peft
    how = {
        "num_labels": 1,
        "dtype": getattr(torch, model.dtype) if small and model.dtype != "float16" else torch.float32,
        "attn_implementation": model.attn_implementation,
        "quantization_config": get_quantization_config(model),
        "revision": model.model_revision,
        "trust_remote_code": training.trust_remote_code,
    }
    try:
        loaded = AutoModelForSequenceClassification.from_pretrained(model.model_name_or_path, **how)
    except (OSError, ValueError) as error:
        raise BadInput(f"--model_name_or_path {model.model_name_or_path}: {error}") from None
    if options.paper_exact:
        loaded.score = torch.nn.Linear(loaded.score.in_features, 1, bias=True, device=loaded.device)
    if options.keep_layers is not None or options.train_layers is not None:
        if model.use_peft:
            raise BadInput("--keep_layers, --train_layers: a whole model is saved, so they do not go with LoRA")
        keep_and_train(loaded, options.keep_layers, options.train_layers)
    return loaded


def make_trainer(training: Any, model: Any, options: Options, tokenizer: Any, pairs: list[dict]) -> Any:
    from trl import RewardConfig, RewardTrainer, get_peft_config

    class ReleasedLoss(RewardTrainer):
        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **unused: Any) -> Any:
            _, outputs = super().compute_loss(model, inputs, return_outputs=True)
            loss = released_loss(outputs.logits.squeeze(-1))
            return (loss, outputs) if return_outputs else loss

    model.lora_task_type = "SEQ_CLS"
    pad = pad_id(tokenizer)
    kind = ReleasedLoss if options.paper_exact else RewardTrainer
    trainer = kind(
        model=load_model(training, model, options),
        args=RewardConfig(**vars(training) | {"max_length": None, "remove_unused_columns": False}),
        data_collator=lambda pairs: pair_batch(pairs, pad),
        train_dataset=tokenized(pairs, tokenizer),
        processing_class=tokenizer,
        peft_config=get_peft_config(model),
    )
    guard(trainer)
    return trainer


def save(folder: Path, trainer: Any, tokenizer: Any, loss: str, quantized: bool) -> None:
    """What `load_scorer` needs beside the weights."""
    tokenizer.save_pretrained(folder)
    weights = trainer.model.named_parameters()
    biases = [value for name, value in weights if name.endswith("bias") and ".score." in f".{name}"]
    bias = float(biases[-1].detach().float()[0]) if biases else 0.0
    write_text(folder / FACTS_FILE, json.dumps({"loss": loss, "quantized": quantized, "bias": bias}, indent=1) + "\n")


def finish(folder: Path, data_path: str, settings: dict[str, Any], **facts: Any) -> None:
    """The manifest last: it says that the training is done."""
    manifest.write(
        folder,
        **manifest.about_this_process(),
        arguments=settings,
        inputs=manifest.hash_inputs([data_path]),
        outputs={str(file): manifest.hash_file(file) for file in sorted(folder.iterdir()) if file.is_file()},
        **facts,
    )
    print(json.dumps(facts | {"loss": facts["loss"][-1:]}), flush=True)
    accuracy = facts["held_out_accuracy"]
    if accuracy is not None and accuracy < CHANCE:
        print(f"{folder}: {accuracy:.2f} of the pairs held out are right: this scorer ranks by chance", file=sys.stderr)


def pair_accuracy(folder: Path, pairs: list[dict]) -> float | None:
    """The share of the pairs whose good question has the higher score."""
    if not pairs:
        return None
    import torch

    on_gpu = torch.cuda.is_available()
    scorer = load_scorer(str(folder), "cuda" if on_gpu else "cpu", "bfloat16" if on_gpu else "float32")
    texts = [scorer_text(pair["context"], pair[name]) for name in ("pos_query", "neg_query") for pair in pairs]
    scores = scorer.score(texts)
    good, worse = scores[: len(pairs)], scores[len(pairs) :]
    return sum(one > other for one, other in zip(good, worse, strict=True)) / len(pairs)


def train(trainer: Any, checkpoint: Path | None) -> None:
    with saying_what_cannot_be_written(trainer.args.output_dir):
        with contextlib.suppress(AlreadyTrained):  # only the model was still to be saved
            trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
        trainer.save_model()


def main() -> None:
    options, training, model = parse_args(__doc__, kind=Options, config="RewardConfig")
    hush_bars()
    folder = Path(training.output_dir)
    settings = settings_of(options, training, model) | {
        "data": list(manifest.hash_inputs([options.data_path]).values()),
        "model": model_identity(model.model_name_or_path),
    }
    start = [model.model_name_or_path] if Path(model.model_name_or_path).is_dir() else []
    refuse_overlap([*input_files(options.data_path), *start], [folder, manifest.path_of(folder)])
    if is_done(folder, settings):
        print(json.dumps({"done": str(folder), "why": "trained with these pairs and settings before"}))
        return
    tokenizer, (pairs, held_out) = load_tokenizer(training, model), read_pairs(options)
    is_first = int(os.environ.get("RANK", 0)) == 0
    if is_first:
        begin(folder, settings)
    trainer = make_trainer(training, model, options, tokenizer, pairs)
    train(trainer, last_checkpoint(folder))
    if is_first:
        loss = "released" if options.paper_exact else "paper"
        save(folder, trainer, tokenizer, loss, quantized=model.load_in_4bit or model.load_in_8bit)
        accuracy = pair_accuracy(folder, held_out)
        curve = [(entry["step"], entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
        facts = {"pairs": len(pairs), "held_out": len(held_out), "held_out_accuracy": accuracy, "loss": curve}
        finish(folder, options.data_path, settings, **facts)


if __name__ == "__main__":
    run_main(main)
