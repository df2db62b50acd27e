#!/usr/bin/env bash
# WebR step 3: a response to each request. The longest answers of the run.
# The same command again goes on where it stopped. With OPENAI_BASE_URL set, that server is asked and none is started.
#   bash webr/step3_make_responses.sh --max_tokens 2048
set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."
source common/launch.sh
source webr/settings.sh

start_server "${SERVE[@]}"
run python webr/step3_make_responses.py --data_path "$OUT/requests.jsonl" --save_path "$OUT/responses.jsonl" "${ASK[@]}" "$@"
