/* Gives a fuzz target, which is included before, the files of its corpus. */
#ifndef ATTN_TESTS_REPLAY_H
#define ATTN_TESTS_REPLAY_H

#include <dirent.h>

#include "check.h"
#include "fuzz.h"

/* every cut, and other bytes in every place: the target ends the process where anything is
 * wrong */
static long replay_damaged(const uint8_t* file, size_t size, int step) {
    uint8_t* copy = fuzz_take(size, 1);
    long runs = 0;
    for (size_t length = 0; length <= size; length++, runs++) {
        LLVMFuzzerTestOneInput(file, length);
    }
    for (size_t at = 0; at < size; at++) {
        memcpy(copy, file, size);
        for (int flip = 1; flip < 256; flip += step, runs++) {
            copy[at] = file[at] ^ (uint8_t)flip;
            LLVMFuzzerTestOneInput(copy, size);
        }
    }
    free(copy);
    return runs;
}

/* corpus/NAME beside `source`: of all its files, every cut and 255 / step flips of every byte */
static void replay(const char* source, const char* name, int step) {
    char folder[1024], path[2048];
    const char* slash = strrchr(source, '/');
    snprintf(folder, sizeof folder, "%.*s/corpus/%s", slash != NULL ? (int)(slash - source) : 1,
             slash != NULL ? source : ".", name);
    DIR* open = opendir(folder);
    CHECK(open != NULL, "there is no %s", folder);
    int files = 0;
    long runs = 0;
    for (struct dirent* entry; open != NULL && (entry = readdir(open)) != NULL;) {
        static uint8_t bytes[1 << 16];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE* file = entry->d_name[0] != '.' ? fopen(path, "rb") : NULL;
        if (file != NULL) {
            const size_t size = fread(bytes, 1, sizeof bytes, file);
            fclose(file);
            files++;
            runs += replay_damaged(bytes, size, step);
        }
    }
    if (open != NULL) {
        closedir(open);
    }
    CHECK(files >= 10, "%d files in %s", files, folder);
    printf("%s: %d files, %ld variants of them\n", name, files, runs);
}

#endif
