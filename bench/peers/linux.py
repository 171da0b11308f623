# SPDX-License-Identifier: MIT
"""What boots the Linux rows: an initial file system whose /init is the program that runs rows, and
RVVM, which takes no initrd and therefore gets it behind the kernel, named in a device tree of its own.
"""

import os
import shutil
import struct
import subprocess
import time

from measure import CannotRun, Rvvm


# ---- The initial file system.

class Archive:
    """A cpio archive in the "newc" format (Documentation/driver-api/early-userspace)."""

    def __init__(self):
        self.data = bytearray()
        self.entries = 0

    def add(self, name, mode, content=b"", device=(0, 0)):
        self.entries += 1
        encoded = name.encode() + b"\0"
        fields = [self.entries, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(encoded), 0]
        self.data += b"070701" + b"".join(b"%08x" % f for f in fields) + encoded
        self.data += bytes(-len(self.data) % 4) + content
        self.data += bytes(-len(self.data) % 4)

    def write(self, path):
        self.add("TRAILER!!!", 0)
        with open(path + ".new", "wb") as f:
            f.write(self.data)
        os.rename(path + ".new", path)


def make_initrd(path, init, coremark):
    """Leaves it at path; coremark is a program's path or None."""
    archive = Archive()
    for folder in ("dev", "proc", "tmp"):
        archive.add(folder, 0o40755)
    archive.add("dev/console", 0o20600, device=(5, 1))
    with open(init, "rb") as f:
        archive.add("init", 0o100755, f.read())
    if coremark:
        with open(coremark, "rb") as f:
            archive.add("coremark", 0o100755, f.read())
    archive.write(path)


# ---- RVVM.

RAM_BASE = 0x80000000
KERNEL_AT = 0x80200000
FIRMWARE = "/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_jump.bin"
# Without Zkr, whose seed register Debian's kernel reads although the firmware keeps it to itself.
RISCV_ISA = "rv64imafdc_zicsr_zifencei_zicboz_zicbom_zba_zbb_zbs_sstc"
SUPERPAGE = 2 << 20
TREE_AT = 0x82200000  # where this firmware puts the device tree for the kernel


class RvvmLinux(Rvvm):
    """RVVM that boots the same kernel and initrd as the others."""

    def __init__(self, name, command, scratch):
        super().__init__(name, command)
        self.scratch = scratch

    def bare(self, elf, smp=1):
        return self.command + [elf, "-nogui", "-nonet", "-m", "128M", "-smp", str(smp)]

    def linux(self, guest, append, smp=1, memory="512M", initrd=None):
        initrd = initrd or os.path.join(guest, "initrd")
        if not os.path.exists(FIRMWARE):
            raise CannotRun(f"there is no {FIRMWARE} (package opensbi)")
        if not shutil.which("fdtput"):
            raise CannotRun("there is no fdtput (package device-tree-compiler)")
        payload, start, end = self.payload(os.path.join(guest, "Image"), initrd)
        tree = self.device_tree(smp, memory, append, start, end)
        return self.command + [FIRMWARE, "-k", payload, "-dtb", tree, "-nogui", "-nonet",
                               "-m", memory, "-smp", str(smp)]

    def payload(self, image, initrd):
        """(file, first and last address of the initrd)"""
        with open(image, "rb") as f:
            kernel = f.read()
        # Documentation/arch/riscv/boot-image-header.rst: what the kernel takes with its zeros.
        size = max(len(kernel), struct.unpack_from("<Q", kernel, 16)[0])
        size += -size % SUPERPAGE
        size = max(size, TREE_AT + SUPERPAGE - KERNEL_AT)
        path = os.path.join(self.scratch, "rvvm-payload-" + os.path.basename(initrd))
        with open(initrd, "rb") as f:
            data = f.read()
        if not os.path.exists(path) or max(os.path.getmtime(image),
                                           os.path.getmtime(initrd)) > os.path.getmtime(path):
            with open(path, "wb") as f:
                f.write(kernel)
                f.seek(size)
                f.write(data)
        return path, KERNEL_AT + size, KERNEL_AT + size + len(data)

    def device_tree(self, smp, memory, append, start, end):
        path = os.path.join(self.scratch, f"rvvm-{smp}-{memory}.dtb")
        if not os.path.exists(path + ".plain"):
            self.dump_tree(path + ".plain", smp, memory)
        shutil.copyfile(path + ".plain", path)

        def put(kind, node, name, value):
            subprocess.run(["fdtput", "-t", kind, path, node, name] + value, check=True)

        put("x", "/chosen", "linux,initrd-start", ["0", f"{start:x}"])
        put("x", "/chosen", "linux,initrd-end", ["0", f"{end:x}"])
        put("s", "/chosen", "bootargs", [append])
        for hart in range(smp):
            put("s", f"/cpus/cpu@{hart:x}", "riscv,isa", [RISCV_ISA])
        return path

    def dump_tree(self, path, smp, memory):
        """RVVM writes its tree and goes on running; it is ended once the tree is whole."""
        process = subprocess.Popen(
            self.command + [FIRMWARE, "-nogui", "-nonet", "-m", memory, "-smp", str(smp),
                            "-dumpdtb", path + ".new"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(200):
                if os.path.exists(path + ".new"):
                    with open(path + ".new", "rb") as f:
                        tree = f.read()
                    if len(tree) > 8 and len(tree) >= struct.unpack_from(">I", tree, 4)[0]:
                        break
                time.sleep(0.05)
            else:
                raise CannotRun("RVVM wrote no device tree")
        finally:
            process.kill()
            process.wait()
        os.rename(path + ".new", path)
