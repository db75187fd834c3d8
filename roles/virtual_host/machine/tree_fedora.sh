#!/bin/sh
# tree_fedora.sh TARBALL RELEASE ARCH MIRROR KEY PACKAGE...: a real Fedora, by `dnf --installroot`.
#
# MIRROR is the folder that has releases/ and updates/ below it, KEY the file with Fedora's key for this release.
set -eu
tarball=$1 release=$2 arch=$3 mirror=${4%/} key=$5
shift 5
root="$TMPDIR/root"
mkdir -m 0755 "$root"
mkdir -p "$root/dev" "$root/proc" "$root/sys"
mount -t proc proc "$root/proc"
for device in null zero random urandom; do
	: >"$root/dev/$device"
	mount --bind "/dev/$device" "$root/dev/$device"
done
# Only these repositories, signatures checked, nothing of the machine's own dnf.
set -- --installroot="$root" --releasever="$release" --forcearch="$arch" -y --setopt=reposdir=/nowhere \
	--setopt=gpgcheck=1 --setopt=install_weak_deps=False --setopt=cachedir="$TMPDIR/cache" \
	--repofrompath="fedora,$mirror/releases/$release/Everything/$arch/os/" \
	--repofrompath="updates,$mirror/updates/$release/Everything/$arch/" \
	--setopt=fedora.gpgcheck=1 --setopt=fedora.gpgkey="file://$key" \
	--setopt=updates.gpgcheck=1 --setopt=updates.gpgkey="file://$key" install "$@"
dnf "$@"
for service in NetworkManager firewalld sshd; do
	! [ -e "$root/usr/lib/systemd/system/$service.service" ] || chroot "$root" systemctl --quiet enable $service.service
done
umount "$root"/dev/* "$root/proc"
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/machine-id" "$root/var/lib/dbus/machine-id"
tar -C "$root" -cp --numeric-owner --xattrs --xattrs-include='*' --one-file-system -f "$tarball" .
