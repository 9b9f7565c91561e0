-- move_epoch: begin a new epoch because the log lost entries that were shown.
-- Whoever notices asks for it; only the first to ask for this loss gets it.
-- KEYS: epoch, log            ARGV: epoch believed, candidate, last id shown (ms, seq)
-- Returns {epoch, last id, how many entries the log was ever given}.
-- include log_facts
local epoch = redis.call("GET", KEYS[1])
local lost = redis.call("EXISTS", KEYS[2]) == 0
local facts = log_facts(KEYS[2])
local last = facts.last
if not lost then
    local ms, seq = last:match("^(%d+)-(%d+)$")
    local shown_ms = tonumber(ARGV[3])
    ms = tonumber(ms)
    lost = ms < shown_ms or (ms == shown_ms and tonumber(seq) < tonumber(ARGV[4]))
end
if not epoch or (lost and epoch == ARGV[1]) then
    epoch = ARGV[2]
    redis.call("SET", KEYS[1], epoch)
end
return { epoch, last, facts.added }
