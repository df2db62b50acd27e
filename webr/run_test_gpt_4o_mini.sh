#!/usr/bin/env bash
# The original's command for its api flavour (WebR-Pro): gpt-4o-mini; the key is taken from OPENAI_API_KEY.
#   DATA=pages.jsonl bash webr/run_test_gpt_4o_mini.sh
set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."

FLAVOUR=api exec bash webr/run_all.sh "$@"
