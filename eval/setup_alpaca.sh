#!/usr/bin/env bash
# The environment of AlpacaEval 2's length-controlled win rate, once: .venv-alpaca, 48 packages, no torch.
#   bash eval/setup_alpaca.sh            # FOLDER=DIR: elsewhere
# Apart from ours because alpaca_eval imports pkg_resources, which newer setuptools lack, and passes scikit-learn a
# penalty that 1.10 no longer takes.
set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."

FOLDER=${FOLDER:-.venv-alpaca}
[[ -x $FOLDER/bin/python ]] || python3 -m venv "$FOLDER"
"$FOLDER/bin/python" -m pip install --quiet alpaca_eval==0.6.6 setuptools==78.1.1 scikit-learn==1.9.1 pandas==3.1.1 \
    numpy==2.3.5 openai==3.52.0
