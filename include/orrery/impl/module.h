/* SPDX-License-Identifier: MIT */
/*
 * Loadable modules. What a module is stands in an ELF note that is read without loading it: name,
 * drivers, targets, ABI stamp. A module's source says ORR_MODULE_NOTE once; the loader compares
 * the stamp before dlopen runs any of its code.
 */
#ifndef ORRERY_IMPL_MODULE_H
#define ORRERY_IMPL_MODULE_H

#include "orrery/gen/abi-stamp.h"
#include "orrery/impl/compiler.h"

ORR_BEGIN_DECLS

#define ORR_NOTE_NAME "Orrery"
#define ORR_NOTE_TYPE_MODULE 1

/*
 * Puts the note into the object: key=value lines. kind is "accel"; drivers and targets are
 * comma-separated, targets "*" for all; deps are Debian-style package names or "".
 */
#define ORR_MODULE_NOTE(kind_, name_, drivers_, targets_, summary_, deps_)                         \
    ORR_MODULE_NOTE_TEXT("kind=" kind_ "\nname=" name_ "\ndrivers=" drivers_ "\ntargets=" targets_ \
                         "\nabi=" ORR_ABI_STAMP "\nsummary=" summary_ "\ndepends=" deps_ "\n")

#define ORR_MODULE_NOTE_TEXT(text_)                                                                \
    __attribute__((section(".note.orrery"), used, aligned(4))) static const struct {               \
        uint32_t name_bytes, desc_bytes, type;                                                     \
        char name[8];                                                                              \
        char desc[(sizeof(text_) + 3) / 4 * 4];                                                    \
    } orr_module_note = { sizeof(ORR_NOTE_NAME), sizeof(text_), ORR_NOTE_TYPE_MODULE,              \
                          ORR_NOTE_NAME, text_ }

typedef struct ModuleInfo {
    char *path;
    char *kind, *name, *summary, *abi, *depends;
    char **drivers; /* NULL-terminated */
    char **targets; /* NULL-terminated; "*" serves all */
    char *refusal;  /* why it cannot be used, or NULL */
} ModuleInfo;

void module_info_free(ModuleInfo *info); /* NULL is fine */

/* Reads a file's note without loading it. Unreadable, truncated or foreign files are errors. */
ModuleInfo *module_read_info(const char *path, GError **error);

/* All modules in the search path whose file name matches prefix; GPtrArray of ModuleInfo. */
GPtrArray *module_scan(const char *prefix);

/* Path of NAME.so in the search path, or NULL. The caller frees it. */
char *module_find(const char *name);

/* The search path, in order; NULL-terminated, caller frees with g_strfreev. */
char **module_search_path(void);

/* Checks the stamp, loads, returns the symbol. Never unloads. */
void *module_load(const char *path, const char *symbol, GError **error);

ORR_END_DECLS

#endif
