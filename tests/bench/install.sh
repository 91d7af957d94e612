#!/bin/sh
# Installs the Debian packages named that are missing. Those of servers bring a service of their own,
# which is neither started nor left enabled: the benchmark starts what it measures itself.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
services='haproxy stunnel4 openssh-server'
policy=/usr/sbin/policy-rc.d
as_root=
[ "$(id -u)" -eq 0 ] || as_root=sudo

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]; }

new=
for package in "$@"; do
    case " $services " in
    *" $package "*) installed "$package" || new="$new $package" ;;
    esac
done
if [ -n "$new" ] && [ ! -e "$policy" ]; then
    trap '$as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | $as_root install -m 755 /dev/stdin "$policy"
fi
"$here/../install.sh" "$@"
for package in $new; do
    unit=${package%-server}
    [ "$unit" != openssh ] || unit=ssh
    if command -v systemctl >/dev/null; then
        $as_root systemctl disable "$unit"
    fi
done
