#!/usr/bin/env bash
# WebR from raw pages to training data, on one server for all steps. Interrupted, the same command goes on.
#   DATA=pages.jsonl bash webr/run_all.sh                       # Llama-3-70B on 8 GPUs: WebR-Basic
#   DATA=pages.jsonl FLAVOUR=api bash webr/run_all.sh           # gpt-4o-mini: WebR-Pro
# 100,000 conversations ask for about 333,000 answers; the paper paid 38.57 USD for them with gpt-4o-mini.
# What follows the script's name goes to the steps that ask the model; more variables: webr/settings.sh.
set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."
source common/launch.sh
source webr/settings.sh

start_server "${SERVE[@]}"

# Who wrote the page (30 words); near-duplicate pages go first, nobody pays for them.
run python webr/step1_infer_author.py --data_path "$DATA" --save_path "$OUT/authors.jsonl" --dedup_pages "${ASK[@]}" "$@"
# 2:2:1:1 of the pages: a request to transform the page (WI) or the request that it answers (WR), all or part of it.
run python webr/step2_make_requests.py --data_path "$OUT/authors.jsonl" --save_path "$OUT/requests.jsonl" "${ASK[@]}" "$@"
# A response; WI sees the page, WR does not.
run python webr/step3_make_responses.py --data_path "$OUT/requests.jsonl" --save_path "$OUT/responses.jsonl" "${ASK[@]}" "$@"
# WR alone: the response is improved with the page.
run python webr/step4_refine_responses.py --data_path "$OUT/responses.jsonl" --save_path "$OUT/refined.jsonl" "${ASK[@]}" "$@"
# Refusals, faults, near-duplicates out; two WI for one WR; parquet, jsonl, dataset card.
run python webr/step5_postprocess.py --WI_data_paths "$OUT/refined.jsonl" --WR_data_paths "$OUT/refined.jsonl" "${FINISH[@]}"
run python webr/write_report.py --data_path "$OUT/data/webr.jsonl" --save_path "$OUT/report.html"
