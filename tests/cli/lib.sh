# SPDX-License-Identifier: MIT
#
# Shared by the tests of the command line: `. lib.sh EMULATOR`. Each check prints what went wrong and
# is counted; `finish` ends the test.

set -u
emulator=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
failures=0
checks=0

program() { "$here/make-program" "$@" || exit 2; }

# Runs the emulator with no terminal; its output is in $work/out and $work/err, its status in $status.
run() {
    timeout 120 "$emulator" "$@" </dev/null >out 2>err
    status=$?
}

complain() {
    failures=$((failures + 1))
    echo "FAIL: $*"
    echo "  status $status"
    sed 's/^/  stdout: /' out | head -20
    sed 's/^/  stderr: /' err | head -20
}

# refused REGEX OPTION... - one line on stderr that matches, nothing on stdout, status 1.
refused() {
    pattern=$1
    shift
    checks=$((checks + 1))
    run "$@"
    if [ "$status" != 1 ] || [ -s out ] || [ "$(wc -l <err)" != 1 ] || ! grep -Eq -- "$pattern" err
    then
        complain "$* (expected one line matching '$pattern')"
    fi
}

# accepted REGEX OPTION... - status 0, nothing on stderr, stdout matches.
accepted() {
    pattern=$1
    shift
    checks=$((checks + 1))
    run "$@"
    if [ "$status" != 0 ] || [ -s err ] || ! grep -Eq -- "$pattern" out; then
        complain "$* (expected output matching '$pattern')"
    fi
}

finish() {
    echo "$checks checks, $failures failed"
    [ "$failures" = 0 ] || exit 1
    exit 0
}
