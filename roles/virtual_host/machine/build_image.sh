#!/bin/sh
# build_image.sh IMAGE SUITE PACKAGES [MIRROR]: make the base tree of virtual hosts and pack it into IMAGE.
#
# One at a time on this machine; who had to wait finds it made. A run that was killed leaves its scratch folder, and
# the next one removes it. The scratch folder is beside the image: /tmp is often small, or in memory.
set -eu
image=$1 suite=$2 packages=$3 mirror=${4-}
folder=$(dirname "$image")
mkdir -p "$folder"
# What is started below keeps the lock, so that nothing of a killed run works on beside the next one.
exec 9>"$folder/.lock"
flock 9
[ ! -e "$image" ] || exit 0

scratch="$image.building"
rm -rf --one-file-system "$scratch"
mkdir -m 0755 "$scratch"
trap 'rm -rf --one-file-system "$scratch"' EXIT
trap 'exit 1' INT TERM HUP

# shellcheck disable=SC2016  # mmdebstrap's shell expands them
# What must differ from host to host is made by nobody here; apt's timers would work beside the tests.
# Namespaces of its own: when it is killed, nothing of it stays running or mounted.
if ! TMPDIR="$scratch" unshare --mount --pid --fork --kill-child --mount-proc mmdebstrap --variant=minbase --include="$packages" \
	--customize-hook='rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/machine-id "$1"/var/lib/dbus/machine-id' \
	--customize-hook='chroot "$1" systemctl --quiet enable systemd-networkd.service' \
	--customize-hook='chroot "$1" systemctl --quiet disable apt-daily.timer apt-daily-upgrade.timer' \
	"$suite" "$scratch/root.tar" ${mirror:+"$mirror"} >"$scratch/log" 2>&1; then
	if grep -q 'No space left' "$scratch/log"; then
		echo "no room in $folder for the image of $suite: $(df -h --output=avail "$folder" | tail -n 1) free" >&2
	else
		echo "mmdebstrap cannot make $suite: $(grep -E '^[EW]:|error|Error' "$scratch/log" | tail -n 1 || tail -n 1 "$scratch/log")" >&2
		cp "$scratch/log" "$folder/$suite.log" 2>/dev/null || true
	fi
	exit 1
fi
sync "$scratch/root.tar"
mv "$scratch/root.tar" "$image"
