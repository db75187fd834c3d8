#!/bin/sh
# shape_ubuntu.sh VERSION CODENAME: inside the tree of a Debian, put in place what Ubuntu 26.04 has there.
#
# A stand-in, and its os-release says so. rust-coreutils and sudo-rs are Debian's packages; what they replace keeps its
# files under other names, so that apt goes on working with all of them.
set -eu
version=$1 codename=$2
for tool in /usr/lib/cargo/bin/coreutils/*; do
	name=$(basename "$tool")
	for place in /usr/bin /usr/sbin; do
		[ -e "$place/$name" ] || continue
		dpkg-divert --quiet --local --rename --divert "$place/gnu$name" --add "$place/$name"
		# By its own path: ln is among those that have just gone.
		/usr/lib/cargo/bin/coreutils/ln -s "../lib/cargo/bin/coreutils/$name" "$place/$name"
	done
done
for name in sudo visudo; do
	for place in /usr/bin /usr/sbin; do
		[ -e "$place/$name" ] || continue
		dpkg-divert --quiet --local --rename --divert "$place/$name.ws" --add "$place/$name"
		ln -s "../lib/cargo/bin/$name" "$place/$name"
	done
done

rm -f /etc/os-release
cat >/usr/lib/os-release <<EOF
PRETTY_NAME="Ubuntu $version, halofleet's stand-in made of Debian"
NAME="Ubuntu"
VERSION_ID="$version"
VERSION="$version"
VERSION_CODENAME=$codename
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=$codename
HALOFLEET_STAND_IN=yes
EOF
ln -s ../usr/lib/os-release /etc/os-release
mkdir /etc/systemd/system/netplan-configure.service.d
printf '# There is no udev in a container.\n[Service]\nExecStartPost=\n' \
	>/etc/systemd/system/netplan-configure.service.d/10-halofleet-virtual.conf
systemctl --quiet enable systemd-networkd.service
