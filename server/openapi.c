#include "server/openapi.h"

#include "server/exchange.h"

/* The assembler reads the file as it is; it is found from the root of the repository, where the compiler
 * runs. */
__asm__(".pushsection .rodata\n"
        ".balign 16\n"
        "openapi_yaml:\n"
        ".incbin \"server/openapi.yaml\"\n"
        "openapi_yaml_end:\n"
        ".popsection\n");

extern const char openapi_yaml[] __asm__("openapi_yaml");
extern const char openapi_yaml_end[] __asm__("openapi_yaml_end");

void openapi_handle(struct exchange *exchange)
{
    exchange_header(exchange, "Cache-Control", STR("no-cache"));
    exchange_respond(exchange, 200, "application/yaml",
                     str_make(openapi_yaml, (size_t)(openapi_yaml_end - openapi_yaml)));
}
