-- move_epoch: begin a new epoch because the log lost entries that were shown.
-- Whoever notices asks for it; only the first to ask for this loss gets it.
-- KEYS: epoch, log, ledger    ARGV: epoch believed, candidate, last id shown (ms, seq)
-- Returns {epoch, last id, how many entries the log was ever given}.
-- include log_facts

-- What the books say the log was given, and it was not: entries that it lost. The epoch tells of
-- them, and `lost` has them from here on.
local function book_lost(ledger_key, added)
    local books = redis.call("HMGET", ledger_key, "frames", "deletions", "lost")
    local missing = (books[1] or 0) + (books[2] or 0) - added
    if missing > tonumber(books[3] or 0) then
        redis.call("HSET", ledger_key, "lost", missing)
    end
end

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
    if lost then
        book_lost(KEYS[3], facts.added)
    end
end
return { epoch, last, facts.added }
