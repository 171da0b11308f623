/* SPDX-License-Identifier: MIT */
/*
 * Drives a fuzz target without a fuzzer: COUNT inputs made from SEED. It finds little that libFuzzer
 * would not, but it runs everywhere, the same each time, under any sanitizer.
 *
 * usage: PROGRAM SEED COUNT, or PROGRAM FILE... to replay inputs that a fuzzer has kept
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int replay(const char *path)
{
    static uint8_t data[1 << 20];
    FILE *file = fopen(path, "rb");
    size_t size;

    if (!file) {
        perror(path);
        return 1;
    }
    size = fread(data, 1, sizeof(data), file);
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    return 0;
}

int main(int argc, char **argv)
{
    static uint8_t data[4096];
    uint64_t state, count;
    char *end;

    LLVMFuzzerInitialize(&argc, &argv);
    if (argc < 2) {
        fprintf(stderr, "usage: %s SEED COUNT | FILE...\n", argv[0]);
        return 2;
    }
    state = strtoull(argv[1], &end, 0);
    if (*end || argc != 3) {
        for (int i = 1; i < argc; i++) {
            if (replay(argv[i])) {
                return 1;
            }
        }
        return 0;
    }
    count = strtoull(argv[2], NULL, 0);
    for (uint64_t i = 0; i < count; i++) {
        size_t size = next(&state) % sizeof(data);

        for (size_t b = 0; b < size; b++) {
            data[b] = (uint8_t)(next(&state) >> 32);
        }
        LLVMFuzzerTestOneInput(data, size);
    }
    printf("%llu inputs\n", (unsigned long long)count);
    return 0;
}
