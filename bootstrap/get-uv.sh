#!/bin/sh
# The one thing that comes before Python packages: uv itself, from PyPI, into the user's cache.
# usage: get-uv.sh TARGET VERSION
set -eu
target=$1 version=$2
folder=$(dirname "$(dirname "$target")")

if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "python3 3.11 or newer is needed; install it with your system's package manager" >&2
    exit 1
fi
if ! python3 -c 'import ensurepip' 2>/dev/null; then
    # Debian splits venv's half of Python into a package of its own.
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get -o DPkg::Lock::Timeout=300 update -q >&2
        DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -q python3-venv >&2
    else
        echo "Python's venv module is missing: apt-get install python3-venv (as root), then run this again" >&2
        exit 1
    fi
fi
rm -rf "$folder.new"
mkdir -p "$(dirname "$folder")"
python3 -m venv "$folder.new"
"$folder.new/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$version"
rm -rf "$folder"
mv "$folder.new" "$folder"
