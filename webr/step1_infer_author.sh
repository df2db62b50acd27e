#!/usr/bin/env bash
# WebR step 1: who wrote each page, in at most 30 words. One short answer a page.
# The same command again goes on where it stopped. With OPENAI_BASE_URL set, that server is asked and none is started.
#   DATA=pages.jsonl bash webr/step1_infer_author.sh --dedup_pages
set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."
source common/launch.sh
source webr/settings.sh

start_server "${SERVE[@]}"
run python webr/step1_infer_author.py --data_path "$DATA" --save_path "$OUT/authors.jsonl" "${ASK[@]}" "$@"
