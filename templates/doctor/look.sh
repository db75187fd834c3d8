#!/bin/sh
# What a box says of itself. Reads only, and needs no root. A line per thing: KEY VALUE; `unread NAME` for what only root
# may see, or no tool is there to tell.
LC_ALL=C
export LC_ALL
# A user's own PATH often lacks these (Debian, Fedora over ssh).
PATH=$PATH:/usr/sbin:/sbin

say() { if [ -n "$2" ]; then printf '%s %s\n' "$1" "$2"; fi; }
have() { command -v "$1" >/dev/null 2>&1; }
first() { head -c 4096 "$1" 2>/dev/null | tr '\0\n\t' '   ' | sed 's/ *$//'; }
file() { # KEY PATH: its text in one line
    if [ ! -e "$2" ]; then return; fi
    if [ -r "$2" ]; then say "$1" "$(first "$2")"; else echo "unread $2"; fi
}
lines() { # KEY PATTERN FILE...: `KEY FILE: LINE` of every line that matches
    key=$1 pattern=$2
    shift 2
    for f in "$@"; do
        if [ ! -f "$f" ]; then continue; fi
        if [ ! -r "$f" ]; then echo "unread $f"; continue; fi
        # A line that ends in a backslash goes on in the next one.
        sed -e ':a' -e '/\\$/{' -e '$!N' -e 's/\\\n//' -e 'ta' -e '}' "$f" | grep -aE "$pattern" | head -n 50 |
            sed "s|^|$key $f: |"
    done
}

system() {
    # shellcheck source=/dev/null
    (. /etc/os-release && say os "$ID-$VERSION_ID" && say variant "$VARIANT_ID")
    say hostname "$(uname -n)"
    say kernel "$(uname -r)"
    say arch "$(uname -m)"
    if [ "$(id -u)" = 0 ]; then say root yes; fi
    file container /run/systemd/container
    sed -n 's/^\(MemTotal\|SwapTotal\): *\([0-9]*\) kB$/\1 \2/p' /proc/meminfo
    file cmdline /proc/cmdline
    for name in sys_vendor product_name board_name bios_version; do file "dmi.$name" "/sys/class/dmi/id/$name"; done
    file vm.dirty_ratio /proc/sys/vm/dirty_ratio
}

boot() {
    lines grub '^[[:space:]]*(export[[:space:]]+)?GRUB_(CMDLINE_LINUX(_DEFAULT)?|DEFAULT)=' \
        /etc/default/grub /etc/default/grub.d/*.cfg
    file kernel_cmdline /etc/kernel/cmdline
    lines modprobe '^[[:space:]]*options[[:space:]]+(ttm|amdttm|amdgpu)[[:space:]]' \
        /etc/modprobe.d/*.conf /run/modprobe.d/*.conf
    for f in /boot/vmlinuz-*; do if [ -e "$f" ]; then say installed_kernel "${f#/boot/vmlinuz-}"; fi; done
    if have grubby; then
        info=$(grubby --info=DEFAULT 2>/dev/null)
        if [ -n "$info" ]; then printf '%s\n' "$info" | sed 's/^/grubby /'; else echo 'unread grubby --info=DEFAULT'; fi
    fi
}

modules() {
    for name in ttm amdttm amdgpu amdkcl thunderbolt thunderbolt_net amdxdna; do
        if [ -d "/sys/module/$name" ]; then say module "$name"; fi
    done
    for f in /sys/module/ttm/parameters/* /sys/module/amdttm/parameters/* \
        /sys/module/amdgpu/parameters/gttsize /sys/module/amdgpu/parameters/lockup_timeout; do
        name=${f#/sys/module/}
        file "param.${name%%/*}.${name##*/}" "$f"
    done
}

