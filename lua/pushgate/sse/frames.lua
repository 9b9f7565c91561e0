-- The bytes of Server-Sent Events, the whole of the wire format in one file.
--
-- Pure: no nginx phase, no I/O. A frame comes ready-made from the log and is passed on; what
-- the gateway itself says to a subscriber is made here. Nothing from a request gets into a field
-- without having passed a check that leaves no CR, LF or NUL.

local byte = string.byte
local find = string.find
local match = string.match
local sub = string.sub

-- What only the gateway itself tells a subscriber (reset, error, open), and a job's tombstone.
-- Nobody may publish an event that looks like one; no frame of the log may look like the first.
local RESERVED_TYPES = { reset = true, error = true, open = true, gone = true }
local OWN_TYPES = { reset = true, error = true, open = true }
-- Four times what the formatter makes at the most (pushgate/frames.py).
local MOST_BYTES = 1024 * 1024

local _M = {}

-- Comments an engine sends by itself (the ping) or carries for us.
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

-- Tells the subscriber that it may have missed something, and where it is now. `names` are the
-- channels it is about, when it is not about all.
function _M.reset(reason, cursor_text, names)
    -- A channel's name holds nothing that JSON would escape.
    local about = names and ",\"channels\":[\"" .. table.concat(names, "\",\"") .. "\"]" or ""
    return "id: " .. cursor_text .. "\nevent: reset\ndata: {\"reason\":\"" .. reason
        .. "\",\"cursor\":\"" .. cursor_text .. "\"" .. about .. "}\n\n"
end

-- Tells the subscriber to come back later. `reason` is one of our own words.
function _M.refusal(retry_milliseconds, reason)
    return _M.retry(retry_milliseconds) .. "event: error\ndata: {\"reason\":\"" .. reason
        .. "\"}\n\n"
end

-- Whether text is UTF-8: no stray byte, nothing written longer than it need be, no surrogate.
local function is_utf8(text)
    local at = find(text, "[\128-\255]")
    while at do
        local first, second = byte(text, at, at + 1)
        local length = first >= 240 and 4 or first >= 224 and 3 or 2
        if first < 194 or first > 244 or not second
            or (first == 224 and second < 160) or (first == 237 and second > 159)
            or (first == 240 and second < 144) or (first == 244 and second > 143)
        then
            return false
        end
        for i = at + 1, at + length - 1 do
            local following = byte(text, i)
            if not following or following < 128 or following > 191 then
                return false
            end
        end
        at = find(text, "[\128-\255]", at + length)
    end
    return true
end

-- Whether bytes from the log are one whole block that cannot break out of its place in the stream:
-- an event's type, one line of data, nothing else. Even "id" alone in a line would be a field.
function _M.is_frame(text)
    if #text > MOST_BYTES or OWN_TYPES[match(text, "^event: ([^\n]*)\n") or ""] then
        return false
    end
    local type_end = find(text, "\n", 1, true)
    if not type_end or type_end < 9 or sub(text, 1, 7) ~= "event: "
        or sub(text, type_end, type_end + 6) ~= "\ndata: "
    then
        return false
    end
    local data_end = find(text, "\n", type_end + 1, true)
    return data_end ~= nil
        and data_end == #text - 1
        and byte(text, #text) == 10
        -- Plain searches look at many bytes at a time, a pattern at each.
        and not find(text, "\r", 1, true)
        and not find(text, "\0", 1, true)
        and is_utf8(text)
end

function _M.is_event_type(text)
    return #text <= 64 and find(text, "^[a-z][a-z0-9_.-]*$") ~= nil and not RESERVED_TYPES[text]
end

function _M.is_event_id(text)
    return #text <= 128 and find(text, "^[A-Za-z0-9][A-Za-z0-9_.:-]*$") ~= nil
end

function _M.of_event(event_type, json_line)
    return "event: " .. event_type .. "\ndata: " .. json_line .. "\n\n"
end

-- Makes one line of JSON text: control characters between tokens become spaces. JSON allows none
-- inside a string, so there they are an error; and no "1." or "-.5", which our JSON reader takes
-- and a browser's does not. Returns the line; or nil and one sentence.
function _M.one_line(json)
    local parts, from, inside = {}, 1, false
    local at = find(json, "[%c\"\\.]")
    while at do
        local char = byte(json, at)
        local following = at + 1
        if char == 34 then
            inside = not inside
        elseif char == 92 then
            following = inside and at + 2 or following
        elseif char == 46 then
            if not inside and not find(json, "^%d%.%d", at - 1) then
                return nil, "a number has a dot without a digit on both sides"
            end
        elseif char ~= 127 then
            if inside then
                return nil, "a string holds a raw control character; write it as an escape"
            end
            parts[#parts + 1] = sub(json, from, at - 1)
            parts[#parts + 1] = " "
            from = following
        end
        at = find(json, "[%c\"\\.]", following)
    end
    parts[#parts + 1] = sub(json, from)
    return table.concat(parts)
end

return _M
