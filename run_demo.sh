#!/usr/bin/env bash
# Command 1: set everything up and see the methods work, end to end, on samples bundled here. CPU only; the network is
# needed for the set-up alone. The embedded server (model name "stand-in") answers by rules: what comes out shows the
# machinery and the formats, not the quality that a model gives.
#   bash run_demo.sh                   # results in demo_output/
#   OUT=/tmp/demo bash run_demo.sh     # elsewhere; the same command again goes on, and asks nothing twice
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
[[ ${DRY_RUN:-} == 1 ]] || source common/setup.sh
source common/launch.sh
OUT=${OUT:-demo_output}
export PORT=${PORT:-8791} # of the embedded server, which ends with this script

section() { printf '\n== %s\n' "$*"; }

unset OPENAI_BASE_URL # the demo never asks, or bills, a server of yours
start_server --engine standin

section "eval: a model's answers to a file of questions"
run python eval/generate.py --data_path eval/sample/questions.jsonl --save_path "$OUT/eval/answers.jsonl"
run head -n 3 "$OUT/eval/answers.jsonl"
run python -m common.manifest verify "$OUT/eval/answers.jsonl"

section "done; the results are in $OUT"
