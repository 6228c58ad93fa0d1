#!lua
-- Takes everything of a lease that ended out of a channel's presence.
-- KEYS: clients, users   ARGV: lease
-- Answer: the values of the clients that were taken out
local entries = redis.call('HGETALL', KEYS[1])
local gone = {}
for i = 1, #entries, 2 do
    local value = entries[i + 1]
    if string.sub(value, 1, #ARGV[1]) == ARGV[1] then
        redis.call('HDEL', KEYS[1], entries[i])
        local user_len = tonumber(string.sub(value, #ARGV[1] + 1, #ARGV[1] + 8), 16)
        local user = string.sub(value, #ARGV[1] + 10, #ARGV[1] + 9 + user_len)
        if redis.call('HINCRBY', KEYS[2], user, -1) <= 0 then
            redis.call('HDEL', KEYS[2], user)
        end
        gone[#gone + 1] = value
    end
end
return gone
