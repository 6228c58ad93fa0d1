#!lua
-- Gives a publication the next offset, appends it, remembers its idempotency key and version, and publishes it.
-- KEYS: meta, stream (also the pub/sub channel), idempotency key
-- ARGV: instance, epoch candidate, now in ms, history size, history ttl, meta ttl, frame, idempotency ttl or
--       empty, version (0: none), version epoch, retry flag (the last byte of the whole command but CR LF)
-- Answer: what happened ('new', 'duplicate', 'suppressed'), 'epoch:offset', receivers, instance
-- include roll.lua

-- Versions have 64 bits, numbers here 53: decimal texts without leading zeros are compared instead.
local function is_newer(a, b)
    if #a ~= #b then
        return #a > #b
    end
    return a > b
end

if ARGV[8] ~= '' then
    local known = redis.call('GET', KEYS[3])
    if known then
        return {'duplicate', known, 0, ARGV[1]}
    end
end
local m = roll(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[6])
local epoch, top = m[1], tonumber(m[2])
if ARGV[9] ~= '0' then
    local is_same_epoch = ARGV[10] == '' or ARGV[10] == (m[9] or '')
    if is_same_epoch and not is_newer(ARGV[9], m[8] or '0') then
        return {'suppressed', epoch .. ':' .. m[2], 0, m[3]}
    end
end
if ARGV[11] == '1' then
    -- The answer to the first request was lost: is the publication there?
    local uid = string.sub(ARGV[7], 4, 19)
    local before = '+'
    while true do
        local entries = redis.call('XREVRANGE', KEYS[2], before, '-', 'COUNT', 100)
        for _, entry in ipairs(entries) do
            if string.sub(entry[2][2], 4, 19) == uid then
                return {'duplicate', epoch .. ':' .. string.match(entry[1], '^%d+'), 0, m[3]}
            end
        end
        if #entries < 100 then
            break
        end
        before = '(' .. entries[#entries][1]
    end
end
-- What can fail comes before the counter: an error leaves no hole.
local offset = string.format('%d', top + 1)
redis.call('XADD', KEYS[2], 'MAXLEN', '=', ARGV[4], offset .. '-0', 'd', ARGV[7])
local now, ttl = tonumber(ARGV[3]), tonumber(ARGV[5])
if not m[7] or math.abs(now - tonumber(m[7])) > ttl / 8 then
    redis.call('HSET', KEYS[1], 'n', offset, 'x', ARGV[3])
    redis.call('PEXPIRE', KEYS[1], ARGV[6])
    redis.call('PEXPIRE', KEYS[2], ARGV[5])
else
    redis.call('HSET', KEYS[1], 'n', offset)
end
if redis.call('XLEN', KEYS[2]) == 1 then
    redis.call('PEXPIRE', KEYS[2], ARGV[5])
end
if ARGV[9] ~= '0' then
    redis.call('HSET', KEYS[1], 'v', ARGV[9], 've', ARGV[10])
end
local position = epoch .. ':' .. offset
if ARGV[8] ~= '' then
    redis.call('SET', KEYS[3], position, 'PX', ARGV[8])
end
local receivers = redis.call('PUBLISH', KEYS[2], position .. ':' .. ARGV[7])
return {'new', position, receivers, m[3]}
