-- bury: a job given up, kept among the dead letters with the reason; frames that tell of it, if
-- any, go into the log and the histories.
-- KEYS: jobs, lease, attempts, claimed, log, ledger, dead, then the channels of each frame in turn
-- ARGV: holder, partition, history length, history seconds, log length, entry id, reason,
--       most dead letters kept, number of frames, frames (see append_frames)
-- Returns 1, or 0 when the job was finished before. Error: LEASE.
-- include refuse
-- include append_frames
-- include attempts
if not holds_lease(KEYS[2], ARGV[1]) then
    return refuse(KEYS[2], KEYS[6])
end
check_log(KEYS[5])
local partition, entry_id, frames = ARGV[2], ARGV[6], tonumber(ARGV[9])
local entry = redis.call("XRANGE", KEYS[1], entry_id, entry_id)[1]
if not entry then
    return 0
end
local event = ""
for i = 1, #entry[2], 2 do
    if entry[2][i] == "event" then
        event = entry[2][i + 1]
    end
end
local last_claimed = redis.call("HGET", KEYS[4], partition)
redis.call("XADD", KEYS[7], "*", "partition", partition, "entry", entry_id,
    "attempts", attempts_of(KEYS[3], partition, entry_id, last_claimed), "reason", ARGV[7],
    "event", event)
local trimmed = redis.call("XTRIM", KEYS[7], "MAXLEN", "~", ARGV[8])
if trimmed > 0 then
    redis.call("HINCRBY", KEYS[6], "trimmed", trimmed)
end
redis.call("XDEL", KEYS[1], entry_id)
redis.call("HDEL", KEYS[3], partition .. ":" .. entry_id)
if frames > 0 then
    append_frames(true, KEYS[5], frames, 8, 10)
    settle_log(KEYS[5], ARGV[5], tonumber(ARGV[3]), ARGV[4])
    book_entries(KEYS[6], "frames")
end
redis.call("HINCRBY", KEYS[6], "dead", 1)
redis.call("HINCRBY", KEYS[6], "queued", -1)
return 1
