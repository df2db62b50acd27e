# shellcheck shell=bash
# Sourced by the set-ups of environments beside ours: a venv with uv, which finds packages where pip was told to look.

make_venv() { # make_venv FOLDER
    python3 -m venv --clear "$1"
    "$1/bin/pip" install --quiet uv
    local name
    for name in find-links extra-index-url; do # uv does not read pip's settings
        local variable=${name//-/_} value
        value=$("$1/bin/pip" config list | sed -n "s/^[a-z:]*[.]*\.$name='\(.*\)'\$/\1/p" | tail -n 1)
        [[ -z $value ]] || export "UV_${variable^^}=$value"
    done
    export UV_INDEX_STRATEGY=unsafe-best-match
}

overrides() { # overrides FOLDER PACKAGE…: these are never installed
    local venv=$1
    shift
    printf '%s ; sys_platform == "never"\n' "$@" >"$venv/overrides.txt"
}
