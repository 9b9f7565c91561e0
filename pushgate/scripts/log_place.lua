-- log_place: how many entries the log had ever been given up to one of its entries.
-- KEYS: epoch, log            ARGV: entry id, most entries that may lie behind it
-- Returns {epoch or "", how many}; -1 when that cannot be told: more lie behind it, or the log ends
-- before it, or has been cut off up to there.
local epoch = redis.call("GET", KEYS[1]) or ""
if redis.call("TYPE", KEYS[2]).ok ~= "stream" then
    return { epoch, -1 }
end
local facts = {}
local info = redis.call("XINFO", "STREAM", KEYS[2])
for i = 1, #info, 2 do
    facts[info[i]] = info[i + 1]
end
local behind = #redis.call("XRANGE", KEYS[2], "(" .. ARGV[1], "+", "COUNT", ARGV[2])
local ms, seq = ARGV[1]:match("^(%d+)-(%d+)$")
local last_ms, last_seq = facts["last-generated-id"]:match("^(%d+)-(%d+)$")
ms, last_ms = tonumber(ms), tonumber(last_ms)
local ends_before = last_ms < ms or (last_ms == ms and tonumber(last_seq) < tonumber(seq))
local place = facts["entries-added"] - behind
local is_cut = behind > 0 and behind == facts.length and facts["entries-added"] > behind
if ends_before or is_cut or behind == tonumber(ARGV[2]) then
    place = -1
end
return { epoch, place }
