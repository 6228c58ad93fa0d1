#!lua
-- The position of a stream that was never used, or that another instance wrote last.
-- KEYS: meta, stream   ARGV: instance, epoch candidate, meta ttl   Answer: e n i b p pb
-- include roll.lua
local m = roll(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3])
return {m[1], m[2], m[3], m[4], m[5], m[6]}
