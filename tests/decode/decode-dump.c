/* SPDX-License-Identifier: MIT */
/*
 * Prints what the decoder makes of encodings, for the scripts in this folder to compare with
 * another disassembler. Input: lines of "ADDRESS BITS" in hexadecimal (BITS as the guest fetches
 * it, lower 16 bits first); output: one line each, "LENGTH TEXT". With -x, extensions are limited
 * to the names that follow.
 */
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "disas.h"

static uint64_t ext_by_name(const char *name)
{
    for (size_t k = 0; k < RV_EXT_COUNT; k++) {
        if (strcmp(rv_ext_info[k].name, name) == 0) {
            return rv_ext_info[k].mask;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t exts = RV_EXT_ALL;
    uint64_t pc;
    uint32_t bits;

    if (argc > 1) {
        if (strcmp(argv[1], "-x") != 0) {
            fprintf(stderr, "usage: decode-dump [-x EXTENSION...]\n");
            return 2;
        }
        exts = 0;
        for (int k = 2; k < argc; k++) {
            uint64_t mask = ext_by_name(argv[k]);

            if (!mask) {
                fprintf(stderr, "decode-dump: unknown extension '%s'\n", argv[k]);
                return 2;
            }
            exts |= mask;
        }
    }
    while (scanf("%" SCNx64 " %" SCNx32, &pc, &bits) == 2) {
        char text[RV_DISAS_MAX];
        RvInsn insn;

        rv_decode(bits, exts, &insn);
        rv_disas(text, sizeof(text), pc, &insn);
        printf("%u %s\n", insn.len, text);
    }
    return 0;
}
