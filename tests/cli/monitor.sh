#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The human monitor on standard input: commands, what they show, and how it ends.
# usage: monitor.sh EMULATOR

. "$(dirname "$0")/lib.sh"

program a.elf

# says REGEX COMMAND - the monitor of a machine that has not started answers the command so.
says() {
    checks=$((checks + 1))
    printf '%s\nquit\n' "$2" |
        timeout 120 "$emulator" -S -bios none -kernel a.elf -smp 2 -name test -serial none \
            -device virtio-rng-device,id=rng -D log -monitor stdio >out 2>err
    status=$?
    if [ "$status" != 0 ] || [ -s err ] || ! grep -Eq -- "$1" out; then
        complain "'$2' (expected output matching '$1')"
    fi
}

says "info ITEM" "help"
says "info mtree" "help info"
says "did you mean 'info'" "inof"
says "did you mean 'mtree'" "info mtre"
says "VM status: paused \(prelaunch\)" "info status"
says "^Orrery [0-9]" "info version"
says "^test" "info name"
says "CPU #1: pc=0x0000000000001000" "info cpus"
says "no vCPU '7'" "cpu 7"
says "mhartid  0000000000000001" "cpu 1
info registers"
says "CPU #1" "info registers -a"
says "0000000080000000-0000000087ffffff \(ram\): ram" "info mtree"
says "dev: virtio-rng-device, id \"rng\"" "info qtree"
says "uart0 .* to input 10" "info irq"
says "^(tcg|interp)" "info accel"
says "stopped" "info sched"
says "cpus:kick : off" "info trace-events cpus:*"
says "cpus:kick : on" "trace-event cpus:kick on
info trace-events cpus:kick"
says "no trace event matches 'nosuch'" "trace-event nosuch on"
says "0000000000001000:  auipc t0" "x/2i \$pc"
says "0000000000001000: 0x00000297 0x" "xp/4xw 0x1000"
says "0000000000001000: 0x97 0x02 0x00 0x00" "xp/4xb 4096"
says "0000000000001004: 0x02828613" "xp /1xw 0x1000+4"
says "cannot read physical memory at 0x0" "xp/1xg 0"
says "'zzz' is no address" "x zzz"
says "no format" "x/3q 0"
says "no power button" "system_powerdown"
says "-device" "device_add virtio-rng-device"
says "cannot be taken off" "device_del rng"
says "no device 'x'" "device_del x"
says "unknown log item" "log nosuch"
# Letters that were taken back are not part of the command.
says "VM status" "$(printf 'info staX\010tus')"
says "VM status" "$(printf 'nonsense\025info status')"

# A guest that ends by itself, started from the monitor.
checks=$((checks + 1))
echo cont | timeout 120 "$emulator" -S -bios none -kernel a.elf -serial file:console \
    -monitor stdio >out 2>err
status=$?
[ "$status" = 0 ] && [ "$(head -c 1 console)" = A ] || complain "cont did not run the guest"

# One that has powered off is reset and runs again.
checks=$((checks + 1))
cat >talk.py <<'END'
import subprocess, sys
p = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
def ask(command, answer):
    p.stdin.write(command.encode() + b"\n")
    p.stdin.flush()
    text = b""
    while answer.encode() not in text:
        data = p.stdout.read1(4096)
        if not data:
            sys.exit(f"'{command}' did not bring '{answer}': {text}")
        text += data
for _ in range(2):
    ask("cont", "(orrery)")
    while True:
        p.stdin.write(b"info status\n")
        p.stdin.flush()
        if b"shutdown" in p.stdout.read1(4096):
            break
    ask("cont", "system_reset comes first")
    ask("system_reset", "(orrery)")
    ask("info status", "prelaunch")
p.stdin.write(b"quit\n")
p.stdin.flush()
sys.exit(p.wait())
END
timeout 120 python3 talk.py "$emulator" -S -no-shutdown -bios none -kernel a.elf -monitor stdio \
    -serial file:console >out 2>err
status=$?
[ "$status" = 0 ] && [ "$(cat console)" = "A
A" ] || complain "a reset after a power-off did not run the guest again"

finish
