#!/usr/bin/env bash
# AugCon step 6: merge the adapter into its base model, in 16 bits, with the tokenizer. It was trained on the base in 4
# bits, as released. A missing adapter is an error: nothing else is merged in its place.
#   bash augcon/step6_merge.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source common/launch.sh

OUT=${OUT:-results/augcon}

run python common/training/merge.py --adapter_path "$OUT/LoRA" --save_path "$OUT/sft_model" "$@"
