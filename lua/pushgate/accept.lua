-- Which of the media types a client would rather have, by its Accept header (RFC 9110, 12.5.1).
--
-- Pure: no nginx phase, no I/O.

local lower = string.lower
local tonumber = tonumber

local JSON, STREAM = "application/json", "text/event-stream"

local _M = {}

-- The weight the header gives to `wanted`, and how exactly it names it: 3 by name, 2 as a kind,
-- 1 as anything, 0 not at all.
local function weight_of(header, wanted)
    local kind = wanted:match("^[^/]+") .. "/*"
    local weight, precision = 0, 0
    for range in header:gmatch("[^,]+") do
        local name = lower(range:match("^%s*([^;%s]*)"))
        local precise = name == wanted and 3 or name == kind and 2 or name == "*/*" and 1 or 0
        if precise > precision then
            precision = precise
            weight = tonumber(range:match(";%s*[qQ]=([01]%.?%d*)%s*")) or 1
        end
    end
    return weight, precision
end

-- Whether the client would rather have JSON than a stream. A stream is what everybody gets who does
-- not name JSON: an EventSource names streams, and many clients name nothing.
function _M.prefers_json(header)
    if type(header) == "table" then
        header = table.concat(header, ",")
    end
    if type(header) ~= "string" then
        return false
    end
    local json_weight, json_precision = weight_of(header, JSON)
    if json_weight == 0 or json_precision < 3 then
        return false
    end
    local stream_weight, stream_precision = weight_of(header, STREAM)
    return json_weight > stream_weight
        or (json_weight == stream_weight and json_precision > stream_precision)
end

return _M
