/* Feeds any bytes to the configuration: as JSON, as YAML, as a variable's value and as a flag.
 *
 * The first byte picks the way in. Whatever is accepted is printed, and what is refused says why in printable
 * words: neither may trip a sanitizer, and nothing else of the process may change.
 */
#include "channels/base/must.h"
#include "server/config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct config_source *source, FILE *out)
{
    struct config *config = NULL;
    struct config_report report = {0};
    enum status status = config_load(&config, source, &report);
    must((status == STATUS_OK) == (config != NULL));
    must(status != STATUS_OK || report.error_count == 0);
    must(status != STATUS_BAD_REQUEST || report.error_count > 0);
    for (size_t i = 0; i < report.count; i++) {
        for (const char *c = report.notes[i].text; *c != '\0'; c++) {
            must(*c >= 0x20 && *c < 0x7F);
        }
    }
    if (config != NULL) {
        const struct channel_options *options = NULL;
        config_print(config, out);
        must(config->client_pong_timeout_ms < config->client_ping_interval_ms);
        (void)channel_rules_resolve(&config->channels, STR("chat:42"), &options); /* must only not crash */
    }
    config_report_release(&report);
    config_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *out;
    static const char *const paths[] = {"client.ping_interval", "http_server.address",
                                        "limits.http_body_size", "channel.namespaces",
                                        "channel.without_namespace.channel_regex"};
    if (out == NULL) {
        out = fopen("/dev/null", "w");
        must(out != NULL);
    }
    if (size == 0) {
        return 0;
    }
    struct str text = str_make((const char *)data + 1, size - 1);
    struct config_source source = {.is_dev = (data[0] & 4) != 0};
    struct config_flag flag = {str_from_cstr(paths[data[0] % (sizeof paths / sizeof paths[0])]), text};
    char *variable = NULL;
    char *environment[2] = {NULL, NULL};
    if ((data[0] & 3) == 0 || (data[0] & 3) == 1) {
        source.text = text;
        source.format = (data[0] & 1) != 0 ? CONFIG_YAML : CONFIG_JSON;
    } else if ((data[0] & 3) == 2) {
        source.flags = &flag;
        source.flag_count = 1;
    } else {
        variable = str_to_cstr(text);
        must(variable != NULL);
        environment[0] = variable;
        source.environment = environment;
    }
    check(&source, out);
    free(variable);
    return 0;
}
