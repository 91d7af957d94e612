#!/bin/sh
# Installs the Debian packages named that are missing; says nothing when none is. Uses sudo when not root.
set -eu
missing=
for package in "$@"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
echo "installing:$missing"
as_root=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "not root and no sudo: install these by hand:$missing" >&2; exit 1; }
    as_root=sudo
fi
$as_root apt-get update -q
# shellcheck disable=SC2086  # a list of names
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -q --no-install-recommends $missing
