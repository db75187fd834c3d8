#!/bin/sh
# build_disk.sh SCRATCH SUITE PACKAGES UUID [PASSPHRASE]: make SCRATCH/disk.raw, a Debian that GRUB boots from a BIOS.
#
# With a passphrase /boot is a partition of its own, and the root's is a LUKS device that asks for it at boot.
# SCRATCH holds authorized_keys and the host key pair, and what is left of a build. No loop device, no mount and no
# GRUB on this machine: mke2fs fills the file system, the tree's own GRUB makes its core image.
# The menu is a first one; the guest's own update-grub writes the real one when it boots.
set -eu
scratch=$1 suite=$2 packages=$3 uuid=$4 passphrase=${5-}
tree="$scratch/root" start=1048576
device=UUID=$uuid
if [ -n "$passphrase" ]; then device=/dev/mapper/root; fi
export tree scratch device passphrase
rm -rf --one-file-system "$tree"
trap 'rm -rf --one-file-system "$tree"' EXIT
trap 'exit 1' INT TERM HUP

# Before the kernel is installed: its own hook makes the slim initramfs then. ttm is in it, so that a changed
# module option needs a new initramfs to arrive, as on a box whose amdgpu is in there.
cat >"$scratch/before.sh" <<'END'
set -eu
root=$1
mkdir -p "$root/etc/initramfs-tools/conf.d" "$root/usr/share/initramfs-tools/modules.d" "$root/etc/default/grub.d"
printf 'MODULES=list\nCOMPRESS=zstd\n' >"$root/etc/initramfs-tools/conf.d/slim"
printf '%s\n' virtio_pci virtio_blk ext4 ttm >"$root/usr/share/initramfs-tools/modules.d/machine.conf"
printf '%s / ext4 errors=remount-ro 0 1\n' "$device" >"$root/etc/fstab"
if [ -n "$passphrase" ]; then
	echo '/dev/vda1 /boot ext4 defaults 0 2' >>"$root/etc/fstab"
	echo 'root /dev/vda2 none luks,initramfs' >"$root/etc/crypttab" # initramfs: where it is made there is no such device yet
	printf '%s\n' dm_crypt xts aes_generic aesni_intel sha256_generic algif_skcipher >>"$root/usr/share/initramfs-tools/modules.d/machine.conf"
fi
# As cloud images do it; /etc/default/grub stays as the package has it.
cat >"$root/etc/default/grub.d/10_serial.cfg" <<'GRUB'
GRUB_TIMEOUT=3
GRUB_TERMINAL=serial
GRUB_SERIAL_COMMAND="serial --unit=0 --speed=115200"
GRUB_CMDLINE_LINUX="console=ttyS0,115200"
GRUB
END

cat >"$scratch/after.sh" <<'END'
set -eu
root=$1
rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id"
: >"$root/etc/machine-id" # empty: not a first boot, the machine gets its id from outside
rm -f "$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 machine\n' >"$root/etc/hosts"
install -D -m 0600 "$scratch/authorized_keys" "$root/root/.ssh/authorized_keys"
install -m 0600 "$scratch/ssh_host_ed25519_key" "$root/etc/ssh/"
install -m 0644 "$scratch/ssh_host_ed25519_key.pub" "$root/etc/ssh/"
# The first interface gets its address from outside (a systemd credential), the second one leads out.
printf '[Match]\nType=ether\n\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\n' >"$root/etc/systemd/network/90-outside.network"
rm -f "$root/etc/resolv.conf"
printf 'nameserver 10.0.2.3\n' >"$root/etc/resolv.conf" # QEMU's, on its user network
chroot "$root" systemctl --quiet enable systemd-networkd.service
chroot "$root" systemctl --quiet disable systemd-networkd-wait-online.service
# They would work beside the tests.
chroot "$root" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
	e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-tmpfiles-clean.timer getty@tty1.service serial-getty@ttyS0.service
cp "$root/usr/share/grub/default/grub" "$root/etc/default/grub"
mkdir -p "$root/boot/grub"
cp -r "$root/usr/lib/grub/i386-pc" "$root/boot/grub/"
chroot "$root" grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -o /boot/grub/i386-pc/core.img biosdisk part_msdos ext2
cp "$root/boot/grub/i386-pc/boot.img" "$root/boot/grub/i386-pc/core.img" "$scratch/"
kernel=$(cd "$root/boot" && echo vmlinuz-*)
cat >"$root/boot/grub/grub.cfg" <<GRUB
linux /boot/$kernel root=$device ro quiet console=ttyS0,115200
initrd /boot/initrd.img-${kernel#vmlinuz-}
boot
GRUB
# Another kernel, to be installed without a network: the smallest one that Debian has.
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
another=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p')
(cd "$root/root" && apt-get -qq download "$another")
END

# Namespaces of its own: when it is killed, nothing of it stays running or mounted.
# shellcheck disable=SC2016  # mmdebstrap's shell expands them
if ! TMPDIR="$scratch" unshare --mount --pid --fork --kill-child --mount-proc mmdebstrap --variant=minbase \
	--include="$packages" --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
	--dpkgopt='path-exclude=/usr/share/locale/*' --essential-hook='sh "$scratch/before.sh" "$1"' \
	--customize-hook='sh "$scratch/after.sh" "$1"' "$suite" "$tree" >"$scratch/log" 2>&1; then
	tail -n 15 "$scratch/log" >&2
	exit 1
fi

# One partition for everything; or 256 MiB for /boot, and the root behind it. Starts and lengths are in sectors.
size=$((3 * 1024 * 1024 * 1024 - start)) source="$tree" table='\200\0\0\0\203\0\0\0\0\010\0\0\0\370\137\0'
truncate -s 3G "$scratch/disk.raw"
if [ -n "$passphrase" ]; then
	size=$((256 * 1024 * 1024)) source="$scratch/boot" table='\200\0\0\0\203\0\0\0\0\010\0\0\0\0\010\0\0\0\0\0\203\0\0\0\0\010\010\0\0\370\127\0'
	rm -rf "$source"
	mv "$tree/boot" "$source"
	mkdir "$tree/boot"
	ln -s . "$source/boot" # GRUB's core image looks for /boot/grub
	mke2fs -q -t ext4 -b 4096 -d "$tree" "$scratch/plain" 1200M
	# No device mapper on this machine: QEMU writes LUKS too.
	qemu-img convert -f raw -O luks --object "secret,id=key,data=$passphrase" -o key-secret=key,iter-time=10 "$scratch/plain" "$scratch/luks"
	dd if="$scratch/luks" of="$scratch/disk.raw" bs=1M seek=257 conv=notrunc status=none
	rm "$scratch/plain" "$scratch/luks"
fi
mke2fs -q -t ext4 -b 4096 -U "$uuid" -d "$source" -E "offset=$start" "$scratch/disk.raw" $((size / 4096))
# The boot sector (440 bytes of code), the partitions, the first of them active, and GRUB's core image behind it.
dd if="$scratch/boot.img" of="$scratch/disk.raw" bs=440 count=1 conv=notrunc status=none
# shellcheck disable=SC2059  # nothing but octal escapes
printf "$table" | dd of="$scratch/disk.raw" bs=1 seek=446 conv=notrunc status=none
printf '\125\252' | dd of="$scratch/disk.raw" bs=1 seek=510 conv=notrunc status=none
dd if="$scratch/core.img" of="$scratch/disk.raw" bs=512 seek=1 conv=notrunc status=none
