/* Added to the package's C code where its places that allocate are counted: tells
 * allocation.c where they stand in memory. */
struct allocation_site;
extern struct allocation_site *__start_attn_sites[], *__stop_attn_sites[];
void allocation_sites_register(struct allocation_site** first, struct allocation_site** end);

__attribute__((constructor)) static void tell(void) {
    allocation_sites_register(__start_attn_sites, __stop_attn_sites);
}
