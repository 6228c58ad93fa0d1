#!lua
-- Adds a client to a channel's presence, and counts its user.
-- KEYS: clients, users   ARGV: client, value (lease, user, info), user, ttl
-- Answer: 1 where the client is new, clients of that user
local is_new = redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local count
if is_new == 1 then
    count = redis.call('HINCRBY', KEYS[2], ARGV[3], 1)
else
    count = tonumber(redis.call('HGET', KEYS[2], ARGV[3]) or 0)
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return {is_new, count}
