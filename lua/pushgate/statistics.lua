-- GET /channels-stats[?id=ALL|<prefix>*|<channel>[/<channel>...]]: the engine's statistics as
-- push-stream has them, in JSON, plain text, XML or YAML as the Accept header says.
--
-- Phase: content of locations/statistics.conf, on private listeners only.

local answer = require("pushgate.answer")
local channels = require("pushgate.channels")
local engine = require("pushgate.engine")
local formats = require("pushgate.statistics_formats")

local _M = {}

-- Checks what is asked for. Returns it; or nil and a sentence.
local function checked(id)
    if id == "" or id == "ALL" or id:find("^[a-z0-9_:@.-]*%*$") then
        return id == "*" and "ALL" or id
    end
    local requested, sentence = channels.parse_path(id, function(part) return part end)
    if not requested then
        return nil, sentence
    end
    local names = {}
    for i, channel in ipairs(requested) do
        names[i] = channel.name
    end
    return table.concat(names, "/")
end

function _M.run()
    if ngx.req.get_method() ~= "GET" then
        return answer.method("GET")
    end
    ngx.header["Cache-Control"] = "no-cache, no-store, must-revalidate"
    local id, sentence = checked(ngx.unescape_uri(ngx.var.arg_id or ""))
    if not id then
        return answer.explained(400, sentence)
    end
    local status, found = engine.get().statistics(id)
    if not status then
        ngx.log(ngx.ERR, "could not read the statistics: ", found)
        return answer.explained(503, "the engine does not answer now; try again")
    end
    if status == 404 then
        return answer.explained(404, "channel " .. channels.shown(id)
            .. " has no subscriber here")
    end
    if status ~= 200 then
        return answer.explained(503, "the engine answered " .. status .. "; try again")
    end
    local format, content_type = formats.chosen(ngx.req.get_headers()["Accept"])
    return answer.text(200, content_type, formats.text(format, found))
end

return _M
