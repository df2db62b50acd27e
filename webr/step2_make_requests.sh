#!/usr/bin/env bash
# WebR step 2: a request for each page, to transform it or one that it answers.
# The same command again goes on where it stopped. With OPENAI_BASE_URL set, that server is asked and none is started.
#   bash webr/step2_make_requests.sh --ratio 1:1:1:1
set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."
source common/launch.sh
source webr/settings.sh

start_server "${SERVE[@]}"
run python webr/step2_make_requests.py --data_path "$OUT/authors.jsonl" --save_path "$OUT/requests.jsonl" "${ASK[@]}" "$@"
