-- delete_channel: the histories of channels emptied, and an entry in the log that says so, once for
-- each deletion id within the window. The entry names the channels and its frame is empty; under
-- its id it passes through the histories too, so that they reach back to no cursor before it.
-- KEYS: log, ledger, put, then the channels' histories in turn
-- ARGV: channels joined by a space, history seconds, log length, window seconds
-- Returns the log's entry id; the earlier one's when the deletion is there already.
-- include append_frames
local earlier = redis.call("GET", KEYS[3])
if earlier then
    return earlier
end
local id = append_frame(KEYS[1], 4, #KEYS, ARGV[1], "")
settle_log(KEYS[1], ARGV[3], 0, ARGV[2])
book_entries(KEYS[2], "deletions")
for i = 4, #KEYS do
    -- A channel counts its frames from the start again.
    redis.call("XSETID", KEYS[i], id, "ENTRIESADDED", 0, "MAXDELETEDID", id)
end
redis.call("SET", KEYS[3], id, "EX", ARGV[4])
return id
