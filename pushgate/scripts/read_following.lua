-- read_following: what a follower of the log has to do next, as of one moment.
-- KEYS: epoch, log, publisher, again
-- ARGV: candidate for an epoch, entry id to read after, how many, how many bytes,
--       letter to read after, how many letters
-- Returns {epoch, entries added, length, first id or "", last id, now in ms, entries, letters to be
-- sent again, why it was stopped or ""}. The entries end early once they are so many bytes.
-- include log_facts
redis.call("SET", KEYS[1], ARGV[1], "NX")
local facts = log_facts(KEYS[2])
local time = redis.call("TIME")
local entries, bytes = {}, 0
for _, entry in ipairs(redis.call("XRANGE", KEYS[2], "(" .. ARGV[2], "+", "COUNT", ARGV[3])) do
    if bytes >= tonumber(ARGV[4]) then
        break
    end
    for _, value in ipairs(entry[2]) do
        bytes = bytes + #value
    end
    entries[#entries + 1] = entry
end
return {
    redis.call("GET", KEYS[1]), facts.added, facts.length, facts.first, facts.last,
    tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), entries,
    redis.call("XRANGE", KEYS[4], "(" .. ARGV[5], "+", "COUNT", ARGV[6]),
    redis.call("HGET", KEYS[3], "stopped") or "",
}
