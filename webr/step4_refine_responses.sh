#!/usr/bin/env bash
# WebR step 4: the responses of web as response, improved with the page: a third of the rows.
# The same command again goes on where it stopped. With OPENAI_BASE_URL set, that server is asked and none is started.
#   bash webr/step4_refine_responses.sh --max_tokens 2048
set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."
source common/launch.sh
source webr/settings.sh

start_server "${SERVE[@]}"
run python webr/step4_refine_responses.py --data_path "$OUT/responses.jsonl" --save_path "$OUT/refined.jsonl" "${ASK[@]}" "$@"
