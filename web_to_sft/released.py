"""The switches between our rules and the released ones: --paper_exact for all points, --as_released for single ones.

Each module that mends something names it in REPAIRS; its functions take the names of what is to be mended.
"""

import argparse
from collections.abc import Mapping, Set


def add_released_arguments(
    parser: argparse.ArgumentParser, repairs: Mapping[str, str], also_mended: Mapping[str, Set[str]] | None = None
) -> None:
    """`also_mended`: released code that comes in several forms, and what each mends itself; the first form is meant
    by --paper_exact alone."""
    group = parser.add_argument_group("the released rules (numbered in the README)")
    if also_mended:
        forms = {"nargs": "?", "choices": list(also_mended), "const": next(iter(also_mended))}
        group.add_argument("--paper_exact", **forms, help="all of them, defects included, as on that released path")
    else:
        group.add_argument("--paper_exact", action="store_true", help="all of them, defects included")
    group.add_argument(
        "--as_released",
        nargs="+",
        default=[],
        choices=list(repairs),
        help="these only: " + "; ".join(f"{name}: {what}" for name, what in repairs.items()),
    )


def wanted_repairs(
    args: argparse.Namespace, repairs: Mapping[str, str], also_mended: Mapping[str, Set[str]] | None = None
) -> Set[str]:
    if args.paper_exact:
        return (also_mended or {}).get(args.paper_exact, frozenset())
    return repairs.keys() - set(args.as_released)
