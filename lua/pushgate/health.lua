-- /healthz: nginx answers. /readyz: the log is followed, so that subscribers get what is published.
--
-- Phase: content of locations/health.conf.

local answer = require("pushgate.answer")
local lag = require("pushgate.lag")
local position = require("pushgate.position")

local _M = {}

function _M.alive()
    return answer.sentence(200, "alive")
end

function _M.ready()
    local trouble = lag.trouble()
    if trouble then
        return answer.sentence(503, trouble)
    end
    return answer.sentence(200, "ready at " .. position.done().text)
end

return _M
