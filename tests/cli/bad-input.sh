#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What a user can get wrong: each is refused in one line that names it, with exit status 1.
# usage: bad-input.sh EMULATOR

. "$(dirname "$0")/lib.sh"

program good.elf
program x86.elf --machine 62
program arm.elf --machine 183
program half.elf --elf-class 1
program big-endian.elf --data 2
program object.elf --type 1
program none.elf --phnum 0
program many.elf --phnum 65000
program cut-header.elf --keep 40
program cut-table.elf --keep 100
program cut-segment.elf --keep 270
program wild-table.elf --phoff 0xffffffffffffffff
program low.elf --paddr 0x1000
program high.elf --paddr 0xfffffffffffffff0
program larger.elf --memory-bytes 0x10000000
program wraps.elf --memory-bytes 0xffffffffffffffff
program inverted.elf --file-bytes 44 --memory-bytes 8
program image --image --image-bytes 0x2000000
program huge-image --image --image-bytes 0x7fffffffffffffff
: >empty
truncate -s 200M large
truncate -s 4M disk.img
gzip -c good.elf >good.gz
head -c 60 good.gz >cut.gz
{ head -c 20 good.gz; printf 'not gzip at all, but long enough to be read'; } >damaged.gz
printf '\3757zXZ\0 and more' >packed.xz
printf '070701 and more' >archive.cpio
head -c 256 /dev/zero >zeros
mkdir folder

none="-bios none"

# ---- options
refused "unknown option -bogus" -bogus
refused "unknown option --kernal; did you mean -kernel" --kernal x
refused "option -kernel needs an argument" -kernel
refused "'stray' is not an option" stray
for option in netdev vnc smbios gdb icount qmp hda daemonize object; do
    refused "option -$option is not supported" -$option x
done
refused "sdl.* is not supported" -display sdl
refused "there is no target 'vax'" -target vax

# ---- machine, CPU, accelerator
refused "no machine 'vrit' .*did you mean 'virt'" -machine vrit
refused "no machine 'pc'" -machine pc
refused "no property 'aclnt'; did you mean 'aclint'" -machine virt,aclnt=on
refused "'aclint' .* cannot be 'maybe'" -machine virt,aclint=maybe
refused "'aia' .* is not supported" -machine virt,aia=aplic
refused "acpi=on is not supported" -machine virt,acpi=on
refused "no such model" -cpu rv65
refused "no property 'zbz'" -cpu rv64,zbz=on
refused "needs f=on" -cpu rv64,f=off
refused "accelerator nosuch is not installed" -accel nosuch
refused "accelerator nosuch .*accelerator neither" -accel nosuch:neither
refused "both name an accelerator" -machine virt,accel=interp -accel interp
refused "no property 'speed'" -accel interp,speed=2

# ---- vCPUs and RAM
for n in 0 -1 two 99999999999 ''; do
    refused "-smp" -smp "$n"
done
refused "at most 512 vCPUs" -smp 513
refused "at most 512 vCPUs" -smp 2,maxcpus=1000
refused "maxcpus=1 is less" -smp 2,maxcpus=1
refused "make 3 vCPUs, not 4" -smp 4,cores=3
refused "no item 'chips'" -smp 2,chips=1
for size in 0 -5 many 1Q 99999999999999999999 ''; do
    refused "-m" -m "$size"
done
refused "takes .* of RAM, not" -m 999999G
refused "takes .* of RAM, not" -m 4K
refused "'slots' is not supported" -m 128M,slots=2

# ---- firmware
refused "cannot open firmware 'absent': No such file" -bios absent
refused "firmware 'large' does not fit" -bios large
refused "firmware 'x86.elf' is for x86-64" -bios x86.elf

# ---- kernels
refused "cannot open kernel 'absent': No such file" $none -kernel absent
refused "kernel 'folder' is a directory" $none -kernel folder
refused "kernel 'empty' is empty" $none -kernel empty
refused "/dev/null' is a device" $none -kernel /dev/null
if [ "$(id -u)" != 0 ]; then
    cp good.elf secret.elf
    chmod 0 secret.elf
    refused "cannot open kernel 'secret.elf': Permission denied" $none -kernel secret.elf
