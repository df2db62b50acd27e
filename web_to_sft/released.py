"""The switches between our rules and the released ones: --paper_exact for all points, --as_released for single ones.

Each module that mends something names it in REPAIRS; its functions take the names of what is to be mended.
"""

import argparse
from collections.abc import Mapping, Set


def add_released_arguments(
    parser: argparse.ArgumentParser, repairs: Mapping[str, str], forms: Mapping[str, Set[str]] | None = None
) -> None:
    """`forms`: where the released code comes in several, what each mends itself; --paper_exact alone is the first."""
    group = parser.add_argument_group("the released rules (numbered in the README)")
    kind = {"nargs": "?", "choices": list(forms), "const": next(iter(forms))} if forms else {"action": "store_true"}
    group.add_argument("--paper_exact", **kind, help="all of them, defects included")
    group.add_argument(
        "--as_released",
        nargs="+",
        choices=list(repairs),
        help="these only; otherwise " + "; ".join(f"{name}: {what}" for name, what in repairs.items()),
    )


def wanted_repairs(
    args: argparse.Namespace, repairs: Mapping[str, str], forms: Mapping[str, Set[str]] | None = None
) -> Set[str]:
    if args.paper_exact:
        return (forms or {}).get(args.paper_exact, frozenset())
    return repairs.keys() - set(args.as_released or ())
