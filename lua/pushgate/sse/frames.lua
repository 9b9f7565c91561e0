-- The bytes of Server-Sent Events, the whole of the wire format in one file.
--
-- Pure: no nginx phase, no I/O. A frame comes ready-made from the log and is passed on; what
-- the gateway itself says to a subscriber is made here. Nothing from a request gets into a field
-- without having passed a check that leaves no CR, LF or NUL.

local byte = string.byte
local find = string.find
local sub = string.sub

local _M = {}

-- Comments the module itself sends (see nginx/http/push_stream.conf) or carries for us.
_M.PING = ":\n\n"
_M.MARKER = ": marker\n\n"     -- begins every subscription; see subscribe.lua
_M.EPOCH = ": epoch\n\n"       -- the epoch has moved
_M.LOOK = ": look\n\n"         -- ask yourself whether you may stay; see stay.lua
_M.RESUME = ": resume\n\n"     -- end the response, so that the client resumes by its cursor

function _M.retry(milliseconds)
    return "retry: " .. milliseconds .. "\n"
end

-- Sets the browser's last event id without an event.
function _M.id(cursor_text)
    return "id: " .. cursor_text .. "\n\n"
end

-- What every connection begins with.
function _M.prologue(retry_milliseconds, cursor_text)
    return _M.retry(retry_milliseconds) .. _M.id(cursor_text)
end

-- A frame as it goes out: the log's bytes under the entry's id.
function _M.with_id(cursor_text, frame)
    return "id: " .. cursor_text .. "\n" .. frame
end

-- Tells the subscriber that it may have missed something, and where it is now.
function _M.reset(reason, cursor_text)
    return "id: " .. cursor_text .. "\nevent: reset\ndata: {\"reason\":\"" .. reason
        .. "\",\"cursor\":\"" .. cursor_text .. "\"}\n\n"
end

-- Tells the subscriber to come back later. `reason` is one of our own words.
function _M.refusal(retry_milliseconds, reason)
    return _M.retry(retry_milliseconds) .. "event: error\ndata: {\"reason\":\"" .. reason
        .. "\"}\n\n"
end

-- Whether bytes from the log are one whole block that cannot break out of its place in the stream.
function _M.is_frame(text)
    return sub(text, 1, 7) == "event: "
        and find(text, "\n\n", 1, true) == #text - 1
        and find(text, "\ndata: ", 1, true) ~= nil
        -- Plain searches look at many bytes at a time, a pattern at each.
        and not find(text, "\r", 1, true)
        and not find(text, "\0", 1, true)
        and not find(text, "\nid:", 1, true)
        and not find(text, "\nretry:", 1, true)
end

function _M.is_event_type(text)
    return #text <= 64 and find(text, "^[a-z][a-z0-9_.-]*$") ~= nil
end

function _M.is_event_id(text)
    return #text <= 128 and find(text, "^[A-Za-z0-9][A-Za-z0-9_.:-]*$") ~= nil
end

function _M.of_event(event_type, json_line)
    return "event: " .. event_type .. "\ndata: " .. json_line .. "\n\n"
end

-- Makes one line of JSON text: control characters between tokens become spaces. JSON allows none
-- inside a string, so there they are an error. Returns the line; or nil and one sentence.
function _M.one_line(json)
    local parts, from, inside = {}, 1, false
    local at = find(json, "[%c\"\\]")
    while at do
        local char = byte(json, at)
        local following = at + 1
        if char == 34 then
            inside = not inside
        elseif char == 92 then
            following = inside and at + 2 or following
        elseif char ~= 127 then
            if inside then
                return nil, "a string holds a raw control character; write it as an escape"
            end
            parts[#parts + 1] = sub(json, from, at - 1)
            parts[#parts + 1] = " "
            from = following
        end
        at = find(json, "[%c\"\\]", following)
    end
    parts[#parts + 1] = sub(json, from)
    return table.concat(parts)
end

return _M
