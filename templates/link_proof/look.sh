#!/bin/sh
# look.sh WORD...: what the links of this node are like, a line per thing, KEY VALUE. Reads only; needs root.
#
# A WORD is wire:INTERFACE:OWN for an end of a link, peer:INTERFACE:OWN:ADDRESS:MTU for whom it should reach there, and
# far:INTERFACE:OWN:ADDRESS:MTU for whom it reaches through others. All at once: who does not answer costs seconds.
export LC_ALL=C
record=$1
shift

# Echo requests that came in by this interface. IPv6's are counted by interface, IPv4's are not.
arrived() { sed -n 's/^Icmp6InEchos[[:space:]]*//p' "/proc/net/dev_snmp6/$1" 2>/dev/null; }

reach() { # INTERFACE OWN ADDRESS MTU
	echo "route $1 $3 $(ip -j -4 route get "$3" from "$2" 2>/dev/null)"
	tries=0
	until ping -n -q -c 1 -W 1 -I "$2" "$3" >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ "$tries" -lt 3 ] || return
		heard "$1" 1 # so that the other end can tell whether anything of ours arrives
		sleep 0.2
	done
	times=$(ping -n -c 20 -i 0.01 -W 1 -I "$2" "$3" | sed -n 's/.* time=\([0-9.]*\) ms.*/\1/p' | tr '\n' ' ')
	echo "times $1 $3 $times"
	for size in "$4" 1500; do # 28: the headers of IPv4 and ICMP
		if ping -n -q -c 3 -i 0.2 -W 1 -M "do" -s $((size - 28)) -I "$2" "$3" >/dev/null 2>&1; then
			echo "passes $1 $3 $size"
			break
		fi
	done
}

# Who says that he has this address; a second one that does is not hidden by the first.
macs() { # INTERFACE ADDRESS
	arping -b -c 2 -w 1 -I "$1" "$2" 2>/dev/null | sed -n 's/^.* reply from [0-9.]* \[\([0-9A-F:]*\)\].*/\1/p' | sort -u |
		while read -r mac; do echo "mac $1 $2 $mac"; done
}

# Who has what is this node's own.
claimed() { # INTERFACE ADDRESS
	arping -D -c 1 -w 1 -I "$1" "$2" 2>/dev/null | sed -n 's/^.* reply from [0-9.]* \[\([0-9A-F:]*\)\].*/\1/p' |
		while read -r mac; do echo "claimed $1 $2 $mac"; done
}

# Whoever is on the wire, whatever IPv4 address he has.
heard() { # INTERFACE COUNT
	ping -6 -L -n -c "$2" -i 0.3 -W 1 "ff02::1%$1" 2>/dev/null | sed -n 's/^.* from \(fe80:[0-9a-f:]*\)%.*/\1/p' | sort -u |
		while read -r address; do echo "heard $1 $address"; done
}

usb4() { # INTERFACE
	device=$(readlink -f "/sys/class/net/$1/device")
	for key in rx_speed rx_lanes tx_speed tx_lanes; do
		[ ! -r "${device%/*}/$key" ] || echo "usb4 $1 $key $(cat "${device%/*}/$key")"
	done
}

for tool in ping arping iperf3; do
	command -v "$tool" >/dev/null || echo "lacks $tool"
done
[ ! -e "$record" ] || sed 's/^/proven /' "$record"
for domain in /sys/bus/thunderbolt/devices/domain*; do
	[ ! -r "$domain/security" ] || echo "security ${domain##*/} $(cat "$domain/security")"
done
before=
for word in "$@"; do
	old=$IFS
	IFS=:
	# shellcheck disable=SC2086 # its parts
	set -- $word
	IFS=$old
	case $1 in
	wire)
		before="$before $2:$(arrived "$2")"
		usb4 "$2"
		port=$(cat "/sys/class/net/$2/speed" 2>/dev/null) && echo "port $2 $port"
		claimed "$2" "$3" &
		heard "$2" 3 &
		;;
	peer)
		macs "$2" "$4" &
		reach "$2" "$3" "$4" "$5" &
		;;
	far) reach "$2" "$3" "$4" "$5" & ;;
	esac
done
wait
for each in $before; do
	now=$(arrived "${each%%:*}")
	[ -z "$now" ] || echo "arrived ${each%%:*} $((now - ${each#*:}))"
done
echo "addresses $(ip -j address show)"
