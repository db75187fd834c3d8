#!/bin/sh
# unpack_base.sh IMAGE STATE_DIR DIGEST LAB: STATE_DIR/base is the tree in IMAGE, and STATE_DIR/base.digest says so.
#
# The digest is written last, so a run that was killed is done again, once what it left running has let go of the lock. Nobody may look in but root: hosts hold keys.
set -eu
image=$1 state=$2 digest=$3 lab=$4
mkdir -p "$state"
chmod 0700 "$state"
exec 9>"$state/.lock"
flock 9
if [ "$(cat "$state/base.digest" 2>/dev/null)" = "$digest" ]; then exit 0; fi
printf '%s\n' "$lab" >"$state/lab"
rm -rf --one-file-system "$state/base.digest" "$state/base" "$state/base.new"
mkdir -m 0755 "$state/base.new"
if ! said=$(tar -C "$state/base.new" -xp --numeric-owner --xattrs --xattrs-include='*' -f "$image" 2>&1); then
	rm -rf --one-file-system "$state/base.new"
	case $said in
	*'No space left'* | *'Wrote only'*) echo "no room in $state for the base tree: $(stat -c %s "$image") bytes needed" >&2 ;;
	*) echo "$image cannot be unpacked into $state: $(printf '%s\n' "$said" | head -n 1)" >&2 ;;
	esac
	exit 1
fi
mv "$state/base.new" "$state/base"
printf '%s\n' "$digest" >"$state/base.digest"