fi
refused "'x86.elf' is for x86-64, not for RISC-V" $none -kernel x86.elf
refused "'arm.elf' is for AArch64, not for RISC-V" $none -kernel arm.elf
refused "32-bit" $none -kernel half.elf
refused "big-endian" $none -kernel big-endian.elf
refused "has not been linked" $none -kernel object.elf
refused "no segments" $none -kernel none.elf
refused "damaged" $none -kernel many.elf
refused "truncated" $none -kernel cut-header.elf
refused "truncated" $none -kernel cut-table.elf
refused "truncated: segment 0" $none -kernel cut-segment.elf
refused "truncated" $none -kernel wild-table.elf
refused "does not fit: .* at 0x1000" $none -kernel low.elf
refused "does not fit" $none -kernel high.elf
refused "does not fit" $none -kernel larger.elf
refused "does not fit" $none -kernel wraps.elf
refused "more bytes in the file than in memory" $none -kernel inverted.elf
refused "does not fit" -bios zeros -kernel huge-image
refused "does not fit" -bios zeros -kernel image -m 16M
refused "kernel 'large' does not fit" $none -kernel large
refused "truncated: its gzip data ends early" $none -kernel cut.gz
refused "damaged gzip data" $none -kernel damaged.gz
refused "packed with xz" $none -kernel packed.xz
refused "cpio archive; did you mean -initrd" $none -kernel archive.cpio
refused "overlaps firmware 'zeros'" -bios zeros -kernel good.elf
refused "wants the place of the firmware" -bios zeros -kernel good.elf

# ---- initrd, command line, device tree
refused "-initrd is of use only with -kernel" $none -initrd zeros
refused "-append is of use only with -kernel" $none -append x
refused "cannot open initrd 'absent'" $none -kernel good.elf -initrd absent
refused "initrd 'large' does not fit" $none -kernel good.elf -initrd large
refused "initrd 'empty' is empty" $none -kernel good.elf -initrd empty
refused "cannot open device tree 'absent'" $none -kernel good.elf -dtb absent
refused "not a flattened device tree" $none -kernel good.elf -dtb good.elf
run -machine virt,dumpdtb=tree.dtb
head -c 300 tree.dtb >cut.dtb
refused "'cut.dtb' cannot be used: it is truncated" $none -kernel good.elf -dtb cut.dtb
refused "dumpdtb: cannot write" -machine virt,dumpdtb=folder

# ---- devices and their back ends
disk="file=disk.img,if=none,format=raw"
refused "no device 'virtio-blk'; did you mean" -device virtio-blk
refused "no property 'drvie'; did you mean 'drive'" -device virtio-blk-device,drvie=x
refused "needs a drive" -device virtio-blk-device
refused "there is no drive 'x'" -device virtio-blk-device,drive=x
refused "there is no bus 'pci.0'" -device virtio-rng-device,bus=pci.0
refused "the board's own" -device riscv-plic
refused "two devices with the id 'a'" -device virtio-rng-device,id=a -device virtio-rng-device,id=a
refused "cannot open 'absent'" -drive file=absent,if=none,format=raw,id=x
refused "two drives with the id 'x'" -drive $disk,id=x -drive file=zeros,if=none,format=raw,id=x
refused "'disk.img' is in use" -drive $disk,id=x -drive $disk,id=y
refused "drive 'x' is in use" -drive $disk,id=x -device virtio-blk-device,drive=x \
    -device virtio-blk-device,drive=x
refused "format 'qcow2' is not supported" -drive file=disk.img,if=none,format=qcow2,id=x
refused "two chardevs with the id 'c'" -chardev null,id=c -chardev null,id=c
refused "there is no chardev 'c'" -serial chardev:c
refused "no character back end 'nosuch'" -serial nosuch
refused "no more than 1 serial line" -serial null -serial null
refused "no character back end 'nosuch'" -monitor nosuch
refused "no property 'nosuch'" -global virtio-mmio.nosuch=1
refused "write it as -global" -global nosuch
refused "'tohost'" $none -kernel good.elf -device riscv-htif

# ---- log, trace, qtest
refused "unknown log item 'itn'" -d itn
refused "-D /nowhere/log" -D /nowhere/log
refused "no trace event matches 'nosuch" -trace 'nosuch:*'
refused "no item 'colour'" -name guest,colour=red
refused "-qtest is of use only with -accel qtest" -qtest null -accel interp

# ---- modules
module=$(dirname "$emulator")/accel-interp-riscv64.so
if [ -e "$module" ]; then
    mkdir modules
    export ORRERY_MODULE_DIR="$work/modules"
    head -c 2000 "$module" >modules/accel-interp-riscv64.so
    refused "modules/accel-interp-riscv64.so is truncated" -accel interp
    : >modules/accel-interp-riscv64.so
    refused "modules/accel-interp-riscv64.so" -accel interp
    sed 's/abi=[0-9a-zA-Z]/abi=?/' "$module" >modules/accel-interp-riscv64.so
    refused "modules/accel-interp-riscv64.so.*(stamp|build|ABI)" -accel interp
    sed 's/targets=riscv64/targets=riscv99/' "$module" >modules/accel-interp-riscv64.so
    refused "modules/accel-interp-riscv64.so is for target riscv99" -accel interp
    unset ORRERY_MODULE_DIR
else
    echo "no module beside the emulator: its refusals are not tested"
fi

finish
