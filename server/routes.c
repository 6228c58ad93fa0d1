#include "server/routes.h"

#include "server/api.h"
#include "server/handshake.h"
#include "server/health.h"
#include "server/login.h"
#include "server/openapi.h"
#include "server/pages.h"
#include "server/worker.h"

#include <stdlib.h>

enum { ROUTES_MAX = 16 };

struct routes {
    struct routes *older;
    size_t count;
    bool has_internal_port;
    bool has_pages, has_internal_pages;
    struct route at[ROUTES_MAX];
};

static void add(struct routes *routes, const char *path, struct route route)
{
    if (path[0] == '/') {
        route.path = str_from_cstr(path);
        routes->at[routes->count++] = route;
    }
}

struct routes *routes_new(const struct worker *worker)
{
    const struct config *config = worker->config;
    struct routes *routes = calloc(1, sizeof *routes);
    if (routes == NULL) {
        return NULL;
    }
    routes->has_internal_port = config->http_server_internal_port != 0;
    routes->has_pages = config->pages_enabled;
    routes->has_internal_pages = config->pages_enabled && config->admin_enabled;
    if (!config->websocket_disabled) {
        add(routes, config->websocket_handler_prefix,
            (struct route){.methods = ROUTE_GET, .is_upgrade = true, .handle = handshake_handle});
    }
    add(routes, config->debug_echo_path,
        (struct route){.methods = ROUTE_GET, .is_upgrade = true, .handle = handshake_handle_echo});
    if (!config->http_api_disabled) {
        add(routes, config->http_api_handler_prefix,
            (struct route){.methods = ROUTE_POST,
                           .is_prefix = true,
                           .is_internal = true,
                           .body_bytes_max = config->limits_http_body_size,
                           .handle = api_handle});
        add(routes, "/openapi.yaml",
            (struct route){.methods = ROUTE_GET, .is_internal = true, .handle = openapi_handle});
    }
    if (config->health_enabled) {
        add(routes, config->health_handler_prefix,
            (struct route){
                .methods = ROUTE_GET, .is_prefix = true, .is_internal = true, .handle = health_handle});
    }
    if (config->prometheus_enabled) {
        add(routes, config->prometheus_handler_prefix,
            (struct route){.methods = ROUTE_GET, .is_internal = true, .handle = metrics_handle});
    }
    if (config->init_enabled) {
        add(routes, config->init_handler_prefix, (struct route){.methods = ROUTE_GET, .handle = init_handle});
    }
    if (config->is_dev || config->admin_enabled) {
        /* An administrator belongs to the internal port, names of --dev to where the chat is. */
        add(routes, config->session_handler_prefix,
            (struct route){.methods = ROUTE_GET | ROUTE_POST,
                           .is_prefix = true,
                           .is_internal = !config->is_dev,
                           .handle = login_handle});
    }
    return routes;
}

void routes_free(struct routes *routes)
{
    while (routes != NULL) {
        struct routes *older = routes->older;
        free(routes);
        routes = older;
    }
}

void routes_keep(struct routes *routes, struct routes *older)
{
    routes->older = older;
}

static bool matches(const struct route *route, struct str path)
{
    if (!str_starts_with(path, route->path)) {
        return false;
    }
    return path.len == route->path.len || (route->is_prefix && path.at[route->path.len] == '/');
}

const struct route *routes_find(const struct routes *routes, struct str path, bool is_internal_port)
{
    static const struct route pages = {.methods = ROUTE_GET, .handle = pages_handle};
    for (size_t i = 0; i < routes->count; i++) {
        const struct route *route = &routes->at[i];
        bool is_here = !routes->has_internal_port || route->is_internal == is_internal_port;
        if (is_here && matches(route, path)) {
            return route;
        }
    }
    bool has_pages = is_internal_port ? routes->has_internal_pages : routes->has_pages;
    return has_pages && pages_exist(path) ? &pages : NULL;
}
