/* Lets allocations fail. Loaded before the package, by R with its symbols visible to
 * others, or by LD_PRELOAD:
 *
 * - places of the package's C code, compiled with allocation-sites.h: the k-th that is
 *   reached from now on, or that and all after it, or one of them;
 * - pthread_create(), for anybody, while a number of threads runs;
 * - address space beyond a limit of the system's.
 *
 * R calls it by .C(). */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/resource.h>

/* ---- places of the package ---- */

struct allocation_site {
    const char *file, *what, *function;
    int line, is_of_r;
    long asked, failed;
};

static struct allocation_site **first_site, **end_of_sites;
static long turns = -1;     /* how many places may still succeed; -1: nothing is to fail */
static int goes_on = 0;     /* all after it fail too */
static int of_r = 0;        /* which places count: those that ask R, or the others */
static long tripped = 0;
static long live = 0;       /* blocks that the package's own code holds */
static struct allocation_site *tripped_at, *chosen;

void allocation_sites_register(struct allocation_site** first, struct allocation_site** end) {
    first_site = first;
    end_of_sites = end;
}

int allocation_site_fails(struct allocation_site* site) {
    site->asked++;
    if (chosen != NULL ? site != chosen : turns < 0 || site->is_of_r != of_r || turns-- > 0) {
        return 0;
    }
    chosen = NULL;
    turns = goes_on ? 0 : -1;
    site->failed++;
    tripped++;
    tripped_at = site;
    return 1;
}

void allocation_site_gave(void* memory) { live += memory != NULL; }
void allocation_site_takes_back(void* memory) { live -= memory != NULL; }

/* the place number k (from 1) that is reached from now on is to fail */
void allocation_arm(int* k, int* all_after, int* is_of_r) {
    turns = *k - 1;
    goes_on = *all_after;
    of_r = *is_of_r;
    tripped = 0;
    tripped_at = NULL;
}

/* one place, counted from 1, is to fail when it is reached */
void allocation_arm_site(int* site) {
    turns = -1;
    goes_on = 0;
    chosen = first_site[*site - 1];
    tripped = 0;
    tripped_at = NULL;
}

/* how many have failed; nothing fails any more */
void allocation_disarm(int* failed) {
    turns = -1;
    chosen = NULL;
    *failed = (int)tripped;
}

void allocation_live(int* blocks) { *blocks = (int)live; }

void allocation_count(int* sites) { *sites = (int)(end_of_sites - first_site); }

/* of each place: which line of which file, whose, how often asked, how often it failed */
void allocation_list(char** file, char** what, int* line, int* is_of_r, int* asked, int* failed) {
    for (int i = 0; i < (int)(end_of_sites - first_site); i++) {
        file[i] = (char*)first_site[i]->file;
        what[i] = (char*)first_site[i]->what;
        line[i] = first_site[i]->line;
        is_of_r[i] = first_site[i]->is_of_r;
        asked[i] = (int)first_site[i]->asked;
        failed[i] = (int)first_site[i]->failed;
    }
}

void allocation_where(char** file, char** what, int* line) {
    if (tripped_at != NULL) {
        *file = (char*)tripped_at->file;
        *what = (char*)tripped_at->function;
        *line = tripped_at->line;
    }
}

/* ---- threads ---- */

static int most_threads = -1; /* that may run; -1: as many as the system allows */

void allocation_threads(int* most) { most_threads = *most; }

static int running_threads(void) {
    int count = 0;
    DIR* tasks = opendir("/proc/self/task");
    for (struct dirent* entry; tasks != NULL && (entry = readdir(tasks)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    if (tasks != NULL) {
        closedir(tasks);
    }
    return count;
}

__attribute__((visibility("default"))) int pthread_create(pthread_t* thread,
                                                          const pthread_attr_t* attributes,
                                                          void* (*start)(void*), void* argument) {
    static int (*create)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
    if (create == NULL) {
        *(void**)&create = dlsym(RTLD_NEXT, "pthread_create");
    }
    return most_threads >= 0 && running_threads() >= most_threads
               ? EAGAIN
               : create(thread, attributes, start, argument);
}

/* ---- address space ---- */

/* how many bytes the process may have, less than none: as many as before; whether it is so now.
 * The program prlimit could not be started any more where nothing is left. */
void allocation_address_space(double* bytes, int* is_set) {
    struct rlimit limit;
    *is_set = getrlimit(RLIMIT_AS, &limit) == 0;
    limit.rlim_cur = *bytes < 0 ? limit.rlim_max : (rlim_t)*bytes;
    *is_set = *is_set && setrlimit(RLIMIT_AS, &limit) == 0;
}
