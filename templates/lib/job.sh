#!/bin/sh
# job.sh NAME OTHER: runs the script that comes over standard input (base64) as the transient unit halofleet-NAME.service,
# or attaches where the same script runs already; another script is waited for (OTHER is wait) or ended (stop). The unit belongs to this host's systemd, so the work goes on when the
# control machine vanishes, and the next run finds it. Shows the log's progress lines ("[3/20] ..." and "== ..."), ends
# with the script's exit status, and on failure shows the end of the log.
set -eu
name=$1
dir=/var/lib/halofleet/jobs
unit=halofleet-$name.service
script=$dir/$name.sh log=$dir/$name.log status=$dir/$name.status

mkdir -p "$dir"
new=$(mktemp "$dir/.new.XXXXXX")
trap 'rm -f "$new"' EXIT
base64 -d >"$new"

running() {
    case $(systemctl show -p ActiveState --value "$unit") in
        active | activating | deactivating | reloading) return 0 ;;
        *) return 1 ;;
    esac
}

progress() { # a line for every twentieth of the way, not one for every file
    shown=-1
    while IFS= read -r line; do
        case $line in
            '== '*) printf '%s\n' "$line" ;;
            '['*/*']'*)
                part=${line#\[} part=${part%%]*}
                done=${part%/*} all=${part#*/}
                case $done$all in *[!0-9]*) continue ;; esac
                step=$((done * 20 / all))
                [ "$step" = "$shown" ] || { shown=$step && printf '%s\n' "$line"; }
                ;;
        esac
    done
}

follow() {
    tail -n +1 -s 0.3 -f "$log" --pid=$$ | progress &
    while running; do sleep 0.3; done
    sleep 0.5
    kill $! 2>/dev/null || true
    [ "$(cat "$status" 2>/dev/null || echo gone)" = 0 ]
}

same=no
# Not cmp: Fedora's images may lack diffutils.
if [ -e "$script" ] && [ "$(sha256sum <"$new")" = "$(sha256sum <"$script")" ]; then same=yes; fi
attach=no
if running; then
    if [ $same = yes ] || [ "$2" = wait ]; then echo "== $name: already under way, attaching"; fi
    if [ $same = yes ]; then attach=yes; elif [ "$2" = stop ]; then systemctl stop "$unit"; else follow || true; fi
fi
if [ $attach = no ]; then
    systemctl reset-failed "$unit" 2>/dev/null || true
    rm -f "$status"
    : >"$log"
    mv -f "$new" "$script"
    systemd-run --quiet --unit="$unit" --service-type=exec --description="halofleet: $name" \
        -p StandardOutput="append:$log" -p StandardError="append:$log" \
        /bin/sh -c "/bin/sh '$script'; echo \$? >'$status'"
fi
if follow; then exit 0; fi
echo "$name failed; the end of $log:" >&2
# pyinfra reads UTF-8 only, and a log may quote whatever bytes a program stumbled over.
tail -n 30 "$log" | { iconv -c -f UTF-8 -t UTF-8 2>/dev/null || cat; } >&2
exit 1
