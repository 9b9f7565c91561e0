-- history: what a channel got after a position in the log, and whether that is all of it.
-- KEYS: epoch, channel        ARGV: entry id, as the cursor names it
-- Returns the epoch ("" when there is none), the seconds since 1970, the history's entries behind
-- the position, and the highest id that was ever cut from it ("0-0" when nothing was).
local epoch = redis.call("GET", KEYS[1]) or ""
local seconds = redis.call("TIME")[1]
local entries = redis.call("XRANGE", KEYS[2], "(" .. ARGV[1], "+")
local cut_to = "0-0"
if redis.call("EXISTS", KEYS[2]) == 1 then
    local info = redis.call("XINFO", "STREAM", KEYS[2])
    for i = 1, #info, 2 do
        if info[i] == "max-deleted-entry-id" then
            cut_to = info[i + 1]
        end
    end
end
return { epoch, seconds, entries, cut_to }
