/* SPDX-License-Identifier: MIT */
/*
 * Finding, describing and loading modules. The idea to hold: nothing of a module runs before its
 * note has been read from the file as plain bytes and its stamp compared, so a module of another
 * build, for another target, or cut short is a line of text and never a crash.
 */
#include "orrery/impl/module.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orrery/gen/config.h"
#include "orrery/impl/error.h"

void module_info_free(ModuleInfo *info)
{
    if (!info) {
        return;
    }
    g_free(info->path);
    g_free(info->kind);
    g_free(info->name);
    g_free(info->summary);
    g_free(info->abi);
    g_free(info->depends);
    g_strfreev(info->drivers);
    g_strfreev(info->targets);
    g_free(info->refusal);
    g_free(info);
}

/* A file as bytes, with a range check that cannot overflow. */
typedef struct Bytes {
    const uint8_t *data;
    uint64_t length;
} Bytes;

static const void *bytes_at(const Bytes *bytes, uint64_t offset, uint64_t length)
{
    if (offset > bytes->length || length > bytes->length - offset) {
        return NULL;
    }
    return bytes->data + offset;
}

/* The text of our note within one note section or segment, or NULL. */
static const char *find_note(const Bytes *bytes, uint64_t offset, uint64_t length)
{
    uint64_t at = 0;

    while (length - at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr nhdr;
        const void *p = bytes_at(bytes, offset + at, sizeof(nhdr));
        uint64_t name_bytes, desc_bytes;

        if (!p) {
            return NULL;
        }
        memcpy(&nhdr, p, sizeof(nhdr));
        name_bytes = ((uint64_t)nhdr.n_namesz + 3) & ~UINT64_C(3);
        desc_bytes = ((uint64_t)nhdr.n_descsz + 3) & ~UINT64_C(3);
        at += sizeof(nhdr);
        if (name_bytes > length - at || desc_bytes > length - at - name_bytes) {
            return NULL;
        }
        if (nhdr.n_type == ORR_NOTE_TYPE_MODULE && nhdr.n_namesz == sizeof(ORR_NOTE_NAME)) {
            const char *name = bytes_at(bytes, offset + at, name_bytes);
            const char *desc = bytes_at(bytes, offset + at + name_bytes, desc_bytes);

            if (name && desc && !memcmp(name, ORR_NOTE_NAME, sizeof(ORR_NOTE_NAME)) &&
                nhdr.n_descsz > 0 && desc[nhdr.n_descsz - 1] == '\0') {
                return desc;
            }
        }
        at += name_bytes + desc_bytes;
    }
    return NULL;
}

static const char *find_module_text(const Bytes *bytes, const char *path, GError **error)
{
    const char *text = NULL;
    Elf64_Ehdr ehdr;
    const void *p = bytes_at(bytes, 0, sizeof(ehdr));

    if (!p || memcmp(p, ELFMAG, SELFMAG) != 0) {
        orr_fail(error, ORR_ERROR_INVALID, "module %s is not an ELF file; reinstall its package",
                 path);
        return NULL;
    }
    memcpy(&ehdr, p, sizeof(ehdr));
    if (ehdr.e_ident[EI_CLASS] != ELFCLASS64 || ehdr.e_type != ET_DYN) {
        orr_fail(error, ORR_ERROR_INVALID,
                 "module %s is not a 64-bit shared object; reinstall its package", path);
        return NULL;
    }
    for (unsigned i = 0; i < ehdr.e_shnum; i++) {
        Elf64_Shdr shdr;

        p = bytes_at(bytes, ehdr.e_shoff + (uint64_t)i * sizeof(shdr), sizeof(shdr));
        if (!p || !ehdr.e_shoff) {
            orr_fail(error, ORR_ERROR_INVALID,
                     "module %s is truncated (section table beyond its end); reinstall its package",
                     path);
            return NULL;
        }
        memcpy(&shdr, p, sizeof(shdr));
        if (shdr.sh_type != SHT_NOBITS && !bytes_at(bytes, shdr.sh_offset, shdr.sh_size)) {
            orr_fail(error, ORR_ERROR_INVALID,
                     "module %s is truncated (section %u beyond its end); reinstall its package",
                     path, i);
            return NULL;
        }
        /* Found or not, the rest is looked at too: a cut file is not handed to dlopen. */
        if (shdr.sh_type == SHT_NOTE && !text) {
            text = find_note(bytes, shdr.sh_offset, shdr.sh_size);
        }
    }
    if (text) {
        return text;
    }
    /* A stripped section table leaves the segments. */
    for (unsigned i = 0; i < ehdr.e_phnum; i++) {
        Elf64_Phdr phdr;

        p = bytes_at(bytes, ehdr.e_phoff + (uint64_t)i * sizeof(phdr), sizeof(phdr));
        if (!p) {
            break;
        }
        memcpy(&phdr, p, sizeof(phdr));
        if (phdr.p_type == PT_NOTE && bytes_at(bytes, phdr.p_offset, phdr.p_filesz)) {
            text = find_note(bytes, phdr.p_offset, phdr.p_filesz);
            if (text) {
                return text;
            }
        }
    }
    orr_fail(error, ORR_ERROR_INVALID, "%s is not an Orrery module (it carries no module note)",
             path);
    return NULL;
}

