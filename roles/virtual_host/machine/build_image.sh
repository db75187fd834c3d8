#!/bin/sh
# build_image.sh IMAGE WHAT METHOD ARGUMENT...: make the base tree of virtual hosts and pack it into IMAGE.
#
# METHOD is a script beside this one: METHOD TARBALL ARGUMENT... One at a time on this machine; who had to wait finds it
# made. A run that was killed leaves its scratch folder, and the next one removes it. The scratch folder is beside the
# image: /tmp is often small, or in memory.
set -eu
image=$1 what=$2 method=$3
shift 3
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

# Namespaces of its own: when it is killed, nothing of it stays running or mounted.
if ! TMPDIR="$scratch" unshare --mount --pid --fork --kill-child --mount-proc \
	sh "$(dirname "$0")/$method" "$scratch/root.tar" "$@" >"$scratch/log" 2>&1; then
	if grep -q 'No space left' "$scratch/log"; then
		echo "no room in $folder for the image of $what: $(df -h --output=avail "$folder" | tail -n 1) free" >&2
	else
		kept="$folder/$(basename "$image" .tar).log"
		cp "$scratch/log" "$kept" 2>/dev/null || true
		echo "cannot make $what: $(grep -E '^[EW]:|[Ee]rror:' "$scratch/log" | tail -n 1 || tail -n 1 "$scratch/log"); all of it is in $kept" >&2
	fi
	exit 1
fi
sync "$scratch/root.tar"
mv "$scratch/root.tar" "$image"
