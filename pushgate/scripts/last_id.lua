-- last_id: included by the scripts that say where the log ends.
-- The id of the last entry ever appended, also when it was deleted since; 0-0 for no log at all.
local function last_id(log_key)
    if redis.call("EXISTS", log_key) == 0 then
        return "0-0"
    end
    local info = redis.call("XINFO", "STREAM", log_key)
    for i = 1, #info, 2 do
        if info[i] == "last-generated-id" then
            return info[i + 1]
        end
    end
    return redis.error_reply("XINFO STREAM says no last-generated-id")
end
