#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The device tree: dtc finds nothing to complain about, and its nodes are those of QEMU's board,
# the devices that this machine does not have left out. A tool that is missing skips its part.
# usage: dumpdtb.sh EMULATOR

. "$(dirname "$0")/lib.sh"

if ! command -v dtc >/dev/null; then
    echo "SKIP: there is no dtc (device-tree-compiler)"
    exit 77
fi

program a.elf
echo "not a real one" >initrd

# nodes FILE - the names of all nodes with their paths.
nodes() {
    dtc -q -I dtb -O dts "$1" | awk '
        /{$/ { name = $1 == "/" ? "" : $1; path[++depth] = name
               p = ""; for (i = 2; i <= depth; i++) p = p "/" path[i]
               print p == "" ? "/" : p }
        /^[ \t]*};$/ { depth-- }' | sort
}

for options in "-smp 1" "-smp 3 -m 4G" "-smp 2 -machine aclint=on" "-smp 2 -cpu rv64,zba=off,sstc=off"
do
    checks=$((checks + 1))
    # shellcheck disable=SC2086
    run -machine virt,dumpdtb=tree.dtb $options -bios none -kernel a.elf -initrd initrd \
        -append "one two"
    [ "$status" = 0 ] && [ ! -s out ] && [ ! -s err ] || complain "dumpdtb with $options"
    dtc -I dtb -O dts tree.dtb >tree.dts 2>warnings || complain "dtc cannot read the tree"
    if [ -s warnings ]; then
        cat warnings
        complain "dtc has something to say about the tree with $options"
    fi
    grep -q 'bootargs = "one two"' tree.dts || complain "no bootargs"
    grep -q 'linux,initrd-start' tree.dts || complain "no initrd"
    grep -q 'rng-seed' tree.dts || complain "no seed"

    if ! command -v qemu-system-riscv64 >/dev/null; then
        echo "no qemu-system-riscv64: the nodes are not compared"
        continue
    fi
    # shellcheck disable=SC2086
    qemu-system-riscv64 -display none -machine virt,dumpdtb=qemu.dtb ${options%-cpu*} >/dev/null 2>&1
    nodes qemu.dtb | grep -Ev '^/(soc/)?(pmu|fw-cfg@.*|flash@.*|platform-bus@.*|pci@.*)$' >theirs
    # dtc wants the unit address of the first register range, which QEMU's tree does not give.
    sed -i 's/mtimer@2004000/mtimer@200bff8/' theirs
    nodes tree.dtb >ours
    if ! cmp -s ours theirs; then
        diff ours theirs
        complain "the nodes differ from QEMU's with $options (< ours, > QEMU's)"
    fi
done
grep -q 'riscv,isa = "[^"]*zba' tree.dts && complain "an extension that is off is in the tree"
grep -q 'riscv,isa = "[^"]*zbb' tree.dts || complain "an extension that is on is not in the tree"

finish
