#!/usr/bin/env bash
# The original's command for its local flavour (WebR-Basic): Llama-3-70B-Instruct on 8 GPUs.
#   DATA=pages.jsonl bash webr/run_test_llama3_70b.sh
set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."

FLAVOUR=local exec bash webr/run_all.sh "$@"