gpu() {
    # By its PCI id: which card it is differs from box to box.
    for d in /sys/bus/pci/devices/*; do
        if [ "$(first "$d/vendor")$(first "$d/device")" != 0x10020x1586 ]; then continue; fi
        say gpu "${d##*/}"
        say gpu.driver "$(basename "$(readlink "$d/driver")" 2>/dev/null)"
        for name in mem_info_gtt_total mem_info_vram_total uma/carveout; do file "gpu.$name" "$d/$name"; done
        if [ -r "$d/uma/carveout_options" ]; then sed 's/^/gpu.carveout_option /' "$d/uma/carveout_options"; fi
        for f in /sys/kernel/debug/dri/*/amdgpu_firmware_info; do
            if [ -r "$f" ]; then grep -E '^MES' "$f" | sed 's/^/firmware /'; else echo 'unread amdgpu_firmware_info'; fi
            break
        done
        sed -n 's/^gfx_target_version \([1-9][0-9]*\)$/gfx \1/p' /sys/class/kfd/kfd/topology/nodes/*/properties 2>/dev/null
        # The kernel's own words; on most systems only root may read them.
        if said=$(dmesg 2>/dev/null) && [ -n "$said" ]; then
            printf '%s\n' "$said" | grep -E 'ring .* timeout|device wedged' |
                tail -n 20 | sed 's/^/dmesg /'
        else
            echo 'unread dmesg'
        fi
    done
}

packages() {
    if have rpm && have dnf; then
        rpm -qa --qf 'package %{NAME} %{EVR}\n' linux-firmware amd-gpu-firmware mesa-vulkan-drivers rocm-core \
            rocm-runtime 'amdrocm-core*' amdgpu-dkms gdm gnome-shell tuned tuned-ppd power-profiles-daemon 2>/dev/null
    elif have dpkg-query; then
        dpkg-query -W -f '${db:Status-Status} ${Package} ${Version}\n' linux-firmware firmware-amd-graphics \
            mesa-vulkan-drivers rocm-core 'amdrocm-core*' amdgpu-dkms gdm3 gnome-shell tuned tuned-ppd \
            power-profiles-daemon "linux-image-$(uname -r)" 2>/dev/null | sed -n 's/^installed /package /p'
    else
        echo 'unread packages'
    fi
    for f in /opt/rocm*/.info/version /opt/rocm/core-*/.info/version; do file "rocm" "$f"; done
    for f in /etc/vulkan/icd.d/amd_icd64.json /usr/share/vulkan/icd.d/amd_icd64.json; do
        if [ -e "$f" ]; then say amdvlk "$f"; fi
    done
    lines env '^[^#]*(HSA_OVERRIDE_GFX_VERSION|RADV_PERFTEST|GGML_CUDA_ENABLE_UNIFIED_MEMORY)=' \
        /etc/environment /etc/environment.d/*.conf /etc/profile.d/*.sh
}

network() {
    if have ss; then ss -ltnH 2>/dev/null | awk '{print "listen " $4}'; else echo 'unread listeners'; fi
    if have ip; then
        ip -o address show 2>/dev/null | awk '{sub("/.*", "", $4); print "address " $2 " " $4}'
        ip -o route show default 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/default_route \1/p'
    else
        echo 'unread interfaces'
    fi
    for d in /sys/class/net/*/wireless; do if [ -d "$d" ]; then d=${d%/wireless}; say wireless "${d##*/}"; fi; done
}

habits() {
    file tuned /etc/tuned/active_profile
    if have systemctl; then
        say default_target "$(systemctl get-default 2>/dev/null)"
        say suspend "$(systemctl is-enabled suspend.target 2>/dev/null)"
        for unit in tuned tuned-ppd power-profiles-daemon; do
            say "active" "$(systemctl is-active --quiet "$unit" 2>/dev/null && echo "$unit")"
        done
    fi
    lines dconf "^sleep-inactive-ac-type=" /etc/dconf/db/*.d/*
}

{
    system
    boot
    modules
    gpu
    packages
    network
    habits
} | LC_ALL=C tr -c '\11\12\40-\176' '?' # pyinfra reads UTF-8 only
exit 0
