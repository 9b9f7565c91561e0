-- publish: one ready-made frame straight into the log, once for each event id within the window.
-- KEYS: log, ledger, put, then the frame's channels in turn
-- ARGV: channels joined by a space, frame, history length, history seconds, log length,
--       window seconds
-- Returns the log's entry id; the earlier one's when the event is there already.
-- include append_frames
local earlier = redis.call("GET", KEYS[3])
if earlier then
    return earlier
end
local id = append_frame(KEYS[1], 4, #KEYS, ARGV[1], ARGV[2])
settle_log(KEYS[1], ARGV[5], tonumber(ARGV[3]), ARGV[4])
redis.call("SET", KEYS[3], id, "EX", ARGV[6])
book_entries(KEYS[2], "frames")
redis.call("HINCRBY", KEYS[2], "straight", 1)
redis.call("HINCRBY", KEYS[2], "published", 1)
return id
