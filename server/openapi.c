#include "server/openapi.h"

#include "server/exchange.h"

/* The assembler reads the file as it is; it is found from the root of the repository, where the compiler
 * runs. */
__asm__(".pushsection .rodata\n"
        ".balign 16\n"
        "openapi_yaml:\n"
        ".incbin \"server/openapi.yaml\"\n"
        "openapi_yaml_end:\n"
        ".balign 8\n"
        "openapi_yaml_bytes: .quad openapi_yaml_end - openapi_yaml\n"
        ".popsection\n");

extern const char openapi_yaml[] __asm__("openapi_yaml");
extern const uint64_t openapi_yaml_bytes __asm__("openapi_yaml_bytes");

void openapi_handle(struct exchange *exchange)
{
    exchange_header(exchange, "Cache-Control", STR("no-cache"));
    exchange_respond(exchange, 200, "application/yaml", str_make(openapi_yaml, openapi_yaml_bytes));
}
