-- last_id: included by the scripts that say where the log ends.
-- The id of the last entry ever appended, also when it was deleted since. A log that does not exist
-- is begun here with an entry that is deleted at once, so that "now" is a time from its first
-- moment on and a cursor taken before the first frame is no older than it is.
local function last_id(log_key)
    if redis.call("EXISTS", log_key) == 0 then
        local id = redis.call("XADD", log_key, "*", "channels", "", "frame", "")
        redis.call("XDEL", log_key, id)
        -- It was nothing that anybody published, so it is not one of those that the log was given.
        redis.call("XSETID", log_key, id, "ENTRIESADDED", 0, "MAXDELETEDID", id)
    end
    local info = redis.call("XINFO", "STREAM", log_key)
    for i = 1, #info, 2 do
        if info[i] == "last-generated-id" then
            return info[i + 1]
        end
    end
    error("XINFO STREAM says no last-generated-id")
end
