#!/usr/bin/env bash
# WebR from pages to an instruction-tuning set: three calls a page, four for web as response.
#   bash webr/run_all.sh                                                  # Llama3-70B on 8 GPUs (WebR-Basic)
#   OPENAI_BASE_URL=https://… OPENAI_API_KEY=… MODEL=gpt-4o-mini bash webr/run_all.sh     # a hosted API (WebR-Pro)
# DATA, OUT, TOKENIZER and SAVE_NUM as in the steps.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh
export MODEL=${MODEL:-meta-llama/Meta-Llama-3-70B-Instruct}

start_server --model "$MODEL" --tensor_parallel 4 --data_parallel 2 # one start for all steps
run bash webr/step1_infer_author.sh        # authors.jsonl     who may have written each page
run bash webr/step2_make_requests.sh       # requests.jsonl    page as material (WI) or as answer (WR)
run bash webr/step3_make_responses.sh      # responses.jsonl   with the page, or without it
run bash webr/step4_refine_responses.sh    # refined.jsonl     WR drafts improved with the page
run bash webr/step5_postprocess.sh         # webr.parquet      filtered, deduplicated, 2 : 1; webr.report.html
