-- What is settled when a request for a stream has ended, however it ended.
--
-- Phase: log of locations/subscribe.conf.

local connections = require("pushgate.connections")
local limits = require("pushgate.limits")

local _M = {}

function _M.run()
    local subscriber = ngx.ctx.subscriber
    if subscriber then
        connections.leave(subscriber)
    end
    limits.release()
end

return _M
