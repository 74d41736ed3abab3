#!/usr/bin/env bash
# onnxruntime 1.31.1 on Linux: `import onnxruntime` writes a device id and a database of events below HOME.
#
# Expected: files appear, if at all, when a session is made, and not after `disable_telemetry_events()`, which the
# documentation names to turn usage data off.
#
# Seen, on x86-64, each time in a process of its own with a HOME that was empty before:
#
#     environment                what is run                           files below HOME
#     -                          import                                deviceid, onnxruntime.db
#     -                          import, disable_telemetry_events()    deviceid, onnxruntime.db
#     CI=1                       import                                none
#     ORT_DISABLE_TELEMETRY=1    import                                none
#
# They are in .cache/Microsoft/DeveloperTools/.onnxruntime. No session was made and no model was loaded. 1.28.0 writes
# nothing in any of these. So a test that runs under continuous integration, where CI is set, does not see what happens
# on a user's machine.
#
# Run: `bash findings/onnxruntime_import_writes_device_id.sh`. It installs the versions above in a temporary folder,
# needs no network but for that, and fails if what it sees changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset CI ORT_DISABLE_TELEMETRY

files() { # files VENV STATEMENTS [NAME=VALUE]: names of the files below a new HOME
    local home
    home=$(mktemp -d -p "$folder")
    # A proxy that nobody listens at: nothing that is written leaves this machine.
    env -i PATH="$PATH" HOME="$home" HTTPS_PROXY=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9 "${@:3}" \
        "$1/bin/python" -c "import onnxruntime; $2"
    find "$home" -type f -not -name '*-journal' -not -name '*-wal' -not -name '*-shm' -printf '%f\n' | sort | xargs
}

for version in 1.28.0 1.31.1; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet "onnxruntime==$version" numpy==2.4.6
done
off="onnxruntime.disable_telemetry_events()"
check() { # check NAME SEEN EXPECTED
    printf '%-45s %s\n' "$1" "${2:-none}"
    test "$2" = "$3"
}
check "1.31.1, import" "$(files "$folder/1.31.1" pass)" "deviceid onnxruntime.db"
check "1.31.1, disable_telemetry_events()" "$(files "$folder/1.31.1" "$off")" "deviceid onnxruntime.db"
check "1.31.1, CI=1" "$(files "$folder/1.31.1" pass CI=1)" ""
check "1.31.1, ORT_DISABLE_TELEMETRY=1" "$(files "$folder/1.31.1" pass ORT_DISABLE_TELEMETRY=1)" ""
check "1.28.0, import" "$(files "$folder/1.28.0" pass)" ""
check "1.28.0, disable_telemetry_events()" "$(files "$folder/1.28.0" "$off")" ""
echo "as described"
