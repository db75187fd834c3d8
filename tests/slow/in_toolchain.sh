#!/bin/sh
# in_toolchain.sh ROOT FOLDER PLACE COMMAND...: run COMMAND in the tree ROOT, which nothing is written to; FOLDER is at
# PLACE. It has no network, nothing of this machine's environment, and the namespaces that the caller gave it.
set -eu
root=$1 folder=$2 place=$3
shift 3
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mount --bind "$folder" "$root$place"
mount -o remount,bind,ro "$root"
exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8 "$@"
