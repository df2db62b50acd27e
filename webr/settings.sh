# shellcheck shell=bash disable=SC2034
# What all launchers of WebR share; sourced after common/launch.sh. Temperature, top_p, max_tokens, the system message
# and cleaning follow from the flavour: webr/flavours.py.
FLAVOUR=${FLAVOUR:-local} # local: WebR-Basic, Llama-3-70B on 8 GPUs; api: WebR-Pro, gpt-4o-mini, key in OPENAI_API_KEY
DATA=${DATA:-data/web_pages.jsonl} # {"webpage": "..."} a row; any number of them
OUT=${OUT:-results/webr}
if [[ $FLAVOUR == api ]]; then
    MODEL=${MODEL:-gpt-4o-mini}
    export OPENAI_BASE_URL=${OPENAI_BASE_URL:-https://api.openai.com/v1}
fi
MODEL=${MODEL:-meta-llama/Meta-Llama-3-70B-Instruct}
TOKENIZER=${TOKENIZER-meta-llama/Meta-Llama-3-8B} # of the model to train; empty: words
SAVE_NUM=${SAVE_NUM:-}                            # the paper: 100000; empty: as many as there are

ASK=(--model "$MODEL" --flavour "$FLAVOUR")
# Two copies of the 70B model on 8 x A800; TENSOR_PARALLEL=1 DATA_PARALLEL=1 for one GPU and a small model.
SERVE=(--model "$MODEL" --tensor_parallel "${TENSOR_PARALLEL:-4}" --data_parallel "${DATA_PARALLEL:-2}")
FINISH=(--save_name "$OUT/data/webr" ${TOKENIZER:+--tokenizer_model_name "$TOKENIZER"} ${SAVE_NUM:+--save_num "$SAVE_NUM"})
