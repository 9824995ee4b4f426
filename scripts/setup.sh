#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes .venv with the package and all that its tests need. Installs missing system packages where it may.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

EXTRAS=train,sim,synth,hls4ml,board,serial,dev

fail() {
    echo "setup: $*" >&2
    exit 1
}

# The pinned numpy has wheels up to CPython 3.12.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.10}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

# As find_tool("systemc") of sim/tools.py looks for it.
systemc_is_there() {
    local prefix
    for prefix in ${SYSTEMC_HOME:-/usr /usr/local}; do
        [[ -e $prefix/include/systemc && -e $prefix/include/sysc/kernel/sc_ver.h ]] && return
    done
    return 1
}

# Debian splits Python into packages: venv needs ensurepip, cocotb the shared library.
missing_packages() {
    local program
    for program in g++ make perl; do
        command -v "$program" >/dev/null || echo "$program"
    done
    systemc_is_there || echo libsystemc-dev
    command -v tclsh >/dev/null || echo tcl
    "$1" - <<'PYTHON'
import ctypes, importlib.util, sys, sysconfig
if sys.base_prefix == "/usr":
    name = "python%d.%d" % sys.version_info[:2]
    if not importlib.util.find_spec("ensurepip"):
        print(name + "-venv")
    try:
        ctypes.CDLL(sysconfig.get_config_var("INSTSONAME"))
    except OSError:
        print(name + "-dev")
PYTHON
}

python=$(find_python) || fail "no Python from 3.10 to 3.12 found (tried ${PYTHON:-python3 python3.12 python3.11 python3.10}): install one, or name it: make PYTHON=/path/to/python3.11"

mapfile -t missing < <(missing_packages "$python")
# What only some checks need.
declare -A without=(
    [libsystemc-dev]="SystemC, whose simulations will not run"
    [tcl]="tclsh, without which scripts for Vivado and Vitis are not checked"
)
needed=()
for package in "${missing[@]}"; do
    [[ -v without[$package] ]] || needed+=("$package")
done
go_on() {
    ((${#needed[@]} == 0)) || fail "$1"
    local package
    for package in "${missing[@]}"; do
        echo "setup: going on without ${without[$package]}: on Debian, sudo apt-get install $package"
    done
}
if ((${#missing[@]})); then
    if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
        echo "setup: apt-get install ${missing[*]}"
        if ! { apt-get update -qq &&
            DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null; }; then
            go_on "apt-get could not install ${missing[*]}: see above"
        fi
    else
        go_on "missing from the system: ${needed[*]}. Install them with its package manager, on Debian: sudo apt-get install ${needed[*]}"
    fi
fi

echo "setup: installing into .venv, about three minutes the first time"
[[ -x .venv/bin/pip ]] || "$python" -m venv .venv
install=(.venv/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt)
# torch by itself first: the resolver must not weigh its versions against everything else.
"${install[@]}" torch
"${install[@]}" --editable ".[$EXTRAS]"
