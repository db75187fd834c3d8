#!/bin/sh
# shape_fedora.sh RELEASE FIRST... -- WORD...: inside the tree of a Debian, make it look like a Fedora Workstation.
#
# A stand-in, and its os-release says so. dnf and rpm are real and work against the repository that make_rpms.py makes
# of the WORDs, signed with a key that is thrown away. FIRST: the packages that Fedora's installer would have left.
set -eu
release=$1
shift
first=
while [ "$1" != -- ]; do
	first="$first $1"
	shift
done
shift
repository=/srv/fedora-$release
key=/etc/pki/rpm-gpg/RPM-GPG-KEY-fedora-$release

GNUPGHOME=$(mktemp -d)
export GNUPGHOME
gpg --batch --quiet --passphrase '' --quick-generate-key "halofleet's stand-in for Fedora $release" rsa3072 sign never
mkdir -p /etc/pki/rpm-gpg /etc/rpm /etc/yum.repos.d /usr/lib/sysimage/rpm
gpg --batch --armor --export >"$key"
apt-get update -qq
python3 -BEs "$(dirname "$0")/make_rpms.py" "$repository" "$release" "$(gpg --list-keys --with-colons | sed -n 's/^fpr:*\([0-9A-F]*\):/\1/p' | head -n 1)" "$@"
gpgconf --kill all
rm -rf "$GNUPGHOME"
unset GNUPGHOME

# --- dnf and rpm, and nothing else that installs --------------------------------------------------------------------
printf '%%_dbpath /usr/lib/sysimage/rpm\n' >/etc/rpm/macros
ln -s dnf5 /usr/bin/dnf
# Debian switches it on, Fedora does not have it: it makes a repository of all that is installed.
rm /etc/dnf/libdnf5-plugins/local.conf
cat >/etc/yum.repos.d/fedora.repo <<EOF
[fedora]
name=halofleet's stand-in for Fedora \$releasever
baseurl=file:///srv/fedora-\$releasever
enabled=1
gpgcheck=1
gpgkey=file://$key
EOF
rpm --import "$key"
# shellcheck disable=SC2086  # words
dnf install -y --quiet --releasever="$release" fedora-release-workstation $first
dnf clean --quiet all
# The databases stay: mmdebstrap tidies them up when this has run. Without the commands nobody looks there.
rm -rf /usr/bin/apt* /usr/bin/dpkg* /usr/bin/update-alternatives /usr/sbin/dpkg-* /usr/lib/apt /etc/debian_version \
	/usr/lib/systemd/system/apt-daily* /usr/lib/systemd/system/dpkg-* \
	/etc/systemd/system/timers.target.wants/apt-* /etc/systemd/system/timers.target.wants/dpkg-*

# --- what Fedora is ---------------------------------------------------------------------------------------------------
rm -f /etc/os-release
cat >/usr/lib/os-release <<EOF
NAME="Fedora Linux"
VERSION="$release (Workstation Edition)"
ID=fedora
VERSION_ID=$release
PLATFORM_ID="platform:f$release"
PRETTY_NAME="Fedora Linux $release (Workstation Edition), halofleet's stand-in made of Debian"
VARIANT="Workstation Edition"
VARIANT_ID=workstation
HALOFLEET_STAND_IN=yes
EOF
ln -s ../usr/lib/os-release /etc/os-release
mkdir -p /usr/lib/systemd/system/service.d
cat >/usr/lib/systemd/system/service.d/10-timeout-abort.conf <<'EOF'
# As on Fedora: a service that does not stop in time is ended with SIGABRT and leaves a core.
[Service]
TimeoutStopFailureMode=abort
EOF
mv /usr/lib/systemd/system/ssh.service /usr/lib/systemd/system/sshd.service
sed -i '/^Alias=/d' /usr/lib/systemd/system/sshd.service
rm -f /etc/systemd/system/sshd.service /etc/systemd/system/multi-user.target.wants/ssh.service \
	/etc/systemd/system/ssh.socket /etc/systemd/system/sockets.target.wants/ssh.socket /usr/lib/systemd/system/ssh.socket

# --- NetworkManager and firewalld -----------------------------------------------------------------------------------
printf '[main]\nplugins=keyfile\n' >/etc/NetworkManager/NetworkManager.conf
rm -rf /etc/netplan /etc/network /etc/systemd/network
cat >/usr/lib/firewalld/zones/FedoraWorkstation.xml <<'EOF'
<?xml version="1.0" encoding="utf-8"?>
<zone>
  <short>Fedora Workstation</short>
  <description>As Fedora ships it: every port from 1025 on is open.</description>
  <service name="dhcpv6-client"/>
  <service name="samba-client"/>
  <service name="ssh"/>
  <port protocol="udp" port="1025-65535"/>
  <port protocol="tcp" port="1025-65535"/>
  <forward/>
</zone>
EOF
sed -i 's/^DefaultZone=.*/DefaultZone=FedoraWorkstation/' /etc/firewalld/firewalld.conf
systemctl --quiet enable NetworkManager.service firewalld.service sshd.service
