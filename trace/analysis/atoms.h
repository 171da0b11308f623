/* SPDX-License-Identifier: MIT */
/*
 * Interned text: each different text is kept once and has a number, so that tables hold four bytes
 * and comparing texts is comparing numbers. Atom 0 is the empty text. One thread at a time.
 */
#ifndef ORRERY_TRACE_ANALYSIS_ATOMS_H
#define ORRERY_TRACE_ANALYSIS_ATOMS_H

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Atoms Atoms;

Atoms *atoms_create(void);

/* Accepts NULL. Texts go with it. */
void atoms_destroy(Atoms *atoms);

/* The atom of `length` bytes of text, which is made valid UTF-8 first. */
uint32_t atoms_add(Atoms *atoms, const char *text, size_t length);

/* The same for a C string; NULL is the empty text. */
uint32_t atoms_add_text(Atoms *atoms, const char *text);

uint32_t atoms_add_printf(Atoms *atoms, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Valid until atoms_destroy. An atom that is none has the empty text. */
const char *atoms_text(const Atoms *atoms, uint32_t atom);

/* How many there are: atoms are below. */
size_t atoms_count(const Atoms *atoms);

/* Memory that texts and tables take. */
size_t atoms_bytes(const Atoms *atoms);

#endif
