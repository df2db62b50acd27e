"""The two settings of the paper: WebR-Basic from a local model, WebR-Pro from an API. Everything that sets them apart
stands here; launchers and steps name the flavour.

    parser.add_argument("--flavour", ...); args = with_flavour(parser.parse_args())      # fills in what was not given
"""

import argparse
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flavour:
    """As in the released code (its two run_test scripts and the programs that they start)."""

    dataset: str
    temperature: float
    top_p: float | None
    max_tokens: int | None  # None: the server's own limit
    system_message: bool  # "You are a helpful assistant." before every prompt
    cleaned: bool  # lead-ins and outer quotes are taken off requests and responses


FLAVOURS = {
    "local": Flavour("WebR-Basic (Llama-3-70B-Instruct)", 0.6, 0.9, 4096, system_message=False, cleaned=True),
    "api": Flavour("WebR-Pro (gpt-4o-mini)", 1.0, None, None, system_message=True, cleaned=False),
}


def add_flavour_argument(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--flavour",
        choices=FLAVOURS,
        default="local",
        help="system message, temperature, top_p, max_tokens and cleaning of "
        + ", ".join(f"{one.dataset}: {name}" for name, one in FLAVOURS.items()),
    )


def with_flavour(args: argparse.Namespace) -> argparse.Namespace:
    """The flavour's sampling where the command line says nothing."""
    for name in ("temperature", "top_p", "max_tokens"):
        if getattr(args, name) is None:
            setattr(args, name, getattr(FLAVOURS[args.flavour], name))
    return args
