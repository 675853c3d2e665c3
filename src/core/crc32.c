#include "crc32.h"

/* What a byte does to the checksum, table[byte]. It is made for every call: that takes no
 * longer than a few hundred bytes do, and nothing has to be shared between threads. */
static void fill_table(uint32_t table[256]) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; bit++) {
            value = (value >> 1) ^ (value & 1u ? 0xEDB88320u : 0u);
        }
        table[byte] = value;
    }
}

uint32_t attn_crc32(uint32_t crc, const unsigned char* bytes, size_t size) {
    uint32_t table[256];
    fill_table(table);
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc = (crc >> 8) ^ table[(crc ^ bytes[i]) & 0xFFu];
    }
    return ~crc;
}
