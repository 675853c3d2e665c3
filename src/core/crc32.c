#include "crc32.h"

enum { SLICES = 8 };

/* table[0][byte] is what a byte does to the checksum, table[n][byte] what it does when n
 * more bytes follow: eight bytes at a time are eight lookups that do not wait for each
 * other. The tables are made for every call: that takes no longer than ten thousand bytes
 * do, and nothing has to be shared between threads. */
static void fill_tables(uint32_t table[SLICES][256], int slices) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; bit++) {
            value = (value >> 1) ^ (value & 1u ? 0xEDB88320u : 0u);
        }
        table[0][byte] = value;
    }
    for (int slice = 1; slice < slices; slice++) {
        for (int byte = 0; byte < 256; byte++) {
            const uint32_t before = table[slice - 1][byte];
            table[slice][byte] = (before >> 8) ^ table[0][before & 0xFFu];
        }
    }
}

static uint32_t little_endian(const unsigned char* bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

uint32_t attn_crc32(uint32_t crc, const unsigned char* bytes, size_t size) {
    uint32_t table[SLICES][256];
    const int is_long = size > 10000;
    size_t at = 0;
    fill_tables(table, is_long ? SLICES : 1);
    crc = ~crc;
    for (; is_long && size - at >= SLICES; at += SLICES) {
        const uint32_t low = crc ^ little_endian(bytes + at), high = little_endian(bytes + at + 4);
        crc = table[7][low & 0xFFu] ^ table[6][low >> 8 & 0xFFu] ^ table[5][low >> 16 & 0xFFu] ^
              table[4][low >> 24] ^ table[3][high & 0xFFu] ^ table[2][high >> 8 & 0xFFu] ^
              table[1][high >> 16 & 0xFFu] ^ table[0][high >> 24];
    }
    for (; at < size; at++) {
        crc = (crc >> 8) ^ table[0][(crc ^ bytes[at]) & 0xFFu];
    }
    return ~crc;
}
