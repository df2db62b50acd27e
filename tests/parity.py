"""Do our functions and steps give what the released code gave? A line a reference file, exit code 1 if any row differs.

    python tests/parity.py webr FOLDER        # or web_to_sft, augcon, superfiltering, edu_filter, eval, all

FOLDER holds reference files in the documented formats (or sub-folders of them), with whatever belongs to them beside
(inputs, small models). Everything runs under --paper_exact. The checks themselves lie in tests/parity_METHOD.py:

    CHECKS      file name (or glob) -> function(path) that gives (equal, what differs) for each row
    COMPANIONS  names (or globs) of files that a check reads beside its own: no checks of their own
"""

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

Check = Callable[[Path], Iterable[tuple[bool, str]]]
NO_REFERENCE = ("README.md", ".*")


def check_modules() -> dict[str, ModuleType]:
    """What is checked for each method: tests/parity_METHOD.py."""
    modules = {}
    for path in sorted(HERE.glob("parity_*.py")):
        spec = importlib.util.spec_from_file_location(f"tests.{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        modules[path.stem.removeprefix("parity_")] = module
    return modules


def fits(file: Path, folder: Path, name: str) -> bool:
    """Whether a name such as augcon/trees.jsonl means this file, also where FOLDER is the sub-folder itself."""
    return fnmatch(f"/{file.relative_to(folder.parent).as_posix()}", f"*/{name}")


def find_check(file: Path, folder: Path, modules: dict[str, ModuleType]) -> Iterator[tuple[str, str, Check | None]]:
    """(method, name, check) of those that know this file; None for a companion."""
    for method, module in modules.items():
        for name, check in module.CHECKS.items():
            if fits(file, folder, name):
                yield method, name, check
        for name in getattr(module, "COMPANIONS", ()):
            if fits(file, folder, name):
                yield method, name, None


def run_check(check: Check, file: Path) -> tuple[int, int, str]:
    """(equal rows, all rows, the first difference)."""
    equal, total, first = 0, 0, ""
    try:
        for good, difference in check(file):
            equal, total = equal + good, total + 1
            first = first or ("" if good else f"row {total - 1}: {difference}")
    except Exception as error:  # noqa: BLE001 - a check that fails is a difference, the others go on
        total, first = total + 1, f"after {total} rows: {type(error).__name__}: {error}"
    return equal, total, first if total else "no rows were compared"


def main() -> int:
    modules = check_modules()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=[*modules, "all"], help="whose files are checked")
    parser.add_argument("folder", type=Path, help="reference files")
    args = parser.parse_args()
    folder = args.folder.resolve()
    if not folder.is_dir():
        parser.error(f"{args.folder}: no such folder")

    failed = checked = 0
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        if any(fnmatch(file.name, name) for name in NO_REFERENCE):
            continue
        shown = file.relative_to(folder).as_posix()
        found = list(find_check(file, folder, modules))
        if not found:
            print(f"{shown}: a file of no method")
            failed += 1
        for method, _, check in found:
            if check is None or args.method not in (method, "all"):
                continue
            started = time.monotonic()
            equal, total, first = run_check(check, file)
            wrong = equal < total or not total
            failed, checked = failed + wrong, checked + 1
            seconds = time.monotonic() - started
            print(f"{shown}: {equal:,} of {total:,} equal, {seconds:.1f} s{f'; {first}' if wrong else ''}", flush=True)
    if not checked:
        print(f"{args.folder}: no file of {args.method}")
    return int(failed > 0 or not checked)


if __name__ == "__main__":
    sys.exit(main())
