/* Preloaded: writing to files of one folder fails when it is told to. R loads it again to
 * tell it.
 *
 *   fault_watch(folder)   the folder; operations on its files are counted from now on
 *   fault_arm(k, errno)   the k-th operation from now on fails so; 0: none
 *   fault_counts(counts)  since fault_watch(): writes, syncs, renames, and whether one failed
 *   fault_limit(bytes)    the limit for the size of files (ulimit -f); negative: none */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <unistd.h>

enum { WRITES, SYNCS, RENAMES, FAILED, COUNTS };
static char watched[PATH_MAX];
static int counts[COUNTS], left, fault;

void fault_watch(char** folder) {
    snprintf(watched, sizeof watched, "%s", folder[0]);
    memset(counts, 0, sizeof counts);
    left = 0;
}

void fault_arm(int* k, int* number) {
    left = *k;
    fault = *number;
}

void fault_counts(int* result) { memcpy(result, counts, sizeof counts); }

void fault_limit(double* bytes) {
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = *bytes < 0 ? limit.rlim_max : (rlim_t)*bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
}

static int is_watched(const char* path) {
    return watched[0] != '\0' && strncmp(path, watched, strlen(watched)) == 0;
}

static int is_watched_file(int file) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    const ssize_t length = watched[0] != '\0' ? readlink(link, path, sizeof path - 1) : -1;
    if (length < 0) {
        return 0;
    }
    path[length] = '\0';
    return is_watched(path);
}

/* whether this operation is the one that is to fail */
static int fails(int kind) {
    counts[kind]++;
    if (left == 0 || --left > 0) {
        return 0;
    }
    counts[FAILED] = 1;
    errno = fault;
    return 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int file, const void* bytes, size_t size) {
    return is_watched_file(file) && fails(WRITES) ? -1 : NEXT(write)(file, bytes, size);
}

ssize_t pwrite(int file, const void* bytes, size_t size, off_t at) {
    return is_watched_file(file) && fails(WRITES) ? -1 : NEXT(pwrite)(file, bytes, size, at);
}

ssize_t pwrite64(int file, const void* bytes, size_t size, off64_t at) {
    return is_watched_file(file) && fails(WRITES) ? -1 : NEXT(pwrite64)(file, bytes, size, at);
}

size_t fwrite(const void* bytes, size_t size, size_t count, FILE* file) {
    return is_watched_file(fileno(file)) && fails(WRITES) ? 0
                                                          : NEXT(fwrite)(bytes, size, count, file);
}

int fsync(int file) { return is_watched_file(file) && fails(SYNCS) ? -1 : NEXT(fsync)(file); }

int rename(const char* from, const char* to) {
    return is_watched(to) && fails(RENAMES) ? -1 : NEXT(rename)(from, to);
}
