#!/bin/sh
# unpack_base.sh IMAGE STATE_DIR NAME LAB: STATE_DIR/bases/NAME is the tree in IMAGE.
#
# It gets its name last, so a run that was killed is done again, once what it left running has let go of the lock.
# Nobody may look in but root: hosts hold keys.
set -eu
image=$1 state=$2 name=$3 lab=$4
mkdir -p "$state/bases"
chmod 0700 "$state"
exec 9>"$state/.lock"
flock 9
printf '%s\n' "$lab" >"$state/lab"
if [ -d "$state/bases/$name" ]; then exit 0; fi
new="$state/bases/.new"
rm -rf --one-file-system "$new"
mkdir -m 0755 "$new"
if ! said=$(tar -C "$new" -xp --numeric-owner --xattrs --xattrs-include='*' -f "$image" 2>&1); then
	rm -rf --one-file-system "$new"
	case $said in
	*'No space left'* | *'Wrote only'*) echo "no room in $state for the base tree: $(stat -c %s "$image") bytes needed" >&2 ;;
	*) echo "$image cannot be unpacked into $state: $(printf '%s\n' "$said" | head -n 1)" >&2 ;;
	esac
	exit 1
fi
mv "$new" "$state/bases/$name"
