#!/bin/sh
# Become a `systemd --user` with a bus of its own, in a mount namespace that was made for it (unshare -m).
#
# In a cgroup of its own as well: it takes all processes that it finds in its own one for its own, and moves them.
set -e
for mount in $(awk '$3 == "cgroup2" || ($3 == "cgroup" && $4 ~ /name=systemd/) { print $2 }' /proc/self/mounts); do
    mkdir "$mount/$1"
    echo $$ >"$mount/$1/cgroup.procs"
done
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib/systemd
mkdir -p /run/systemd/system /var/lib/systemd/linger
mkdir -p -m 700 "$XDG_RUNTIME_DIR"
export DBUS_SESSION_BUS_ADDRESS="unix:path=$XDG_RUNTIME_DIR/bus"
dbus-daemon --session --address="$DBUS_SESSION_BUS_ADDRESS" --nofork --nopidfile &
exec /lib/systemd/systemd --user --log-target=console
