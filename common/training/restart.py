"""What lets the same command go on: which checkpoint is whole, whether the settings are those that began, what is done.

A folder that was begun holds settings.json. Nothing is trained on from other settings or data, a training that is done
is not done again, and a model that something else put there is not written over.
"""

import contextlib
import json
import re
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from common import manifest
from common.errors import BadInput, CommonError
from common.rows import write_text

# What may change between a killed run and the one that goes on: it does not change what is learned. Data and model
# are compared by what they hold.
FREE = re.compile(
    r"output_dir|data_path|model_name_or_path|local_rank|logging_|log_|save_|eval_|per_device_eval|report_to|run_name|project|trackio_|"
    r"push_to_hub|hub_|disable_tqdm|dataloader_num_workers|dataloader_p|ddp_timeout|ignore_memory|on_bad_row|do_"
)
CANNOT_WRITE = re.compile(r"PytorchStreamWriter|inline_container|iostream|\(os error \d+\)")  # of torch, of tokenizers
WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "global_step*")  # the last by DeepSpeed


def settings_of(*parts: Any) -> dict[str, Any]:
    """Everything that decides what is learned, as JSON would give it back."""
    values: dict[str, Any] = {}
    for part in parts:
        values |= asdict(part) if is_dataclass(part) else part
    plain = {name: value.value if isinstance(value, Enum) else value for name, value in values.items()}
    return json.loads(json.dumps({name: value for name, value in plain.items() if not FREE.match(name)}, default=str))


def last_checkpoint(folder: Path) -> Path | None:
    """The one with the highest number that is whole; what a kill, or a full disk, left half written is passed over."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    return max(filter(_is_whole, found), key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


def _is_whole(checkpoint: Path) -> bool:
    try:
        state = json.loads(checkpoint.joinpath("trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # it is written last
    optimizer = any(checkpoint.glob("optimizer.pt")) or any(checkpoint.glob("global_step*"))
    return (
        isinstance(state, dict)
        and state.get("global_step") == step_of(checkpoint)
        and any(any(checkpoint.glob(pattern)) for pattern in WEIGHTS)
        and optimizer
        and all(map(zipfile.is_zipfile, checkpoint.rglob("*.pt")))
        and all(map(_safetensors_is_whole, checkpoint.glob("*.safetensors")))
    )


def _safetensors_is_whole(path: Path) -> bool:
    """The file is as long as its head says."""
    with open(path, "rb") as file:
        head = file.read(8)
        if len(head) < 8:
            return False
        length = struct.unpack("<Q", head)[0]
        if length > path.stat().st_size:
            return False
        try:
            tensors = json.loads(file.read(length))
        except ValueError:
            return False
    ends = [entry["data_offsets"][1] for name, entry in tensors.items() if name != "__metadata__"]
    return path.stat().st_size == 8 + length + max(ends, default=0)


def is_done(folder: Path, settings: dict[str, Any]) -> bool:
    """Whether the folder holds the result of these very settings; BadInput if it holds that of others."""
    before = _settings_in(folder)
    if before is None:
        refuse_foreign(folder)
        return False
    has_manifest = manifest.path_of(folder).exists()  # written last
    changed = [name for name in settings if settings[name] != before.get(name)]
    if changed and (has_manifest or last_checkpoint(folder)):
        shown = ", ".join(f"{name} {before.get(name)!r}, now {settings[name]!r}" for name in changed)
        raise BadInput(f"{folder}: was begun with other settings ({shown}); name another --output_dir, or remove it")
    return has_manifest and not changed and _is_all_there(folder)


def _is_all_there(folder: Path) -> bool:
    return all((folder / Path(name).name).exists() for name in manifest.read(folder).get("outputs", {}))


def begin(folder: Path, settings: dict[str, Any]) -> None:
    """Note what writes this folder. Until it is done it has no manifest, not even one of an earlier training."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be made: {error}") from None
    manifest.path_of(folder).unlink(missing_ok=True)
    write_text(folder / "settings.json", json.dumps(settings, indent=1) + "\n")


@contextlib.contextmanager
def saying_what_cannot_be_written(folder: str | Path) -> Iterator[None]:
    """A full disk comes as an error of four libraries; that of the tokenizers has no kind of its own."""
    from safetensors import SafetensorError

    try:
        yield
    except Exception as error:
        if not isinstance(error, (OSError, SafetensorError)) and not CANNOT_WRITE.search(str(error)):
            raise
        raise CommonError(f"{folder}: cannot be written: {error}; the same command goes on") from None


def refuse_foreign(folder: Path) -> None:
    """What this program did not put there is not written over."""
    if _settings_in(folder) is None and folder.exists() and any(folder.iterdir()):
        raise BadInput(f"{folder}: holds what was not made here; name another folder, or remove it")


def _settings_in(folder: Path) -> dict[str, Any] | None:
    path = folder / "settings.json"
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadInput(f"{folder}: cannot be used as a folder: {error}") from None
    except ValueError:
        before = None
    if not isinstance(before, dict):
        raise BadInput(f"{path}: not written by this program; name another folder")
    return before
