"""Fine-tuning for every method, on TRL's trainer; importing this costs no torch."""

import sys


def hush_bars() -> None:
    """No bars of transformers in a log file."""
    from transformers.utils import logging

    if not sys.stderr.isatty():
        logging.disable_progress_bar()
