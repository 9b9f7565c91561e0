-- attempts: included by the scripts that count how often a job was claimed.
-- Most jobs are claimed once, in order, and nothing is written for each of them: `claimed` has the
-- last entry of a partition that anybody claimed, and what is at or before it was claimed once.
-- Only another number stands in `attempts`, under `<partition>:<entry id>`, until the job ends.
local function is_at_or_before(entry_id, other)
    local ms, seq = entry_id:match("^(%d+)-(%d+)$")
    local other_ms, other_seq = other:match("^(%d+)-(%d+)$")
    ms, other_ms = tonumber(ms), tonumber(other_ms)
    return ms < other_ms or (ms == other_ms and tonumber(seq) <= tonumber(other_seq))
end

local function attempts_of(attempts_key, partition, entry_id, last_claimed)
    local counted = redis.call("HGET", attempts_key, partition .. ":" .. entry_id)
    if counted then
        return tonumber(counted)
    end
    return last_claimed and is_at_or_before(entry_id, last_claimed) and 1 or 0
end

-- Notes the attempts at a job at or before the last one claimed.
local function set_attempts(attempts_key, partition, entry_id, attempts)
    local field = partition .. ":" .. entry_id
    if attempts == 1 then
        redis.call("HDEL", attempts_key, field)
    else
        redis.call("HSET", attempts_key, field, attempts)
    end
end
