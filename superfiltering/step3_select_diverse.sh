#!/usr/bin/env bash
# Superfiltering.D: 20 % by IFD, of these the 2 % that stand for all. About two minutes with one GPU.
#   bash superfiltering/step3_select_diverse.sh
#   EMB_MODEL=/models/all-MiniLM-L6-v2 bash superfiltering/step3_select_diverse.sh       # an encoder in a folder, offline
set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."
source common/launch.sh

OUT=${OUT:-results/superfiltering}
EMB_MODEL=${EMB_MODEL:-sentence-transformers/all-MiniLM-L6-v2}

run python superfiltering/step3_select_diverse.py --json_data_path "$OUT/with_ifd.json" \
    --json_save_path "$OUT/diverse.json" --emb_model "$EMB_MODEL" "$@"
