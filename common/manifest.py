"""What was run, on what, with what result: `<output>.manifest.json` beside every output.

python -m common.manifest verify answers.jsonl                 # are output and inputs still the files of that run?
python -m common.manifest diff a.jsonl b.jsonl                 # what differed between two runs
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from common.errors import BadInput
from common.program import make_parser, run_main
from common.redaction import without_secret_flags, without_secrets
from common.rows import input_files, write_text

PACKAGES = "torch transformers tokenizers datasets numpy pyarrow openai aiohttp rapidfuzz scikit-learn vllm trl peft"
VOLATILE = ("started", "seconds", "command")  # differ between any two runs


def path_of(output: str | Path) -> Path:
    real = Path(os.path.realpath(output))
    return real.with_name(real.name + ".manifest.json")


def write(output: str | Path, **facts: Any) -> None:
    files = {
        kind: facts.pop(kind) for kind in ("inputs", "outputs") if kind in facts
    }  # hashes by name, whatever the name
    write_text(path_of(output), json.dumps(without_secrets(facts) | files, ensure_ascii=True, indent=1) + "\n")


def read(output: str | Path) -> dict:
    path = Path(output) if str(output).endswith(".manifest.json") else path_of(output)
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path}: no manifest; the output was not written by a step, or the file was moved") from None
    except (ValueError, OSError) as error:
        raise BadInput(f"{path}: not a manifest: {error}") from None
    if not isinstance(manifest, dict) or "inputs" not in manifest:
        raise BadInput(f"{path}: not a manifest: names no inputs")
    return manifest


def about_this_process() -> dict:
    """Command line and code, with nothing that looks like a key."""
    versions = {}
    for name in PACKAGES.split():
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "command": [Path(sys.argv[0]).name, *without_secret_flags(sys.argv[1:])],
        "code": code_version(),
        "python": platform.python_version(),
        "packages": versions,
    }


def code_version() -> str:
    """The commit of this checkout, `+` when files differ from it; without git, the package's version."""
    here = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "-C", here, "describe", "--always", "--dirty=+", "--abbrev=12"], capture_output=True, text=True
        )
    except FileNotFoundError:
        commit = None
    if commit and commit.returncode == 0:
        return commit.stdout.strip()
    try:
        return importlib.metadata.version("web-to-sft-data")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def hash_file(path: str | Path) -> str:
    """SHA-256 of a file, or of the names and hashes of the files in a folder."""
    path = Path(path)
    if path.is_dir():
        listing = [f"{file.relative_to(path)} {hash_file(file)}" for file in sorted(path.rglob("*")) if file.is_file()]
        return hash_text("\n".join(listing))
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def hash_text(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def hash_inputs(paths: list[str | Path]) -> dict[str, str]:
    return {str(file): hash_file(file) for path in paths for file in input_files(path)}


def verify(output: str | Path) -> list[str]:
    """What no longer agrees with the manifest of `output`; empty when all does."""
    wrong = []
    manifest = read(output)
    for kind in ("inputs", "outputs"):
        for name, expected in manifest.get(kind, {}).items():
            if not Path(name).exists():
                wrong.append(f"{name}: is gone")
            elif hash_file(name) != expected:
                wrong.append(f"{name}: changed since the run")
    return wrong


def diff(first: dict, second: dict, place: str = "") -> list[str]:
    lines = []
    for key in sorted(first.keys() | second.keys()):
        a, b = first.get(key), second.get(key)
        if not place and key in ("inputs", "outputs"):  # what is in the files, wherever they lie
            a, b = list((a or {}).values()), list((b or {}).values())
        if a == b or (not place and key in VOLATILE):
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            lines += diff(a, b, f"{place}{key}.")
        else:
            lines.append(f"{place}{key}: {json.dumps(a, ensure_ascii=False)} -> {json.dumps(b, ensure_ascii=False)}")
    return lines


def main() -> None:
    parser = make_parser(__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("verify", help="exit 1 if an output or input changed since").add_argument("output", nargs="+")
    compare = commands.add_parser("diff", help="exit 1 if two runs differ in more than time")
    compare.add_argument("first")
    compare.add_argument("second")
    args = parser.parse_args()
    if args.what == "verify":
        lines = [line for output in args.output for line in verify(output)]
    else:
        lines = diff(read(args.first), read(args.second))
    print("\n".join(lines) or ("as it was" if args.what == "verify" else "the same"))
    sys.exit(bool(lines))


if __name__ == "__main__":
    run_main(main)