static bool parse_text(ModuleInfo *info, const char *text, GError **error)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++) {
        char *value = strchr(*line, '=');

        if (!value) {
            continue;
        }
        *value++ = '\0';
        if (!strcmp(*line, "kind") && !info->kind) {
            info->kind = g_strdup(value);
        } else if (!strcmp(*line, "name") && !info->name) {
            info->name = g_strdup(value);
        } else if (!strcmp(*line, "summary") && !info->summary) {
            info->summary = g_strdup(value);
        } else if (!strcmp(*line, "abi") && !info->abi) {
            info->abi = g_strdup(value);
        } else if (!strcmp(*line, "depends") && !info->depends) {
            info->depends = g_strdup(value);
        } else if (!strcmp(*line, "drivers") && !info->drivers) {
            info->drivers = g_strsplit(value, ",", -1);
        } else if (!strcmp(*line, "targets") && !info->targets) {
            info->targets = g_strsplit(value, ",", -1);
        }
    }
    if (!info->kind || !info->name || !info->abi || !info->drivers || !info->targets) {
        return orr_fail(
            error, ORR_ERROR_INVALID,
            "module %s has an incomplete note; rebuild it against the installed headers",
            info->path);
    }
    return true;
}

ModuleInfo *module_read_info(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    ModuleInfo *info = NULL;
    void *map;

    if (fd < 0) {
        orr_fail(error, ORR_ERROR_IO, "cannot open module %s: %s", path, g_strerror(errno));
        return NULL;
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0) {
        orr_fail(error, ORR_ERROR_INVALID, "module %s is empty or no regular file", path);
        close(fd);
        return NULL;
    }
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (map == MAP_FAILED) {
        orr_fail(error, ORR_ERROR_IO, "cannot read module %s: %s", path, g_strerror(errno));
        return NULL;
    }

    Bytes bytes = { map, (uint64_t)st.st_size };
    const char *text = find_module_text(&bytes, path, error);

    if (text) {
        info = g_new0(ModuleInfo, 1);
        info->path = g_strdup(path);
        if (!parse_text(info, text, error)) {
            g_clear_pointer(&info, module_info_free);
        } else if (strcmp(info->abi, ORR_ABI_STAMP) != 0) {
            info->refusal = g_strdup_printf(
                "built for ABI %s, this binary has %s; install the module of the same version or "
                "rebuild it",
                info->abi, ORR_ABI_STAMP);
        }
    }
    munmap(map, (size_t)st.st_size);
    return info;
}

char **module_search_path(void)
{
    GPtrArray *dirs = g_ptr_array_new();
    const char *env = g_getenv("ORRERY_MODULE_DIR");
    g_autofree char *exe = g_file_read_link("/proc/self/exe", NULL);

    if (env && *env) {
        g_ptr_array_add(dirs, g_strdup(env));
    }
    if (exe) {
        g_ptr_array_add(dirs, g_path_get_dirname(exe));
    }
    g_ptr_array_add(dirs, g_strdup(ORRERY_LIBDIR));
    /* Where an upgrade leaves the modules of binaries that are still running. */
    g_ptr_array_add(dirs, g_build_filename("/run/orrery", ORR_ABI_STAMP, NULL));
    g_ptr_array_add(dirs, NULL);
    return (char **)g_ptr_array_free(dirs, FALSE);
}

GPtrArray *module_scan(const char *prefix)
{
    GPtrArray *found = g_ptr_array_new_with_free_func((GDestroyNotify)module_info_free);
    g_auto(GStrv) dirs = module_search_path();
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (char **dir = dirs; *dir; dir++) {
        GDir *d = g_dir_open(*dir, 0, NULL);
        const char *entry;

        while (d && (entry = g_dir_read_name(d))) {
            g_autofree char *path = g_build_filename(*dir, entry, NULL);
            g_autoptr(GError) error = NULL;
            ModuleInfo *info;

            if (!g_str_has_prefix(entry, prefix) || !g_str_has_suffix(entry, ".so") ||
                !g_hash_table_add(seen, g_strdup(entry))) {
                continue;
            }
            info = module_read_info(path, &error);
            if (!info) {
                info = g_new0(ModuleInfo, 1);
                info->path = g_strdup(path);
                info->name = g_strndup(entry, strlen(entry) - strlen(".so"));
                info->refusal = g_strdup(error->message);
            }
            g_ptr_array_add(found, info);
        }
        if (d) {
            g_dir_close(d);
        }
    }
    return found;
}

char *module_find(const char *name)
{
    g_auto(GStrv) dirs = module_search_path();
    g_autofree char *file = g_strconcat(name, ".so", NULL);

    for (char **dir = dirs; *dir; dir++) {
        char *path = g_build_filename(*dir, file, NULL);

        if (g_file_test(path, G_FILE_TEST_EXISTS)) {
            return path;
        }
        g_free(path);
    }
    return NULL;
}

void *module_load(const char *path, const char *symbol, GError **error)
{
    ModuleInfo *info = module_read_info(path, error);
    void *handle, *address;

    if (!info) {
        return NULL;
    }
    if (info->refusal) {
        orr_fail(error, ORR_ERROR_INVALID, "module %s: %s", path, info->refusal);
        module_info_free(info);
        return NULL;
    }
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        orr_fail(error, ORR_ERROR_INVALID, "module %s cannot be loaded: %s%s%s", path, dlerror(),
                 info->depends && *info->depends ? "; it needs " : "",
                 info->depends ? info->depends : "");
        module_info_free(info);
        return NULL;
    }
    address = dlsym(handle, symbol);
    if (!address) {
        orr_fail(error, ORR_ERROR_INVALID, "module %s has no symbol %s; rebuild it", path, symbol);
    }
    module_info_free(info);
    return address;
}
