/* SPDX-License-Identifier: MIT */
/*
 * The error domain of the cold paths. The idea to hold: every failure is one formatted line, made
 * where the culprit is known.
 */
#include "orrery/impl/error.h"

#include <stdarg.h>

GQuark orr_error_quark(void)
{
    return g_quark_from_static_string("orrery-error");
}

bool orr_fail(GError **error, OrrErrorCode code, const char *fmt, ...)
{
    va_list ap;

    if (error) {
        va_start(ap, fmt);
        g_clear_error(error);
        *error = g_error_new_valist(ORR_ERROR, (gint)code, fmt, ap);
        va_end(ap);
    }
    return false;
}
