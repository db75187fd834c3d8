#!/bin/sh
# tree_debian.sh TARBALL SUITE PACKAGES [MIRROR [SHAPE_SCRIPT ARGUMENT...]]: a Debian, and what SHAPE_SCRIPT makes of it.
# tree_debian.sh TARBALL SUITE PACKAGES MIRROR '' KEY: an Ubuntu, whose archive is signed with KEY.
# shellcheck disable=SC2016  # mmdebstrap's shell expands what is in single quotes
set -eu
tarball=$1 suite=$2 packages=$3 mirror=${4-} shape=${5-}
here=$(dirname "$0")
if [ $# -ge 5 ]; then shift 5; else set --; fi

# What must differ from host to host is made by nobody here; apt's timers would work beside the tests.
set_up() {
	mmdebstrap --variant=minbase --include="$packages" "$@" \
		--customize-hook='rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/machine-id "$1"/var/lib/dbus/machine-id' \
		"$suite" "$tarball" ${mirror:+"$mirror"}
}
networkd='chroot "$1" systemctl --quiet enable systemd-networkd.service'
timers='chroot "$1" systemctl --quiet disable apt-daily.timer apt-daily-upgrade.timer'

if [ -n "$shape" ]; then
	# The hook's arguments, quoted for the shell that mmdebstrap runs it with.
	words=
	for word in "$@"; do words="$words '$(printf '%s' "$word" | sed "s/'/'\\\\''/g")'"; done
	# A testing suite's mirror may be past its date, which is no reason to be without the lab. Signatures count.
	# Its package lists stay out of the image: an apt-get update inside would make them again.
	set_up --aptopt='Acquire::Check-Valid-Until "false"' --customize-hook="$timers" \
		--customize-hook="mkdir \"\$1\"/tmp/shape && cp '$here'/shape_*.sh '$here'/make_rpms.py \"\$1\"/tmp/shape/ && \
chroot \"\$1\" sh /tmp/shape/$shape$words && rm -r \"\$1\"/tmp/shape"
elif [ $# -gt 0 ]; then
	set_up --keyring="$1" --components=main,universe --customize-hook="$networkd" --customize-hook="$timers"
else
	set_up --customize-hook="$networkd" --customize-hook="$timers"
fi
