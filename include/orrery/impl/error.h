/* SPDX-License-Identifier: MIT */
/*
 * Errors of the cold paths. A function that can fail for the user's reasons returns false (or NULL)
 * and fills a GError whose message is one line: the culprit, what is wrong, what to do. A guest's
 * fault is never a GError.
 */
#ifndef ORRERY_IMPL_ERROR_H
#define ORRERY_IMPL_ERROR_H

#include "orrery/impl/compiler.h"

ORR_BEGIN_DECLS

typedef enum OrrErrorCode {
    ORR_ERROR_INVALID,     /* the user's input cannot be used */
    ORR_ERROR_NOT_FOUND,   /* something named does not exist */
    ORR_ERROR_IO,          /* the host refused: file, memory, thread */
    ORR_ERROR_UNSUPPORTED, /* understood, but not offered here */
} OrrErrorCode;

#define ORR_ERROR (orr_error_quark())
GQuark orr_error_quark(void);

/* Fills *error (which may be NULL) and returns false, so that callers can `return orr_fail(...)`. */
bool orr_fail(GError **error, OrrErrorCode code, const char *fmt, ...) ORR_PRINTF(3, 4);

ORR_END_DECLS

#endif
