/* SPDX-License-Identifier: MIT */
/*
 * Links where there is a C library to link with, and not otherwise.
 */
#include <stdio.h>

int main(void)
{
    return puts("") == EOF;
}
