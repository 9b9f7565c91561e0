-- append_frame: included by every script that publishes.
-- Appends one frame to the log and, under the same id, to the history of each of its channels.
-- A history is cut by XDEL, oldest first, because only XDEL leaves a trace (max-deleted-entry-id)
-- by which a gateway can tell whether the history still reaches back to a cursor.
local function append_frame(limits, log_key, channel_keys, channels, frame)
    local id = redis.call("XADD", log_key, "MAXLEN", "~", limits.log_length, "*",
        "channels", channels, "frame", frame)
    for _, channel_key in ipairs(channel_keys) do
        redis.call("XADD", channel_key, id, "channels", channels, "frame", frame)
        local surplus = redis.call("XLEN", channel_key) - limits.history_length
        if surplus > 0 then
            for _, entry in ipairs(redis.call("XRANGE", channel_key, "-", "+",
                "COUNT", surplus)) do
                redis.call("XDEL", channel_key, entry[1])
            end
        end
        redis.call("EXPIRE", channel_key, limits.history_seconds)
    end
    return id
end
