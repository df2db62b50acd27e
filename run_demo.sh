#!/usr/bin/env bash
# Command 1: set everything up and see the methods work, end to end, on samples bundled here. CPU only; the network is
# needed for the set-up alone. The embedded server (model name "stand-in") answers by rules: what comes out shows the
# machinery and the formats, not the quality that a model gives.
#   bash run_demo.sh                   # results in demo_output/
#   OUT=/tmp/demo bash run_demo.sh     # elsewhere; the same command again goes on, and asks nothing twice
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source common/setup.sh
OUT=${OUT:-demo_output}

section() { printf '\n== %s\n' "$*"; }

demo() {
  section "eval: a model's answers to a file of questions"
  python eval/generate.py --data_path eval/sample/questions.jsonl --save_path "$OUT/eval/answers.jsonl"
  head -n 3 "$OUT/eval/answers.jsonl"
  python -m common.manifest verify "$OUT/eval/answers.jsonl"
}

# The server runs for as long as this script does, on a port of its own.
python -m common.standin_llm --port 0 >"${TMPDIR:-/tmp}/standin.$$" &
server=$!
trap 'kill "$server"; rm -f "${TMPDIR:-/tmp}/standin.$$"' EXIT
until grep -q http "${TMPDIR:-/tmp}/standin.$$"; do kill -0 "$server" && sleep 0.1; done
OPENAI_BASE_URL=$(grep -o 'http.*' "${TMPDIR:-/tmp}/standin.$$")
export OPENAI_BASE_URL
demo
section "done; the results are in $OUT"
