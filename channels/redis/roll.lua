-- The meta hash of a stream, under an epoch of the Redis instance that runs this script.
--
-- Offsets are only worth something as long as Redis loses nothing. A primary that came back with less than it
-- had, or a replica that was promoted late, continues from an earlier top: if the epoch went on, offsets would
-- be given out twice. So the epoch belongs to an instance, and which instance this is, is asked here: callers
-- may differ in what they believe.
local function roll(meta, stream, believed, candidate, meta_ttl)
    local m = redis.call('HMGET', meta, 'e', 'n', 'i', 'b', 'p', 'pb', 'x', 'v', 've')
    if m[1] and m[3] == believed then
        return m
    end
    local info = redis.call('INFO', 'server') .. '\n' .. redis.call('INFO', 'replication')
    local truth = string.sub(string.match(info, 'run_id:(%w+)'), 1, 12) .. '.' ..
        string.sub(string.match(info, 'master_replid2:(%w+)'), 1, 12) .. '.' ..
        string.match(info, 'second_repl_offset:(%-?%d+)')
    if not m[1] then
        redis.call('DEL', stream)
        redis.call('HSET', meta, 'e', candidate, 'n', '0', 'i', truth, 'b', '0')
        redis.call('PEXPIRE', meta, meta_ttl)
        return {candidate, '0', truth, '0', false, false, false, false, false}
    end
    if m[3] == truth then
        return m
    end
    redis.call('HSET', meta, 'e', candidate, 'i', truth, 'b', m[2], 'p', m[1], 'pb', m[4])
    m[5], m[6], m[4], m[1], m[3] = m[1], m[4], m[2], candidate, truth
    return m
end
