#!/usr/bin/env bash
# The released one-click name. It ended with the training data; run_all.sh goes on to the trained model unless TRAIN=0.
#   bash augcon/augcon.sh
set -euo pipefail
exec env TRAIN="${TRAIN:-0}" bash "$(dirname "${BASH_SOURCE[0]}")/run_all.sh" "$@"
