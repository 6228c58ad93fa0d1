#!lua
-- Takes a client out of a channel's presence, where the entry is that of the same lease.
-- KEYS: clients, users   ARGV: client, lease, user
-- Answer: 1 where the client was there, clients of that user that are left
local value = redis.call('HGET', KEYS[1], ARGV[1])
if not value or string.sub(value, 1, #ARGV[2]) ~= ARGV[2] then
    return {0, 0}
end
redis.call('HDEL', KEYS[1], ARGV[1])
local count = redis.call('HINCRBY', KEYS[2], ARGV[3], -1)
if count <= 0 then
    redis.call('HDEL', KEYS[2], ARGV[3])
end
return {1, count}
