#!lua
-- Publishes without history, once for an idempotency key.
-- KEYS: pub/sub channel, idempotency key   ARGV: frame, idempotency ttl
-- Answer: as of publish.lua
local known = redis.call('GET', KEYS[2])
if known then
    return {'duplicate', known, 0, ''}
end
redis.call('SET', KEYS[2], '', 'PX', ARGV[2])
return {'new', '', redis.call('PUBLISH', KEYS[1], '::' .. ARGV[1]), ''}
