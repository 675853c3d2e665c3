/* The checksum of ZIP archives (ISO 3309; the polynomial 0xEDB88320, bits reversed). */
#ifndef ATTN_CORE_CRC32_H
#define ATTN_CORE_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* `crc`: that of the bytes before these, 0 where they are the first. */
uint32_t attn_crc32(uint32_t crc, const unsigned char* bytes, size_t size);

#endif
