#include "channels/homes.h"

#include "channels/base/must.h"

#include <stdlib.h>

static char *name_at(const struct homes *homes, const struct home *home)
{
    return (char *)(uintptr_t)(home->counts + homes->worker_count);
}

struct home *homes_find(const struct homes *homes, struct str channel)
{
    struct home *home = NULL;
    HASH_FIND(hh, homes->homes, channel.at, channel.len, home);
    return home;
}

struct str home_name(const struct homes *homes, const struct home *home)
{
    return str_make(name_at(homes, home), home->name_len);
}

static struct home *home_new(struct homes *homes, struct str channel)
{
    size_t counts_bytes = homes->worker_count * sizeof(uint32_t);
    struct home *home = calloc(1, sizeof *home + counts_bytes + channel.len);
    if (home == NULL) {
        return NULL;
    }
    char *name = name_at(homes, home);
    memcpy(name, channel.at, channel.len);
    home->name_len = (uint32_t)channel.len;
    HASH_ADD_KEYPTR(hh, homes->homes, name, channel.len, home);
    if (!table_added(home, hh)) {
        free(home);
        return NULL;
    }
    return home;
}

bool homes_add(struct homes *homes, struct str channel, unsigned worker)
{
    must(worker < homes->worker_count);
    struct home *home = homes_find(homes, channel);
    if (home == NULL && (home = home_new(homes, channel)) == NULL) {
        return false;
    }
    home->counts[worker]++;
    home->total++;
    home->workers |= UINT64_C(1) << worker;
    return true;
}

void homes_remove(struct homes *homes, struct str channel, unsigned worker)
{
    must(worker < homes->worker_count);
    struct home *home = homes_find(homes, channel);
    must(home != NULL);
    must(home->counts[worker] > 0);
    home->total--;
    if (--home->counts[worker] == 0) {
        home->workers &= ~(UINT64_C(1) << worker);
    }
    if (home->total == 0) {
        must(home->workers == 0);
        HASH_DEL(homes->homes, home);
        free(home);
    }
}

void homes_release(struct homes *homes)
{
    struct home *home, *following;
    HASH_ITER(hh, homes->homes, home, following)
    {
        HASH_DEL(homes->homes, home);
        free(home);
    }
}
