#!/usr/bin/env bash
# The original's command for its local flavour (WebR-Basic): the five steps with Llama-3-70B-Instruct on 8 GPUs.
#   DATA=pages.jsonl bash webr/run_test_llama3_70b.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export MODEL=${MODEL:-meta-llama/Meta-Llama-3-70B-Instruct} TEMPERATURE=0.6 TOP_P=0.9
exec bash webr/run_all.sh "$@"
