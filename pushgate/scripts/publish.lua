-- publish: one ready-made frame straight into the log, once for each event id within the window.
-- KEYS: log, ledger, put, then the frame's channels in turn
-- ARGV: channels joined by a space, frame, history length, history seconds, log length,
--       window seconds
-- Returns the log's entry id; the earlier one's when the event is there already.
-- include append_frame
local earlier = redis.call("GET", KEYS[3])
if earlier then
    return earlier
end
local channel_keys = {}
for i = 4, #KEYS do
    channel_keys[#channel_keys + 1] = KEYS[i]
end
local limits = {
    history_length = tonumber(ARGV[3]), history_seconds = ARGV[4], log_length = ARGV[5],
}
local id = append_frame(limits, KEYS[1], channel_keys, ARGV[1], ARGV[2])
redis.call("SET", KEYS[3], id, "EX", ARGV[6])
redis.call("HINCRBY", KEYS[2], "accepted", 1)
redis.call("HINCRBY", KEYS[2], "published", 1)
return id
