-- GET /channels-stats[?id=ALL|<channel>]: the engine's statistics in push-stream's JSON.
--
-- Phase: content of locations/statistics.conf, on private listeners only.

local answer = require("pushgate.answer")
local channels = require("pushgate.channels")
local engine = require("pushgate.engine")

local _M = {}

function _M.run()
    if ngx.req.get_method() ~= "GET" then
        return answer.method("GET")
    end
    local id = ngx.unescape_uri(ngx.var.arg_id or "")
    if id ~= "" and id ~= "ALL" then
        local ok, sentence = channels.check(id)
        if not ok then
            return answer.sentence(400, sentence)
        end
    end
    local status, body = engine.get().statistics(id)
    if not status then
        ngx.log(ngx.ERR, "could not read the statistics: ", body)
        return answer.sentence(503, "the engine does not answer now; try again")
    end
    if status == 404 then
        return answer.sentence(404, "channel " .. channels.shown(id) .. " has no subscriber here")
    end
    return answer.json(status, body)
end

return _M
