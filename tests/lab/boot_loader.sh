#!/bin/sh
# What a virtual host lacks of a machine with GRUB, as far as the kernel role asks for it; `remove` takes it away.
#
# update-grub makes a menu of /etc/default/grub, its drop-ins and /etc/grub.d. At each boot, and only then, the command
# line of the menu's first entry becomes /proc/cmdline. GRUB's own programs are tried in tests/vm.
set -eu
bin=/usr/local/sbin
unit=/etc/systemd/system/boot-loader.service
sshd=/etc/ssh/sshd_config.d/zz-test.conf

if [ "${1-}" = remove ]; then
    if mountpoint -q /proc/cmdline; then umount /proc/cmdline; fi
    systemctl disable --quiet boot-loader.service
    rm -rf "$bin/update-grub" "$bin/boot-loader" "$unit" "$sshd" /etc/grub.d /etc/default/grub /etc/default/grub.d
    rm -rf /boot/grub /boot/stays-off /var/lib/halofleet/kernel
    systemctl daemon-reload
    systemctl restart ssh.service
    exit
fi

mkdir -p /etc/grub.d /etc/default/grub.d /boot/grub
echo 'GRUB_CMDLINE_LINUX="quiet"' >/etc/default/grub
cat >"$bin/update-grub" <<'END'
#!/bin/sh
set -eu
for file in /etc/default/grub /etc/default/grub.d/*.cfg; do [ ! -e "$file" ] || . "$file"; done
export GRUB_CMDLINE_LINUX
for part in /etc/grub.d/*; do "$part"; done >/boot/grub/grub.cfg.new
mv /boot/grub/grub.cfg.new /boot/grub/grub.cfg
END
cat >/etc/grub.d/10_linux <<'END'
#!/bin/sh
for id in simple advanced; do
    printf "menuentry 'Debian' \$menuentry_id_option 'gnulinux-%s-1' {\n" "$id"
    printf "\tlinux /boot/vmlinuz-1 root=/dev/vda1 ro %s\n}\n" "$GRUB_CMDLINE_LINUX"
done
END
cat >"$bin/boot-loader" <<'END'
#!/bin/sh
set -eu
if [ -e /boot/stays-off ]; then
    rm /boot/stays-off
    exec systemctl poweroff --force --force
fi
sed -nE 's/^\tlinux //p' /boot/grub/grub.cfg | head -n 1 >/run/cmdline
mount --bind /run/cmdline /proc/cmdline
END
chmod 755 "$bin/update-grub" "$bin/boot-loader" /etc/grub.d/10_linux
cat >"$unit" <<'END'
[Unit]
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/boot-loader
[Install]
WantedBy=sysinit.target
END
# The samples come five a second and do not log in.
echo 'PerSourcePenalties no' >"$sshd"
update-grub
systemctl daemon-reload
systemctl enable --quiet --now boot-loader.service
systemctl restart ssh.service
