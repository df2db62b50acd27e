"""What was run, on what, with what result: `<output>.manifest.json` beside every output.

python -m common.manifest verify answers.jsonl                 # are output and inputs still the files of that run?
python -m common.manifest diff a.jsonl b.jsonl                 # what differed between two runs

Files are named from the manifest's folder, so a folder that is moved as a whole still verifies. They are hashed whole,
with SHA-256: it takes 2 GB a second here, twice blake2b, more than most disks give.
"""

import contextlib
import glob
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from common.errors import BadInput
from common.program import make_parser, run_main
from common.redaction import without_secret_flags, without_secrets
from common.rows import files_below, input_files, write_text

PACKAGES = "torch transformers tokenizers datasets numpy pyarrow openai aiohttp rapidfuzz scikit-learn vllm trl peft"
VOLATILE = ("started", "seconds", "command", "globs", "checksum")  # differ between any two runs, or two folders


def path_of(output: str | Path) -> Path:
    real = Path(os.path.realpath(output))
    return real.with_name(real.name + ".manifest.json")


def write(
    output: str | Path,
    *,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str] | None = None,
    globs: Iterable[str | Path] = (),
    **facts: Any,
) -> None:
    """`inputs` and `outputs` are hashes by name; `globs` are the inputs as they were asked for: verify looks again."""
    path = path_of(output)
    known = without_secrets(facts)
    known |= {kind: _from(path.parent, files) for kind, files in (("inputs", inputs), ("outputs", outputs or {}))}
    known["globs"] = [_pattern_from(path.parent, str(pattern)) for pattern in globs if not Path(pattern).exists()]
    known["checksum"] = _checksum(json.loads(json.dumps(known)))
    write_text(path, json.dumps(known, ensure_ascii=True, indent=1) + "\n")


def read(output: str | Path) -> dict:
    """What the manifest of `output` says; its files under names by which they can be opened."""
    path = _path_for(output)
    facts = _load(path)
    return facts | {kind: _seen_from(path.parent, facts.get(kind, {})) for kind in ("inputs", "outputs")}


def _path_for(output: str | Path) -> Path:
    return Path(os.path.realpath(output)) if str(output).endswith(".manifest.json") else path_of(output)


def _load(path: Path) -> dict:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path}: no manifest; the output was not written by a step, or the file was moved") from None
    except (ValueError, OSError, RecursionError) as error:
        raise BadInput(f"{path}: not a manifest: {error}") from None
    if not isinstance(facts, dict) or "inputs" not in facts:
        raise BadInput(f"{path}: not a manifest: names no inputs")
    for kind, expected in (("inputs", dict), ("outputs", dict), ("globs", list)):
        if not isinstance(facts.get(kind, expected()), expected):
            raise BadInput(f"{path}: not a manifest: its {kind} are not what a run writes")
    return facts


def _checksum(facts: dict) -> str:
    return hash_text(json.dumps({key: facts[key] for key in sorted(facts) if key != "checksum"}, sort_keys=True))


def full_name(name: str | Path) -> str:
    """As `read` gives names: from the root, in the real folder; a file that is a link keeps its own name."""
    folder, last = os.path.split(os.path.abspath(name))
    return os.path.join(os.path.realpath(folder), last)


def _from(folder: Path, files: Mapping[str, str]) -> dict[str, str]:
    return {os.path.relpath(full_name(name), folder): digest for name, digest in files.items()}


def _seen_from(folder: Path, files: Mapping[str, str]) -> dict[str, str]:
    return {os.path.normpath(folder / name): digest for name, digest in files.items()}


def _pattern_from(folder: Path, pattern: str) -> str:
    """A glob, as seen from `folder`: its first folders, up to the first with a wildcard, are ordinary names."""
    parts = Path(os.path.abspath(pattern)).parts
    plain = next((at for at, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    start = os.path.relpath(os.path.realpath(Path(*parts[:plain])), folder)
    return os.path.join(glob.escape(start), *parts[plain:])


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
    """SHA-256 of a file, or of the names and hashes of all files in a folder, those behind links too."""
    path = Path(path)
    if path.is_dir():
        return hash_text(json.dumps([[str(file.relative_to(path)), hash_file(file)] for file in files_below(path)]))
    if not path.is_file():
        raise BadInput(f"{path}: is not there any more, or not a file")
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def hash_text(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def stamps(paths: Iterable[str | Path]) -> dict[str, list]:
    """By name, what changes when a file is written to or replaced: taken before the first row is read."""
    found = {}
    for file in (file for path in paths for file in input_files(path)):
        try:
            stats = [(str(inner), inner.stat()) for inner in (file, *files_below(file))]
        except OSError as error:
            raise BadInput(f"{file}: cannot be read: {error.strerror}") from error
        found[str(file)] = [(name, s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in stats]
    return found


def hash_inputs(paths: Iterable[str | Path], before: dict[str, list] | None = None) -> dict[str, str]:
    """Hashes by name. With the stamps of `before`, a file that is not what it was then is an error."""
    files = [file for path in paths for file in input_files(path)]
    hashes = {str(file): hash_file(file) for file in files}
    if before is not None and (changed := [file for file, stamp in stamps(files).items() if before.get(file) != stamp]):
        raise BadInput(f"{changed[0]}: changed while it was read; nothing is written, run again")
    return hashes


def verify(output: str | Path) -> list[str]:
    """What no longer agrees with the manifest of `output`; empty when all does."""
    path = _path_for(output)
    facts, wrong = read(output), []
    if facts.get("checksum") != _checksum(_load(path)):
        wrong.append(f"{path}: is not what the run wrote; it was edited")
    named = str(path).removesuffix(".manifest.json")
    if not any(name == named or name.startswith(named + os.sep) for name in facts["outputs"]):  # of a model: its files
        wrong.append(f"{named}: is not an output of the run that {path.name} tells of")
    if not facts["inputs"]:
        wrong.append(f"{path}: names no inputs")
    for name, expected in (facts["inputs"] | facts["outputs"]).items():
        if not os.path.exists(name):
            wrong.append(f"{name}: is gone")
        elif not (os.path.isfile(name) or os.path.isdir(name)) or hash_file(name) != expected:
            wrong.append(f"{name}: changed since the run")
    return wrong + _gained(path.parent, facts)


def _gained(folder: Path, facts: dict) -> list[str]:
    """Files that a glob of the run means now and did not mean then."""
    known = {full_name(name) for name in (facts["inputs"] | facts["outputs"])}
    now = {}
    for pattern in map(str, facts.get("globs", ())):
        with contextlib.suppress(BadInput):  # it means nothing any more: all its files are gone, which is said
            now |= {full_name(file): pattern for file in input_files(os.path.join(glob.escape(str(folder)), pattern))}
    return [f"{name}: came after the run, which read {now[name]}" for name in sorted(now.keys() - known)]


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
