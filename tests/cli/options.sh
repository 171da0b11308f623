#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The command line as it should be used: what runs, with which exit status, and what help says.
# usage: options.sh EMULATOR

. "$(dirname "$0")/lib.sh"

program a.elf
program b.elf --letter B --paddr 0x80200000
program headers.elf --letter H --paddr 0x80000100
program image --image --letter I
gzip -c a.elf >a.gz
gzip -c image >image.gz
truncate -s 4M disk.img
none="-bios none -nographic"

# ---- programs, in every form
accepted "^A" $none -kernel a.elf
accepted "^A" --bios none --nographic --kernel a.elf
accepted "^A" $none -kernel a.gz
accepted "^I" $none -kernel image
accepted "^I" $none -kernel image.gz
accepted "^H" $none -kernel headers.elf
accepted "^A" -nographic -bios a.elf
accepted "^A" -nographic -bios a.elf -kernel b.elf
accepted "^A" $none -kernel a.elf -append "console=ttyS0" -initrd disk.img -m 512M
run -machine virt,dumpdtb=tree.dtb
accepted "^A" $none -kernel a.elf -dtb tree.dtb

# ---- the shape of options
accepted "^A" $none -M virt -machine aclint=on -kernel a.elf
accepted "^A" $none -machine virt,accel=interp -kernel a.elf
accepted "^A" $none -accel interp -kernel a.elf -smp 2,sockets=1,cores=2,threads=1 -m size=64M
accepted "^A" $none -kernel a.elf -smp 8 -cpu rv64,zbb=off,sv57=off
accepted "^A" -display none -serial stdio -bios none -kernel a.elf
accepted "^A" -bios none -kernel a.elf
accepted "^A" $none -kernel a.elf -nodefaults -serial stdio -net none -vga none -parallel none
accepted "^A" $none -kernel a.elf -name guest=test,process=orr
accepted "^A" -machine virt -bios none -kernel a.elf -m 128M -smp 3 -nographic \
    -global virtio-mmio.force-legacy=false -drive file=disk.img,if=none,format=raw,id=x0 \
    -device virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0

# ---- back ends
run $none -kernel a.elf -serial file:console
[ "$(head -c 1 console)" = A ] || complain "-serial file: wrote nothing"
run $none -kernel a.elf -chardev file,id=c,path=other -serial chardev:c
[ "$(head -c 1 other)" = A ] || complain "-serial chardev: wrote nothing"

# ---- disks: one that the board connects, one that a -device takes, one that nobody uses
accepted "^A" $none -kernel a.elf -drive file=disk.img,format=raw
accepted "^A" $none -kernel a.elf -drive file=disk.img,format=raw,id=d -device virtio-blk-device,drive=d
checks=$((checks + 1))
printf 'info block\ninfo qtree\nquit\n' |
    timeout 120 "$emulator" -S $none -kernel a.elf -drive file=disk.img,format=raw,if=virtio \
        -serial none -monitor stdio >out 2>err
status=$?
grep -q "used by virtio-blk-device" out && grep -q "virtio-mmio-bus.7 .*holds virtio-blk" out ||
    complain "-drive if=virtio made no device"

# ---- how it ends
program fails.elf --finish 0x73333
program resets.elf --finish 0x7777
program waits.elf --finish 0
# ended STATUS OPTION... - the exit status is the guest's.
ended() {
    wanted=$1
    shift
    checks=$((checks + 1))
    run "$@"
    [ "$status" = "$wanted" ] && [ ! -s err ] || complain "$* (expected status $wanted)"
}
ended 0 $none -kernel a.elf
ended 7 $none -kernel fails.elf
ended 0 $none -kernel resets.elf -no-reboot
[ "$(cat out)" = A ] || complain "-no-reboot ran the guest again"

# stopped_by SIGNAL OPTION... - a signal ends it as a power-off would.
stopped_by() {
    signal=$1
    shift
    checks=$((checks + 1))
    : >out
    "$emulator" -pidfile pid "$@" </dev/null >out 2>err &
    pid=$!
    tries=0
    while [ ! -s out ] && [ $tries -lt 1200 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    [ "$(cat pid)" = $pid ] || complain "-pidfile holds another number"
    kill -s "$signal" $pid
    wait $pid
    status=$?
    [ "$status" = 0 ] && grep -q "ended by signal" err || complain "SIG$signal: $*"
    [ ! -e pid ] || complain "-pidfile is left behind"
}
stopped_by TERM $none -kernel waits.elf
stopped_by HUP $none -kernel waits.elf -smp 4
stopped_by TERM $none -kernel a.elf -no-shutdown
rm -f trace.log log
stopped_by TERM $none -kernel waits.elf -trace 'cpus:*' -trace file=trace.log -d sched -D log
grep -q "cpus:vcpu_state" trace.log || complain "the trace was not written out"
grep -q "vCPU states" log || complain "the account was not written out"

# ---- log
run $none -kernel a.elf -d sched -D log
grep -q "vCPU states" log || complain "-d sched left no account in the log"

# ---- help; the program's name chooses the target
for help in -help -h --help; do
    accepted "-kernel FILE" $help
done
accepted "version" -version
accepted "virt" -machine help
accepted "aclint" -machine virt,help
accepted "rv64" -cpu help
accepted "interp" -accel help
accepted "virtio-blk-device" -device help
accepted "drive" -device virtio-blk-device,help
accepted "sched" -d help
accepted "cpus:vcpu_state" -trace help
accepted "riscv64" -version
ln -s "$emulator" orrery-system-vax
checks=$((checks + 1))
./orrery-system-vax -version >out 2>err
status=$?
[ "$status" = 1 ] && grep -q "no target 'vax'" err || complain "the program's name is not heeded"

finish
