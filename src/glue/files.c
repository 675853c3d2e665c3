/* What R cannot ask: for a file that is new and nobody else's, whether a file is on the
 * disk, what kind of thing a path names, how deep a JSON text goes, the checksum of bytes. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "crc32.h"
#include "glue.h"
#include "json.h"

#ifdef _WIN32
#include <io.h>
#include <stdio.h>
#else
#include <unistd.h>
#endif

static const char* path_of(SEXP path) {
    if (TYPEOF(path) != STRSXP || Rf_xlength(path) != 1 || STRING_ELT(path, 0) == NA_STRING) {
        glue_abort("internal", "a path is not a string");
    }
    return R_ExpandFileName(Rf_translateChar(STRING_ELT(path, 0)));
}

/* A new file without content that only its owner may open; an error where the name is taken,
 * be it by a link. "" or the system's words about what went wrong. */
SEXP ffi_file_create(SEXP path) {
#ifdef _WIN32
    const int file = _open(path_of(path), _O_CREAT | _O_EXCL | _O_WRONLY | _O_BINARY,
                           _S_IREAD | _S_IWRITE);
#else
    const int file = open(path_of(path), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC,
                          S_IRUSR | S_IWUSR);
#endif
    if (file < 0) {
        return Rf_mkString(strerror(errno));
    }
    close(file);
    return Rf_mkString("");
}

/* What happens where a file would grow beyond `ulimit -f`: the process ends, unless it
 * ignores the signal; then the write fails. Returns whether that was changed. */
SEXP ffi_file_limit_kills(SEXP kills) {
#ifdef SIGXFSZ
    void (*const wanted)(int) = Rf_asLogical(kills) == TRUE ? SIG_DFL : SIG_IGN;
    struct sigaction action;
    if (sigaction(SIGXFSZ, NULL, &action) == 0 && action.sa_handler != wanted &&
        (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN)) {
        action.sa_handler = wanted;
        return Rf_ScalarLogical(sigaction(SIGXFSZ, &action, NULL) == 0);
    }
#else
    (void)kills;
#endif
    return Rf_ScalarLogical(0);
}

/* Waits until what was written to the file (or, where the system can, the entries
 * of the folder) is on the disk. "" or the system's words about what went wrong. */
#ifdef _WIN32
SEXP ffi_file_sync(SEXP path) {
    struct stat about;
    const char* name = path_of(path);
    /* a folder cannot be opened, and a name outside the code page not even seen */
    if (stat(name, &about) != 0 || S_ISDIR(about.st_mode)) {
        return Rf_mkString("");
    }
    FILE* file = fopen(name, "r+b");
    if (file == NULL) {
        return Rf_mkString(strerror(errno));
    }
    const int failed = _commit(_fileno(file)) != 0 ? errno : 0;
    fclose(file);
    return Rf_mkString(failed != 0 ? strerror(failed) : "");
}
#else
SEXP ffi_file_sync(SEXP path) {
    const int file = open(path_of(path), O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return Rf_mkString(strerror(errno));
    }
    int failed = fsync(file) != 0 ? errno : 0;
    /* some file systems have nothing to wait for, and say it like this */
    if (failed == EINVAL || failed == ENOTSUP || failed == EROFS) {
        failed = 0;
    }
    close(file);
    return Rf_mkString(failed != 0 ? strerror(failed) : "");
}
#endif

/* "file", "folder", "other" (a device, a pipe), or "none" */
SEXP ffi_file_kind(SEXP path) {
    struct stat about;
    if (stat(path_of(path), &about) != 0) {
        return Rf_mkString("none");
    }
    return Rf_mkString(S_ISREG(about.st_mode)   ? "file"
                       : S_ISDIR(about.st_mode) ? "folder"
                                                : "other");
}

/* how deep, and how many values */
SEXP ffi_json_extent(SEXP bytes) {
    if (TYPEOF(bytes) != RAWSXP) {
        glue_abort("internal", "a JSON text is not a raw vector");
    }
    const struct attn_json_extent extent =
        attn_json_measure(RAW_RO(bytes), (size_t)Rf_xlength(bytes));
    SEXP out = Rf_allocVector(REALSXP, 2);
    REAL(out)[0] = (double)extent.depth;
    REAL(out)[1] = (double)extent.values;
    return out;
}

/* of a raw vector that comes after others whose checksum is `before` */
SEXP ffi_crc32(SEXP bytes, SEXP before) {
    if (TYPEOF(bytes) != RAWSXP || TYPEOF(before) != REALSXP || Rf_xlength(before) != 1) {
        glue_abort("internal", "a checksum is of a raw vector and a number");
    }
    const double number = REAL_RO(before)[0];
    if (!(number >= 0 && number <= UINT32_MAX)) {
        glue_abort("internal", "a checksum is a number of 32 bits");
    }
    const R_xlen_t size = Rf_xlength(bytes);
    uint32_t crc = (uint32_t)number;
    for (R_xlen_t at = 0; at < size; at += GLUE_POLL_EVERY) {
        const R_xlen_t part = size - at < GLUE_POLL_EVERY ? size - at : GLUE_POLL_EVERY;
        crc = attn_crc32(crc, RAW_RO(bytes) + at, (size_t)part);
        if (size - at > part) {
            glue_poll();
        }
    }
    return Rf_ScalarReal((double)crc);
}
