#!/usr/bin/env bash
# The original's command for its API flavour (WebR-Pro): gpt-4o-mini. The key: OPENAI_API_KEY.
#   DATA=pages.jsonl bash webr/run_test_gpt_4o_mini.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export OPENAI_BASE_URL=${OPENAI_BASE_URL:-https://api.openai.com/v1}
export MODEL=gpt-4o-mini TEMPERATURE=1.0 TOP_P=1.0
exec bash webr/run_all.sh "$@"
