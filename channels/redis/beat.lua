#!lua
-- Renews a lease by the clock of Redis, and tells who lives and who has died.
-- KEYS: leases   ARGV: lease, life in ms, '1' for the first beat of the lease, '1' to give it up
-- Answer: 1 where the lease holds (0: it was taken away, or Redis forgot it), living leases, dead leases
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local holds = 1
if ARGV[4] == '1' then
    redis.call('ZREM', KEYS[1], ARGV[1])
elseif ARGV[3] == '1' or redis.call('ZSCORE', KEYS[1], ARGV[1]) then
    redis.call('ZADD', KEYS[1], string.format('%d', now), ARGV[1])
else
    holds = 0
end
local limit = string.format('%d', now - tonumber(ARGV[2]))
return {holds, redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. limit, '+inf'),
    redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', limit, 'LIMIT', 0, 16)}
